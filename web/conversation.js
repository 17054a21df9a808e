// conversation.js: one conversation: its messages, its people, its place in the list, all as DOM nodes.
// Text from others enters the page through textContent only.

import { failure } from "./words.js";

/** @typedef {"global"|"room"|"direct"} Kind */
/** @typedef {"sending"|"delivered"|"failed"|"received"} MessageState */
/**
 * @typedef {object} Entry One message shown.
 * @property {string} [id]
 * @property {string} from
 * @property {string} text
 * @property {Date} time
 * @property {MessageState} state
 * @property {boolean} [waiting] written here, its place in the history not known yet
 * @property {HTMLElement} node
 */

const KEPT = 2000; // messages shown at most, as many as two histories hold
const SAME_BREATH = 5 * 60_000; // messages of one person closer than this share a heading
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

const MARKS = { sending: "Sending", delivered: "Stored by the mesh", failed: "Not sent", received: "" };

/** Conversation holds one room, one direct conversation, or everyone. */
export class Conversation {
  /** @type {Entry[]} */ entries = [];
  /** @type {Set<string>} */ members = new Set();
  /** @type {Set<string>} */ online = new Set();
  unread = 0;
  draft = "";

  /** @param {Kind} kind @param {string} id @param {string} me @param {() => void} open @param {(e: Entry) => void} again */
  constructor(kind, id, me, open, again) {
    this.kind = kind;
    this.id = id;
    this.me = me;
    this.again = again;
    this.pane = element("div", "pane");
    this.empty = this.pane.appendChild(element("p", "empty", welcome(kind, id)));
    this.item = this.#listItem(open);
  }

  get key() { return `${this.kind}:${this.id}`; }
  get title() { return this.kind === "global" ? "Everyone" : this.id; }

  /** @param {string|undefined} id @param {string} from */
  find(id, from) {
    return id === undefined ? undefined : this.entries.findLast((e) => e.id === id && e.from === from);
  }

  /**
   * add shows a message: below all that have their place, above those that wait for it.
   * @param {Omit<Entry, "node">} message @param {boolean} [sorted] by time: the other half of a conversation is being replayed
   */
  add(message, sorted = false) {
    const entry = { ...message, node: messageNode(message, message.from === this.me) };
    let at = this.entries.length;
    const before = (/** @type {Entry} */ e) => e.waiting || (sorted && e.time > entry.time);
    if (!entry.waiting) while (at > 0 && before(this.entries[at - 1])) at--;
    this.pane.insertBefore(entry.node, this.entries[at]?.node ?? null);
    this.entries.splice(at, 0, entry);
    this.empty.hidden = true;
    if (this.entries.length > KEPT) this.entries.shift()?.node.remove();
    regroup(entry.node);
    return entry;
  }

  /** place puts a message written here where its history has it. @param {Entry} entry @param {Date} time */
  place(entry, time) {
    this.entries.splice(this.entries.indexOf(entry), 1);
    const next = entry.node.nextElementSibling;
    entry.node.remove();
    if (next) regroup(next);
    this.add({ ...entry, time, state: "delivered", waiting: false });
  }

  /** @param {Entry} entry @param {MessageState} state @param {any} [err] */
  mark(entry, state, err) {
    entry.state = state;
    entry.node.dataset.state = state;
    const mark = entry.node.querySelector(".mark");
    mark?.setAttribute("aria-label", MARKS[state]);
    mark?.setAttribute("title", MARKS[state]);
    entry.node.querySelector(".why")?.remove();
    if (state === "failed") entry.node.querySelector(".body")?.append(this.#why(entry, err));
  }

  /** system shows a line that nobody wrote. @param {string} text @param {string} [kind] */
  system(text, kind = "note") {
    const line = element("p", "system", text);
    line.dataset.testid = "system";
    line.dataset.kind = kind;
    const waiting = this.entries.find((e) => e.waiting);
    line.dataset.at = String(Date.now());
    this.pane.insertBefore(line, waiting?.node ?? null);
    regroup(line);
  }

  /** @param {boolean} active */
  paint(active) {
    const button = /** @type {HTMLElement} */ (this.item.firstElementChild);
    if (active) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
    const badge = /** @type {HTMLElement} */ (button.querySelector(".badge"));
    badge.hidden = this.unread === 0;
    badge.textContent = this.unread > 99 ? "99+" : String(this.unread);
    badge.setAttribute("aria-label", `${this.unread} unread`);
    this.item.classList.toggle("has-unread", this.unread > 0);
  }

  /** @param {() => void} open */
  #listItem(open) {
    const button = element("button", "item");
    button.type = "button";
    button.dataset.testid = "conversation";
    button.dataset.kind = this.kind;
    button.dataset.id = this.id;
    const badge = element("b", "badge");
    badge.dataset.testid = "unread";
    const sign = this.kind === "direct" ? avatar(this.id) : element("span", `sign ${this.kind}`, this.kind === "room" ? "#" : "");
    sign.setAttribute("aria-hidden", "true");
    button.append(sign, element("span", "name", this.title), badge);
    button.addEventListener("click", open);
    const item = element("li");
    item.append(button);
    return item;
  }

  /** @param {Entry} entry @param {any} err */
  #why(entry, err) {
    const why = element("p", "why");
    why.dataset.testid = "message-error";
    const again = element("button", "link", "Send again");
    again.type = "button";
    again.dataset.testid = "send-again";
    again.addEventListener("click", () => this.again(entry));
    why.append(`Not sent. ${failure(err ?? {})} `, again);
    return why;
  }
}

/** @param {Omit<Entry, "node">} m @param {boolean} mine */
function messageNode(m, mine) {
  const node = element("article", mine ? "message mine" : "message");
  Object.assign(node.dataset, { testid: "message", from: m.from, state: m.state, ...(m.id && { id: m.id }), at: String(m.time.getTime()) });
  const clock = CLOCK.format(m.time);
  const time = element("time", "time", clock);
  time.dateTime = m.time.toISOString();
  time.title = m.time.toLocaleString();
  const body = element("div", "body");
  const head = element("p", "head");
  head.append(element("strong", "from", m.from), time);
  const text = element("p", "text", m.text);
  text.dataset.testid = "message-text";
  text.dir = "auto";
  body.append(head, text);
  const face = avatar(m.from);
  face.dataset.clock = clock;
  const mark = element("span", "mark");
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", MARKS[m.state]);
  mark.title = MARKS[m.state];
  node.append(face, body);
  if (mine) node.append(mark);
  return node;
}

// regroup decides for a line and the one after it who needs a heading and where a new day begins.
/** @param {Element} node */
function regroup(node) {
  for (const n of [node, node.nextElementSibling]) {
    if (!(n instanceof HTMLElement) || !n.dataset.at) continue;
    const before = n.previousElementSibling;
    const last = before instanceof HTMLElement && before.dataset.at ? before : undefined;
    const at = Number(n.dataset.at);
    const lastAt = Number(last?.dataset.at);
    const newDay = !last || new Date(at).toDateString() !== new Date(lastAt).toDateString();
    n.classList.toggle("cont", !newDay && last.dataset.from !== undefined && last.dataset.from === n.dataset.from && at - lastAt < SAME_BREATH);
    if (newDay) n.dataset.day = dayName(new Date(at));
    else delete n.dataset.day;
  }
}

/** @param {Date} d */
function dayName(d) {
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (d.toDateString() === today.toDateString()) return "Today";
  if (d.toDateString() === yesterday.toDateString()) return "Yesterday";
  return DAY.format(d);
}

/** @param {Kind} kind @param {string} id */
function welcome(kind, id) {
  if (kind === "room") return `This is the beginning of ${id}. Say hello: everyone who joins will see it.`;
  if (kind === "direct") return `Only you and ${id} see this. It is kept for ${id} if they are away.`;
  return "Everybody connected to this mesh reads what you write here. For a smaller circle, join a room on the left.";
}

/** avatar is a coloured disc with an initial; the same name has the same colour everywhere. @param {string} name */
export function avatar(name) {
  let hash = 0x811c9dc5; // FNV-1a
  for (const c of name) hash = Math.imul(hash ^ (c.codePointAt(0) ?? 0), 0x01000193);
  const disc = element("span", `avatar hue-${((hash ^ (hash >>> 15)) >>> 0) % 12}`, ([...name][0] ?? "?").toUpperCase());
  disc.setAttribute("aria-hidden", "true");
  return disc;
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {string} [className] @param {string} [text]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, className = "", text = "") {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text) e.textContent = text;
  return e;
}
