// agentmesh.js: the browser client of the agentmesh.v1 protocol. An ES module without dependencies.
//
//   import { Client } from "./agentmesh.js";
//
//   const client = new Client({ url: "wss://example.org/ws", user: "ada", session });
//   client.addEventListener("message", (e) => console.log(e.detail.from.id, e.detail.message));
//   await client.connect();
//   await client.join("lobby");
//   await client.room("lobby", "Hello"); // settled when the mesh has stored it
//
// Guarantees
//   - Within a history (inbox, a room, the global one) "message" events come in ascending `seq`, each once,
//     also across reconnects. A hole that the mesh cannot fill any more is announced by a "gap" event before
//     the message that follows it.
//   - A promise of send() settles exactly once: with the Ack, or with a MeshError. What is not acknowledged
//     when the connection breaks is sent again with the same id, and the mesh delivers it once.
//
// Events: each is a CustomEvent, its content is `detail`.
//   state     {state, delay?, retryAt?, code?, reason?}   idle, connecting, online, waiting, ended
//   message   a delivery: {type, id, from, to?, message?, game?, payload?, time, seq?, epoch?, …}
//   presence  {to, members?, joined?, left?, online?}
//   gap       {history: "inbox" | "global" | "room", room?, missed?}
//   left      {room, error?}    a room that could not be rejoined, or was left
//   logout    {reason}
//   error     a MeshError that belongs to no promise

/** @typedef {{type: "User"|"ChatRoom", id: string}} Address */
/**
 * @typedef {object} Envelope One message of the protocol.
 * @property {string} type
 * @property {string} [id]
 * @property {Address & {session?: string}} [from]
 * @property {Address} [to]
 * @property {string} [message]
 * @property {string} [game]
 * @property {unknown} [payload]
 * @property {string} [time]
 * @property {number} [seq]
 * @property {string} [epoch]
 */
/** @typedef {Envelope & Record<string, any>} AnyEnvelope */
/** @typedef {"idle"|"connecting"|"online"|"waiting"|"ended"} State */
/**
 * @typedef {object} Options
 * @property {string} url        ws:// or wss:// address of the agent's bridge
 * @property {string} user       the user the session belongs to
 * @property {string} session    kept in memory only, sent in Login only
 * @property {boolean} [replay]  what a history is asked for at first: true (default): all the mesh still keeps; false: live messages only
 * @property {(e: AnyEnvelope) => void} [onEnvelope] sees every envelope as it arrives, before ordering
 * @property {number} [pingEvery]  milliseconds between pings; default 25000, 0 = none
 * @property {number} [timeout]    milliseconds for Login and Pong, then the connection is made anew; default 10000
 * @property {number} [maxPending] unacknowledged messages held at most; send rejects beyond; default 1000
 * @property {number} [maxMessage] bytes of an envelope; longer ones are refused here; default 65536
 * @property {{base?: number, cap?: number}} [backoff] milliseconds; default 500 and 30000
 * @property {() => number} [random]    0 ≤ r < 1; default Math.random
 * @property {typeof WebSocket} [WebSocket] default the browser's
 */

export const PROTOCOL = "agentmesh.v1";

// After this time a message that may have reached the mesh is not sent again: the mesh forgets ids after ten
// minutes, and a repeat would be delivered twice.
const RESEND_WINDOW = 9 * 60_000;
const HELD_AT_MOST = 4096; // messages one history holds back while it resumes
const NORMAL = 1000;

const ANSWERS = new Set(["Ack", "Error", "Logout", "Presence", "Pong"]);
const CONTROL = new Set(["JoinRoom", "LeaveRoom", "Who"]);

// What a close code asks of a client; codes not listed mean: reconnect.
/** @type {Record<number, "end"|"slow">} */
const CLOSE = { 1000: "end", 1003: "end", 1007: "end", 1009: "end", 4401: "end", 4409: "end", 4429: "slow" };

/** MeshError is an Error envelope of the mesh, or a failure of the client (codes Closed, QueueFull, Unknown). */
export class MeshError extends Error {
  /** @param {{code: string, message?: string, field?: string, retry?: boolean, retry_after_ms?: number, ref?: string}} e */
  constructor(e) {
    super(e.message || e.code);
    this.name = "MeshError";
    this.code = e.code;
    this.field = e.field;
    this.retry = e.retry === true;
    this.retryAfter = e.retry_after_ms;
    this.ref = e.ref;
  }
}

/**
 * History keeps the place reached in one history and puts what arrives in order: it passes on each seq once,
 * ascending, and holds back what lies beyond a hole until the resume that fills it is answered.
 */
class History {
  /** @type {string|undefined} */ epoch;
  last = 0;
  known = false; // last means something
  resuming = false; // a Login or JoinRoom that replays this history is not answered yet
  told = false; // the hole of this resume has been announced
  /** @type {Map<number, AnyEnvelope>} */ held = new Map();

  /** @param {{history: string, room?: string}} name @param {(e: AnyEnvelope) => void} pass @param {(gap: object) => void} gap @param {() => void} resume */
  constructor(name, pass, gap, resume) {
    this.name = name;
    this.pass = pass;
    this.gap = gap;
    this.resume = resume;
  }

  /** accept takes a delivery with a seq. @param {AnyEnvelope} e */
  accept(e) {
    const seq = /** @type {number} */ (e.seq);
    if (this.epoch !== undefined && e.epoch !== undefined && e.epoch !== this.epoch) this.#reborn(e.epoch);
    if (e.epoch !== undefined) this.epoch = e.epoch;
    if (!this.known && !this.resuming) {
      this.known = true;
      this.last = seq - 1; // a room joined on another device: it begins here
    }
    if (seq <= this.last) return;
    if (seq === this.last + 1) {
      this.#take(e);
      for (let next; (next = this.held.get(this.last + 1)); ) this.#take(next);
      return;
    }
    this.held.set(seq, e);
    if (this.held.size >= HELD_AT_MOST) this.#release();
    else if (!this.resuming) this.resume();
  }

  /** settle takes the answer to a resume: everything up to its seq has been replayed. @param {AnyEnvelope} ack */
  settle(ack) {
    this.resuming = false;
    if (ack.epoch !== undefined && this.epoch !== undefined && ack.epoch !== this.epoch) this.#reborn(ack.epoch);
    if (ack.epoch !== undefined) this.epoch = ack.epoch;
    if (ack.gap && this.known && !this.told) this.#tell(undefined);
    this.told = false;
    // A first replay begins where the history does: what lies before is not a hole.
    if (ack.gap || !this.known) this.#release(true);
    else this.#release();
    if (typeof ack.seq === "number" && ack.seq > this.last) this.last = ack.seq;
    this.known = true;
  }

  // A new life of the history begins: what is held of the old one will not be completed any more.
  /** @param {string} epoch */
  #reborn(epoch) {
    this.#release();
    this.epoch = epoch;
    this.last = 0;
    if (this.known) this.#tell(undefined);
    this.told = this.resuming;
  }

  /** @param {AnyEnvelope} e */
  #take(e) {
    this.last = /** @type {number} */ (e.seq);
    this.held.delete(this.last);
    this.pass(e);
  }

  // release passes on what is held, holes or not.
  #release(told = false) {
    for (const seq of [...this.held.keys()].sort((a, b) => a - b)) {
      const e = /** @type {AnyEnvelope} */ (this.held.get(seq));
      if (seq <= this.last) {
        this.held.delete(seq);
        continue;
      }
      if (seq > this.last + 1 && !told) this.#tell(seq - this.last - 1);
      told = false;
      this.#take(e);
    }
  }

  /** @param {number|undefined} missed */
  #tell(missed) {
    this.gap({ ...this.name, missed });
  }
}

/**
 * @typedef {object} Pending
 * @property {AnyEnvelope} envelope
 * @property {(ack: AnyEnvelope) => void} resolve
 * @property {(err: MeshError) => void} reject
 * @property {number} sentAt 0 = never on a wire
 */

/** Client is one user's connection to the mesh. It reconnects by itself until close(), logout() or a refusal. */
export class Client extends EventTarget {
  /** @type {State} */ #state = "idle";
  /** @type {WebSocket|undefined} */ #socket;
  /** @type {History} */ #inbox;
  /** @type {History} */ #global;
  /** @type {Map<string, History>} */ #rooms = new Map(); // histories of rooms, joined or about to be
  /** @type {Set<string>} */ #joined = new Set();
  /** @type {Map<string, Pending>} */ #pending = new Map(); // in the order in which they were given
  /** @type {Array<{resolve: (p: {bound: boolean, ms: number}) => void, reject: (e: MeshError) => void, at: number}>} */ #pings = [];
  /** @type {Array<{resolve: () => void, reject: (e: MeshError) => void}>} */ #connecting = [];
  /** @type {Map<string, (ack: AnyEnvelope|undefined, err?: MeshError) => void>} */ #control = new Map(); // answers of the client's own messages
  /** @type {Record<string, ReturnType<typeof setTimeout>|undefined>} */ #timers = {};
  #attempt = 0;
  #slow = false;
  #counter = 0;
  #prefix = randomName();
  /** @type {string|undefined} */ #logoutReason;
  #online = () => this.reconnect();

  /** @param {Options} options */
  constructor(options) {
    super();
    if (!options.url || !options.user || !options.session) throw new TypeError("agentmesh: url, user and session are needed");
    this.options = {
      replay: true, pingEvery: 25_000, timeout: 10_000, maxPending: 1000, maxMessage: 65536, random: Math.random,
      WebSocket: globalThis.WebSocket, ...options, backoff: { base: 500, cap: 30_000, ...options.backoff },
    };
    this.#inbox = this.#history({ history: "inbox" }, () => this.#login());
    this.#global = this.#history({ history: "global" }, () => this.#login());
  }

  get state() { return this.#state; }
  get user() { return this.options.user; }
  /** The rooms this client has joined. */
  get rooms() { return [...this.#joined]; }
  /** How many messages wait for their Ack. */
  get pending() { return this.#pending.size; }

  /** connect resolves when the first Login is acknowledged, and rejects when the mesh refuses it. @returns {Promise<void>} */
  connect() {
    if (this.#state === "online") return Promise.resolve();
    const done = new Promise((resolve, reject) => this.#connecting.push({ resolve: () => resolve(undefined), reject }));
    if (this.#state === "idle" || this.#state === "ended") {
      globalThis.addEventListener?.("online", this.#online);
      this.#attempt = 0;
      this.#dial();
    }
    return done;
  }

  /** reconnect ends the wait before the next attempt. It does nothing in other states. */
  reconnect() {
    if (this.#state === "waiting") this.#dial();
  }

  /** close ends the connection for good. Promises still open reject with the code Closed. */
  close() {
    if (this.#state !== "ended") this.#end(NORMAL, "");
  }

  /** logout tells the mesh, then closes. The session itself stays valid. */
  logout() {
    if (this.#state === "online") this.#write({ type: "Logout" });
    this.close();
  }

  /**
   * send hands an envelope to the mesh, now or as soon as the client is online. An envelope without `id` gets
   * one. Sending a failed envelope again with its id is safe: the mesh delivers it once.
   * @param {AnyEnvelope} envelope
   * @returns {Promise<AnyEnvelope>} the Ack
   */
  send(envelope) {
    const e = { ...envelope, id: envelope.id ?? this.newID() };
    if (this.#state === "ended") return Promise.reject(closed(e.id));
    if (this.#pending.has(e.id)) return Promise.reject(new MeshError({ code: "Duplicate", message: "A message with this id is on its way.", ref: e.id }));
    const size = new TextEncoder().encode(JSON.stringify(e)).length;
    if (size > this.options.maxMessage) {
      return Promise.reject(new MeshError({ code: "TooLarge", message: `This message has ${size} bytes; ${this.options.maxMessage} are allowed.`, ref: e.id }));
    }
    if (this.#pending.size >= this.options.maxPending) {
      return Promise.reject(new MeshError({ code: "QueueFull", message: "Too many messages wait to be sent.", retry: true, ref: e.id }));
    }
    return new Promise((resolve, reject) => {
      const pending = { envelope: e, resolve, reject, sentAt: 0 };
      this.#pending.set(e.id, pending);
      if (this.#state === "online") this.#post(pending);
    });
  }

  /** newID gives an id that no other message of this user has. */
  newID() { return `${this.#prefix}-${(++this.#counter).toString(36)}`; }

  /** @param {string} user @param {string} text */
  direct(user, text) { return this.send({ type: "DirectMessage", to: { type: "User", id: user }, message: wellFormed(text) }); }

  /** @param {string} room @param {string} text */
  room(room, text) { return this.send({ type: "ChatRoomMessage", to: { type: "ChatRoom", id: room }, message: wellFormed(text) }); }

  /** @param {string} text */
  global(text) { return this.send({ type: "GlobalMessage", message: wellFormed(text) }); }

  /** @param {string} game @param {unknown} payload */
  game(game, payload) { return this.send({ type: "GameAction", game, payload }); }

  /** join makes the user a member of a room and replays its history. @param {string} room */
  join(room) { return this.send({ type: "JoinRoom", to: { type: "ChatRoom", id: room } }); }

  /** @param {string} room */
  leave(room) { return this.send({ type: "LeaveRoom", to: { type: "ChatRoom", id: room } }); }

  /** who gives the members of a room and which of them are online. @param {string} room @returns {Promise<AnyEnvelope>} */
  who(room) { return this.send({ type: "Who", to: { type: "ChatRoom", id: room } }); }

  /** ping measures the way to the agent and back. @returns {Promise<{bound: boolean, ms: number}>} */
  ping() {
    if (this.#state !== "online") return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      this.#pings.push({ resolve, reject, at: performance.now() });
      this.#write({ type: "Ping" });
    });
  }

  // ---- the connection

  #dial() {
    this.#clear("retry");
    this.#logoutReason = undefined;
    this.#become("connecting");
    let socket;
    try {
      socket = new this.options.WebSocket(this.options.url, [PROTOCOL]);
    } catch (cause) { // a bad address; nothing a second attempt would change
      this.#end(0, cause instanceof Error ? cause.message : String(cause));
      return;
    }
    this.#socket = socket;
    this.#timers.login = setTimeout(() => this.#drop(socket, 0), this.options.timeout);
    socket.onopen = () => this.#login();
    socket.onmessage = (event) => { if (socket === this.#socket) this.#receive(event.data); };
    socket.onclose = (event) => this.#drop(socket, event.code, event.reason);
  }

  // drop gives a connection up: the browser said it is closed (code), or it no longer answers (0).
  /** @param {WebSocket} socket @param {number} code @param {string} [reason] */
  #drop(socket, code, reason = "") {
    if (socket !== this.#socket) return;
    this.#detach();
    if (CLOSE[code] === "end") {
      this.#end(code, reason);
      return;
    }
    if (CLOSE[code] === "slow") this.#slow = true;
    this.#retry(code, reason);
  }

  // Full jitter: any moment between now and the current step, so that a thousand clients of a restarted agent
  // do not come back together. After a rate limit (4429) a fixed wait comes on top.
  /** @param {number} code @param {string} reason */
  #retry(code, reason) {
    const { base = 500, cap = 30_000 } = this.options.backoff;
    const step = Math.min(cap, base * 2 ** Math.min(this.#attempt++, 20));
    const delay = Math.round(this.options.random() * step) + (this.#slow ? Math.min(cap, 10 * base) : 0);
    this.#slow = false;
    this.#timers.retry = setTimeout(() => this.#dial(), delay);
    this.#become("waiting", { delay, retryAt: Date.now() + delay, code, reason, attempt: this.#attempt });
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    const why = this.#logoutReason ?? reason;
    this.#detach(NORMAL);
    this.#clear("retry");
    globalThis.removeEventListener?.("online", this.#online);
    this.#state = "ended"; // before the rejections, so that nobody sends from their handlers
    for (const p of [...this.#pending.values()]) p.reject(closed(p.envelope.id));
    this.#pending.clear();
    for (const c of this.#connecting.splice(0)) c.reject(new MeshError({ code: code === 4401 ? "Unauthenticated" : "Closed", message: why }));
    this.#emit("state", { state: "ended", code, reason: why });
  }

  /** @param {number} [code] */
  #detach(code) {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#clear(...Object.keys(this.#timers).filter((name) => name !== "retry"));
    this.#control.clear();
    for (const h of [this.#inbox, this.#global, ...this.#rooms.values()]) h.resuming = false;
    for (const p of this.#pings.splice(0)) p.reject(closed());
    if (socket && socket.readyState < 2) socket.close(code ?? NORMAL);
  }

  #ready() {
    this.#clear("login");
    this.#attempt = 0;
    this.#become("online");
    for (const room of this.#joined) this.#rejoin(room);
    for (const p of [...this.#pending.values()]) this.#repost(p);
    for (const c of this.#connecting.splice(0)) c.resolve();
    this.#keepAlive();
  }

  #keepAlive() {
    if (!this.options.pingEvery) return;
    this.#timers.ping = setTimeout(() => {
      const socket = this.#socket;
      if (!socket) return;
      this.#timers.pong = setTimeout(() => this.#drop(socket, 0), this.options.timeout);
      this.ping().then(({ bound }) => {
        this.#clear("pong");
        if (!bound) this.#login();
        this.#keepAlive();
      }, () => {});
    }, this.options.pingEvery);
  }

  // ---- what goes out

  #login() {
    const reply = this.#own({ type: "Login", from: { type: "User", id: this.user, session: this.options.session },
      ...this.#since(this.#inbox, "since", "epoch"), ...this.#since(this.#global, "since_global", "epoch_global") });
    reply((ack, err) => {
      if (err) {
        this.#refused(err);
        return;
      }
      this.#inbox.settle(/** @type {AnyEnvelope} */ (ack));
      this.#global.settle(ack?.global ?? {});
      if (this.#state === "connecting") this.#ready();
    });
  }

  /** @param {MeshError} err */
  #refused(err) {
    if (err.code === "Unauthenticated" || err.code === "Forbidden" || err.code === "BadRequest") {
      this.#end(4401, err.message);
    } else {
      this.#detach();
      this.#slow = err.code === "RateLimited";
      this.#retry(0, err.message);
    }
  }

  /** @param {string} room */
  #rejoin(room) {
    const history = this.#roomHistory(room);
    const reply = this.#own({ type: "JoinRoom", to: { type: "ChatRoom", id: room }, ...this.#since(history, "since", "epoch") });
    reply((ack, err) => {
      if (ack) history.settle(ack);
      else if (err?.retry) this.#timers[`room ${room}`] = setTimeout(() => this.#rejoin(room), err.retryAfter ?? 1000 + 2000 * this.options.random());
      else this.#forget(room, err);
    });
  }

  // since asks for what follows the place reached. A history that is not known is asked for from its beginning.
  /** @param {History} history @param {string} since @param {string} epoch */
  #since(history, since, epoch) {
    history.resuming = true;
    if (history.known) return { [since]: history.last, ...(history.epoch !== undefined && { [epoch]: history.epoch }) };
    return this.options.replay ? { [since]: 0 } : {};
  }

  // own sends a message of the client itself, whose answer is lost with the connection and asked for anew.
  /** @param {AnyEnvelope} envelope */
  #own(envelope) {
    const id = this.newID();
    this.#write({ ...envelope, id });
    return (/** @type {(ack: AnyEnvelope|undefined, err?: MeshError) => void} */ done) => { this.#control.set(id, done); };
  }

  /** @param {Pending} p */
  #post(p) {
    let e = p.envelope;
    if (e.type === "JoinRoom" && e.to) e = { ...e, ...this.#since(this.#roomHistory(e.to.id), "since", "epoch") };
    p.sentAt ||= Date.now();
    this.#write(e);
  }

  // repost sends again after a reconnect: the same id, so that the mesh knows a repeat. What only asks or sets
  // (join, leave, who) gets a new id instead, or its answer would be the old one, without a replay.
  /** @param {Pending} p */
  #repost(p) {
    if (p.sentAt && Date.now() - p.sentAt > RESEND_WINDOW) {
      this.#settle(p, undefined, new MeshError({ code: "Unknown", message: "The connection was lost for too long to know whether this arrived.", ref: p.envelope.id }));
      return;
    }
    if (p.sentAt && CONTROL.has(p.envelope.type)) {
      this.#pending.delete(/** @type {string} */ (p.envelope.id));
      p.envelope = { ...p.envelope, id: this.newID() };
      this.#pending.set(/** @type {string} */ (p.envelope.id), p);
    }
    this.#post(p);
  }

  /** @param {AnyEnvelope} envelope */
  #write(envelope) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(envelope));
  }

  // ---- what comes in

  /** @param {unknown} data */
  #receive(data) {
    let e;
    try {
      e = JSON.parse(/** @type {string} */ (data));
    } catch {
      return; // not of the protocol; the agent sends nothing else
    }
    if (e === null || typeof e !== "object" || typeof e.type !== "string") return;
    this.options.onEnvelope?.(e);
    if (ANSWERS.has(e.type)) this.#answer(e);
    else this.#deliver(e);
  }

  /** @param {AnyEnvelope} e */
  #answer(e) {
    switch (e.type) {
      case "Ack": return this.#settled(e, undefined);
      case "Error": return this.#settled(e, new MeshError(/** @type {any} */ (e)));
      case "Presence": return this.#presence(e);
      case "Logout":
        this.#logoutReason = e.reason;
        this.#emit("logout", { reason: e.reason });
        return;
      case "Pong":
        const ping = this.#pings.shift();
        ping?.resolve({ bound: e.bound !== false, ms: performance.now() - ping.at });
    }
  }

  /** @param {AnyEnvelope} e @param {MeshError|undefined} err */
  #settled(e, err) {
    const own = this.#control.get(e.ref);
    if (own) {
      this.#control.delete(e.ref);
      own(err ? undefined : e, err);
      return;
    }
    const p = this.#pending.get(e.ref);
    if (!p) {
      if (err) this.#emit("error", err);
      return;
    }
    if (!err && p.envelope.type === "Who") return; // its answer is the Presence
    this.#settle(p, e, err);
  }

  /** @param {Pending} p @param {AnyEnvelope|undefined} ack @param {MeshError} [err] */
  #settle(p, ack, err) {
    const { id, type, to } = p.envelope;
    this.#pending.delete(/** @type {string} */ (id));
    if (err) {
      if (type === "JoinRoom" && to && !this.#joined.has(to.id)) this.#rooms.delete(to.id);
      p.reject(err);
      return;
    }
    if (type === "JoinRoom" && to) {
      this.#joined.add(to.id);
      this.#roomHistory(to.id).settle(ack ?? {});
    }
    if (type === "LeaveRoom" && to) this.#forget(to.id);
    p.resolve(/** @type {AnyEnvelope} */ (ack));
  }

  /** @param {AnyEnvelope} e */
  #presence(e) {
    if (e.members) {
      for (const p of [...this.#pending.values()]) {
        if (p.envelope.type === "Who" && p.envelope.to?.id === e.to?.id) this.#settle(p, e);
      }
    }
    this.#emit("presence", e);
  }

  /** @param {AnyEnvelope} e */
  #deliver(e) {
    if (typeof e.seq !== "number") return this.#emit("message", e);
    if (!e.to) this.#global.accept(e);
    else if (e.to.type === "User") this.#inbox.accept(e);
    else this.#roomHistory(e.to.id).accept(e);
  }

  /** @param {string} room @returns {History} */
  #roomHistory(room) {
    let h = this.#rooms.get(room);
    if (!h) this.#rooms.set(room, (h = this.#history({ history: "room", room }, () => this.#rejoin(room))));
    return h;
  }

  /** @param {{history: string, room?: string}} name @param {() => void} resume */
  #history(name, resume) {
    return new History(name, (e) => this.#emit("message", e), (gap) => this.#emit("gap", gap), resume);
  }

  /** @param {string} room @param {MeshError} [error] */
  #forget(room, error) {
    this.#joined.delete(room);
    this.#rooms.delete(room);
    this.#emit("left", { room, error });
  }

  /** @param {State} state @param {object} [more] */
  #become(state, more) {
    this.#state = state;
    this.#emit("state", { state, ...more });
  }

  /** @param {string} type @param {unknown} detail */
  #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  /** @param {...string} names */
  #clear(...names) {
    for (const name of names) {
      clearTimeout(this.#timers[name]);
      this.#timers[name] = undefined;
    }
  }
}

/** @param {string} [ref] */
function closed(ref) {
  return new MeshError({ code: "Closed", message: "The connection is closed.", retry: true, ref });
}

// Half a surrogate pair is not UTF-8 and would be refused.
/** @param {string} text */
function wellFormed(text) {
  return /** @type {any} */ (text).toWellFormed?.() ?? text;
}

// randomUUID is missing on plain http away from localhost, getRandomValues is not.
function randomName() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
