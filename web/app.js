// app.js: the chat page. It logs in, keeps the conversations, and wires agentmesh.js to the document.
//
// Ids for tests, as data-testid (state in further data- attributes):
//   login, login-name, login-token, login-submit, login-error        before a session
//   app, me, logout, menu                                            after it
//   conversation  data-kind="global|room|direct" data-id="…"         one entry of the list; holds `unread`
//   join-room-input, join-room-submit, direct-input, direct-submit   to open one
//   person        data-id="…" data-online="true|false"               members of the open room
//   conversation-title, conversation-subtitle, leave-room            the open conversation
//   message       data-from="…" data-state="sending|delivered|failed|received" data-id="…"; holds
//                 message-text, and when failed message-error and send-again
//   system        data-kind="joined|left|gap|note"                   a line that nobody wrote
//   composer-input, composer-send, notice                            to write; what went wrong
//   status        data-state="connecting|online|waiting|ended"; holds status-text, retry, status-agent

import { Client } from "./agentmesh.js";
import { Conversation, avatar, element } from "./conversation.js";
import { ended, failure, list, nameProblem, seconds } from "./words.js";

/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);

const STORE = "agentmesh";
const WHO_EVERY = 15_000; // presence tells of joins and leaves; who is online is asked for
const OWN_KEPT = 200; // own direct messages remembered for a reload, a conversation

/** @type {Client|undefined} */ let client;
/** @type {Map<string, Conversation>} */ let conversations = new Map();
/** @type {Conversation} */ let active;
/** @type {any} */ let saved = restore();
/** @type {ReturnType<typeof setInterval>|undefined} */ let countdown;
/** @type {ReturnType<typeof setTimeout>|undefined} */ let whoSoon;
let atBottom = true;

// ---- what a tab remembers: sessionStorage only, gone with the tab

function restore() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

function save() {
  try {
    sessionStorage.setItem(STORE, JSON.stringify(saved));
  } catch {
    // full or forbidden: a reload then asks for the name again
  }
}

// ---- logging in

/** @param {string} [problem] */
function showLogin(problem = "") {
  $("app").hidden = true;
  $("login").hidden = false;
  $("login-error").textContent = problem;
  $("login-name").value = saved.user ?? "";
  $("login-submit").disabled = false;
  document.title = "agentmesh";
  (saved.user && !$("login-token-field").hidden ? $("login-token") : $("login-name")).focus();
}

function askForToken() {
  const first = $("login-token-field").hidden;
  $("login-token-field").hidden = false;
  $("login-lead").textContent = "Enter your name and the session you were given.";
  if (first) $("login-token").focus();
}

/** @param {SubmitEvent} event */
async function logIn(event) {
  event.preventDefault();
  const user = $("login-name").value.trim();
  const token = $("login-token").value.trim();
  const problem = nameProblem(user, "a name that others will see")
    || (!$("login-token-field").hidden && !token ? "Paste the session token." : "");
  $("login-error").textContent = problem;
  if (problem) return;
  $("login-submit").disabled = true;
  if (saved.user !== user) saved = {};
  if (token) {
    $("login-token").value = "";
    start({ user, session: token });
    return;
  }
  try {
    const got = await newSession(user);
    if (got) start(got);
  } catch (err) {
    $("login-error").textContent = err instanceof Error ? err.message : String(err);
  }
  $("login-submit").disabled = false;
}

/** newSession asks the agent's development endpoint; undefined means it has none. @param {string} user */
async function newSession(user) {
  let response;
  try {
    response = await fetch("/dev/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user }) });
  } catch {
    throw new Error(`The agent at ${location.host} does not answer. Check that it is running, then try again.`);
  }
  if (response.status === 404 || response.status === 403) return askForToken();
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(sentence(body.message) || `The agent refused that name (HTTP ${response.status}). Try another one.`);
  if (typeof body.session !== "string" || typeof body.user !== "string") throw new Error("The agent gave an answer this page does not know. Reload the page; it may be out of date.");
  return body;
}

/** @param {unknown} s */
function sentence(s) {
  return typeof s === "string" && s.length < 300 ? s : "";
}

// ---- a session

/** @param {{user: string, session: string, agent?: string}} creds */
function start(creds) {
  saved = { ...saved, user: creds.user, session: creds.session, agent: creds.agent };
  save();
  conversations = new Map();
  for (const l of ["list-global", "list-rooms", "list-direct", "list-people"]) $(l).replaceChildren();
  $("login").hidden = true;
  $("app").hidden = false;
  $("me-name").textContent = creds.user;
  $("me-avatar").replaceWith(Object.assign(avatar(creds.user), { id: "me-avatar" }));
  $("status-agent").textContent = creds.agent ? `Agent ${creds.agent}` : location.host;

  client = new Client({ url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, user: creds.user, session: creds.session });
  listen(client);
  const everyone = open("global", "");
  for (const room of saved.rooms ?? []) joinRoom(room, false);
  for (const name of Object.keys(saved.sent ?? {})) open("direct", name);
  show(conversations.get(saved.active) ?? everyone);
  client.connect().catch(() => {}); // the state event tells
}

/** @param {Client} c */
function listen(c) {
  /** @param {string} type @param {(detail: any) => void} f */
  const on = (type, f) => c.addEventListener(type, (e) => { if (c === client) f(/** @type {CustomEvent} */ (e).detail); });
  on("state", connectionChanged);
  on("message", received);
  on("presence", presence);
  on("gap", gap);
  on("left", ({ room, error }) => roomGone(room, error));
  on("error", (err) => notice(failure(err)));
}

function logOut() {
  const c = client;
  client = undefined;
  c?.logout();
  stopCountdown();
  saved = { user: saved.user };
  save();
  showLogin();
}

/** @param {{state: string, retryAt?: number, code?: number, reason?: string, attempt?: number}} s */
function connectionChanged(s) {
  stopCountdown();
  $("status").dataset.state = s.state;
  $("retry").hidden = true;
  if (s.state === "connecting") status("Connecting…");
  if (s.state === "online") {
    status("Connected");
    whoIsThere();
  }
  if (s.state === "waiting") {
    const why = s.code === 1001 ? "The agent is restarting." : (s.attempt ?? 0) > 4 ? `No answer from ${location.host}. Check that the agent runs.` : "Connection lost.";
    $("retry").textContent = "Try now";
    $("retry").hidden = false;
    const tick = () => status(`${why} Next try in ${seconds((s.retryAt ?? 0) - Date.now())}.`);
    tick();
    countdown = setInterval(tick, 500);
  }
  if (s.state === "ended") connectionEnded(s.code ?? 0, s.reason ?? "");
}

/** @param {number} code @param {string} reason */
function connectionEnded(code, reason) {
  if (code === 4401 || code === 0) {
    delete saved.session;
    save();
    showLogin(ended(code, reason));
    return;
  }
  status(ended(code, reason));
  $("retry").textContent = code === 4409 ? "Use it here" : "Reconnect";
  $("retry").hidden = false;
}

function retry() {
  if (client?.state === "ended") client.connect().catch(() => {});
  else client?.reconnect();
}

/** @param {string} text */
function status(text) {
  if ($("status-text").textContent !== text) $("status-text").textContent = text;
}

function stopCountdown() {
  clearInterval(countdown);
}

// ---- what arrives

/** @param {any} e */
function received(e) {
  const from = e.from?.id ?? "the mesh";
  const conversation = !e.to ? open("global", "")
    : e.to.type === "ChatRoom" ? open("room", e.to.id)
    : open("direct", from === client?.user ? e.to.id : from);
  const time = e.time ? new Date(e.time) : new Date();
  const mine = conversation.find(e.id, from);
  if (mine) {
    if (mine.waiting) conversation.place(mine, time);
  } else {
    const replayed = conversation.kind === "direct" && client?.state !== "online";
    conversation.add({ id: e.id, from, text: wording(e), time, state: from === client?.user ? "delivered" : "received" }, replayed);
    if (from !== client?.user) count(conversation, time);
  }
}

/** @param {any} e */
function wording(e) {
  if (typeof e.message === "string") return e.message;
  const payload = JSON.stringify(e.payload) ?? "";
  return `${e.game ?? e.type}: ${payload.length > 500 ? `${payload.slice(0, 500)}…` : payload}`;
}

/** @param {Conversation} c @param {Date} time */
function count(c, time) {
  saved.read ??= {};
  if (c === active && document.visibilityState === "visible") saved.read[c.key] = time.getTime();
  else if (time.getTime() > (saved.read[c.key] ?? 0)) c.unread++;
  save();
  paint();
}

/** @param {any} e */
function presence(e) {
  const room = conversations.get(`room:${e.to?.id}`);
  if (!room) return;
  if (e.members) room.members = new Set(e.members);
  if (Array.isArray(e.online) && e.members) room.online = new Set(e.online);
  const others = (/** @type {string[]|undefined} */ names) => (names ?? []).filter((n) => n !== client?.user);
  for (const n of e.joined ?? []) room.members.add(n), room.online.add(n);
  for (const n of e.left ?? []) room.members.delete(n), room.online.delete(n);
  if (others(e.joined).length) room.system(`${list(others(e.joined))} joined`, "joined");
  if (others(e.left).length) room.system(`${list(others(e.left))} left`, "left");
  if (!e.members && room === active) {
    clearTimeout(whoSoon);
    whoSoon = setTimeout(whoIsThere, 400);
  }
  if (room === active) people();
}

/** @param {{history: string, room?: string}} g */
function gap(g) {
  const text = "Some messages are missing here: the mesh no longer keeps them.";
  if (g.history === "inbox") notice("Some direct messages are missing: the mesh no longer keeps them. Ask whoever may have written to you.");
  else conversations.get(g.history === "room" ? `room:${g.room}` : "global:")?.system(text, "gap");
}

function whoIsThere() {
  if (active?.kind !== "room" || client?.state !== "online" || !client.rooms.includes(active.id)) return;
  if (document.visibilityState === "visible") client.who(active.id).catch(() => {}); // the presence event shows it
}

// ---- conversations

/** open gives the conversation, new or not, without showing it. @param {"global"|"room"|"direct"} kind @param {string} id */
function open(kind, id) {
  const key = `${kind}:${id}`;
  let c = conversations.get(key);
  if (c) return c;
  c = new Conversation(kind, id, client?.user ?? "", () => show(/** @type {Conversation} */ (c)), (entry) => post(/** @type {Conversation} */ (c), entry));
  conversations.set(key, c);
  $({ global: "list-global", room: "list-rooms", direct: "list-direct" }[kind]).append(c.item);
  if (kind === "direct") {
    saved.sent ??= {};
    saved.sent[id] ??= [];
    for (const m of saved.sent[id]) c.add({ id: m.id, from: c.me, text: m.text, time: new Date(m.time), state: "delivered" });
    save();
  }
  c.paint(false);
  return c;
}

/** @param {Conversation} c */
function show(c) {
  if (active) active.draft = $("composer-input").value;
  active = c;
  saved.active = c.key;
  $("title").textContent = c.title;
  $("title").dataset.kind = c.kind;
  $("leave").hidden = c.kind !== "room";
  $("composer-input").placeholder = c.kind === "global" ? "Write to everyone" : `Write to ${c.title}`;
  $("composer-input").value = c.draft;
  grow();
  sizes.disconnect();
  $("log").replaceChildren(c.pane);
  sizes.observe($("log"));
  sizes.observe(c.pane);
  drawer(false);
  read();
  people();
  toBottom();
  whoIsThere();
  $("composer-input").focus({ preventScroll: true });
}

function read() {
  if (!active) return;
  active.unread = 0;
  saved.read ??= {};
  const last = active.entries.findLast((e) => e.state === "received");
  if (last) saved.read[active.key] = last.time.getTime();
  save();
  paint();
}

function paint() {
  let unread = 0;
  for (const c of conversations.values()) {
    c.paint(c === active);
    unread += c.unread;
  }
  $("menu-badge").hidden = unread === 0;
  $("menu-badge").textContent = String(unread);
  document.title = `${unread ? `(${unread}) ` : ""}${active?.title ?? ""} – agentmesh`;
}

function people() {
  const inRoom = active.kind === "room";
  $("people-section").hidden = !inRoom;
  const names = [...active.members].sort((a, b) => Number(active.online.has(b)) - Number(active.online.has(a)) || a.localeCompare(b));
  const online = names.filter((n) => active.online.has(n)).length;
  $("subtitle").textContent = active.kind === "global" ? "Everybody connected to this mesh"
    : active.kind === "direct" ? "Direct messages"
    : names.length ? `${names.length} ${names.length === 1 ? "member" : "members"}, ${online} online` : "Room";
  const here = document.activeElement instanceof HTMLElement ? document.activeElement.closest("#list-people button") : null;
  const focused = here instanceof HTMLElement ? here.dataset.id : undefined;
  $("list-people").replaceChildren(...(inRoom ? names.map(person) : []));
  if (focused) [...$("list-people").querySelectorAll("button")].find((b) => b.dataset.id === focused)?.focus();
}

/** @param {string} name */
function person(name) {
  const online = active.online.has(name);
  const button = element("button", "item");
  button.type = "button";
  Object.assign(button.dataset, { testid: "person", id: name, online: String(online) });
  button.append(avatar(name), element("span", "name", name === client?.user ? `${name} (you)` : name));
  button.setAttribute("aria-label", `${name}, ${online ? "online" : "away"}${name === client?.user ? ", you" : ". Write to them"}`);
  button.disabled = name === client?.user;
  button.addEventListener("click", () => show(open("direct", name)));
  const item = element("li");
  item.append(button);
  return item;
}

/** @param {string} room @param {boolean} [announce] */
function joinRoom(room, announce = true) {
  const c = open("room", room);
  client?.join(room).then(() => {
    saved.rooms = [...new Set([...(saved.rooms ?? []), room])];
    save();
    if (announce) c.system("You joined", "joined");
    whoIsThere();
  }, (err) => roomGone(room, err));
  return c;
}

// roomGone takes a room from the list: left, or no longer open to this user.
/** @param {string} room @param {any} [err] */
function roomGone(room, err) {
  if (err?.code === "Closed") return; // the room is joined again with the next session
  const c = conversations.get(`room:${room}`);
  saved.rooms = (saved.rooms ?? []).filter((/** @type {string} */ r) => r !== room);
  save();
  if (err) notice(`You are not in ${room}. ${failure(err)}`);
  if (!c) return;
  c.item.remove();
  conversations.delete(c.key);
  if (c === active) show(open("global", ""));
}

// ---- sending

/** @param {Event} [event] */
function submit(event) {
  event?.preventDefault();
  const text = $("composer-input").value.trim();
  if (!text || !client) return;
  const entry = active.add({ id: client.newID(), from: client.user, text, time: new Date(), state: "sending", waiting: true });
  $("composer-input").value = "";
  grow();
  toBottom();
  post(active, entry);
}

/** post sends an entry, the first time or again: the mesh delivers one id once. @param {Conversation} c @param {any} entry */
async function post(c, entry) {
  const sender = client;
  if (!sender) return;
  c.mark(entry, "sending");
  const base = { id: entry.id, message: entry.text };
  try {
    await sender.send(c.kind === "global" ? { ...base, type: "GlobalMessage" }
      : c.kind === "room" ? { ...base, type: "ChatRoomMessage", to: { type: "ChatRoom", id: c.id } }
      : { ...base, type: "DirectMessage", to: { type: "User", id: c.id } });
  } catch (err) {
    const now = c.find(entry.id, sender.user);
    if (now && now.state !== "delivered") c.mark(now, "failed", err);
    return;
  }
  const now = c.find(entry.id, sender.user);
  if (now && now.state !== "delivered") c.mark(now, "delivered");
  if (c.kind === "direct") {
    if (now && c.id !== sender.user) now.waiting = false; // nobody sends it back
    saved.sent[c.id] = [...(saved.sent[c.id] ?? []), { id: entry.id, text: entry.text, time: entry.time.getTime() }].slice(-OWN_KEPT);
    save();
  }
}

// ---- the rest of the page

/** @param {string} text */
function notice(text) {
  $("notice-text").textContent = text;
  $("notice").hidden = !text;
}

// Whoever reads the newest message stays with it, whatever grows: the conversation, the composer, a keyboard
// on the screen. Whoever has scrolled up stays where they are.
const sizes = new ResizeObserver(() => { if (atBottom) toBottom(); });

function scrolled() {
  const log = $("log");
  atBottom = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
}

function toBottom() {
  atBottom = true;
  $("log").scrollTop = $("log").scrollHeight;
}

function grow() {
  const input = $("composer-input");
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, 180)}px`;
}

/** @param {boolean} open */
function drawer(open) {
  $("app").classList.toggle("drawer", open);
  $("menu").setAttribute("aria-expanded", String(open));
}

/** @param {string} form @param {string} input @param {string} what @param {(name: string) => Conversation} then */
function namesForm(form, input, what, then) {
  $(form).addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const name = $(input).value.trim();
    const problem = nameProblem(name, what);
    notice(problem);
    if (problem) return;
    $(input).value = "";
    show(then(name));
  });
}

/** @param {KeyboardEvent} event */
function keys(event) {
  if ($("app").hidden) return;
  if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
    event.preventDefault();
    const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-testid=conversation]")]);
    const at = all.findIndex((b) => b.hasAttribute("aria-current"));
    all[(at + (event.key === "ArrowUp" ? -1 : 1) + all.length) % all.length]?.click();
  } else if (event.key === "Escape") {
    drawer(false);
    notice("");
    $("composer-input").focus();
  }
}

$("login-form").addEventListener("submit", logIn);
$("login-name").addEventListener("input", () => { $("login-token-user").textContent = $("login-name").value.trim() || "NAME"; });
$("logout").addEventListener("click", logOut);
$("retry").addEventListener("click", retry);
$("leave").addEventListener("click", () => {
  const room = active.id;
  client?.leave(room).catch((err) => notice(`You are still in ${room}. ${failure(err)}`));
});
$("composer").addEventListener("submit", submit);
$("composer-input").addEventListener("input", grow);
$("composer-input").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
});
$("log").addEventListener("scroll", scrolled, { passive: true });
$("notice-close").addEventListener("click", () => notice(""));
$("menu").addEventListener("click", () => drawer(!$("app").classList.contains("drawer")));
$("scrim").addEventListener("click", () => drawer(false));
namesForm("join-form", "join-room-input", "the name of a room", joinRoom);
namesForm("direct-form", "direct-input", "the name of a person", (name) => open("direct", name));
document.addEventListener("keydown", keys);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible" || !client) return;
  read();
  whoIsThere();
});
setInterval(whoIsThere, WHO_EVERY);

if (saved.user && saved.session) start({ user: saved.user, session: saved.session, agent: saved.agent });
else showLogin();
