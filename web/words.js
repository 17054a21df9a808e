// words.js: what the page tells people. Every sentence says what happened and what to do next.

/** failure explains why a message or a request was refused. @param {{code: string, message?: string, retryAfter?: number}} err */
export function failure(err) {
  switch (err.code) {
    case "RateLimited":
      return err.retryAfter ? `You are sending too fast. Try again in ${seconds(err.retryAfter)}.` : "You are sending too fast. Wait a moment, then try again.";
    case "Forbidden":
      return "You may not do that here. Join the room first, or ask whoever runs this agent.";
    case "TooLarge":
      return "This message is too long. Shorten it, or split it in two.";
    case "BadRequest":
      return `The agent did not understand this${err.message ? `: ${err.message}` : ""}. Change it and send it anew.`;
    case "NotFound":
      return "Nobody in the mesh handles this. Check the name, then try again.";
    case "UnknownType":
      return "This agent does not know that kind of message.";
    case "Unauthenticated":
      return "Your session is no longer valid. Log in again.";
    case "Unavailable":
      return "The mesh cannot store messages right now. Nothing was sent; try again shortly.";
    case "Unknown":
      return "The connection was gone for so long that nobody knows whether this arrived. Ask, or send it anew.";
    case "QueueFull":
      return "Too many messages are waiting already. Wait for the connection to come back.";
    case "Closed":
      return "This was not sent: the connection was closed. Log in, then send it again.";
    default:
      return "Something went wrong inside the agent. Try again; if it goes on, look at the agent's log.";
  }
}

/** ended explains why the connection is over. @param {number} code @param {string} reason */
export function ended(code, reason) {
  if (code === 4401 || code === 0) {
    switch (reason) {
      case "SessionExpired": return "Your session has expired. Log in again to go on.";
      case "SessionRevoked": return "Your session was ended by the agent. Log in again if you may.";
      case "SessionMismatch": return "That session belongs to somebody else. Check the name and the token.";
      default: return "The agent did not accept your session. Log in again.";
    }
  }
  if (code === 4409) return "You opened this chat somewhere else. Use it there, or take it back here.";
  if (code === 1003 || code === 1007 || code === 1009) return "The agent refused a message as malformed and hung up. Reload the page to start over.";
  return "The agent closed the connection. Reconnect to go on.";
}

/** nameProblem gives what is wrong with a user or room name, or "". @param {string} name @param {string} what */
export function nameProblem(name, what) {
  if (!name) return `Enter ${what}.`;
  if (new TextEncoder().encode(name).length > 128) return "That name is too long. 128 bytes is the limit.";
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return "That name holds characters that cannot be shown. Type it by hand.";
  return "";
}

/** @param {number} ms */
export function seconds(ms) {
  const s = Math.max(1, Math.ceil(ms / 1000));
  return s === 1 ? "1 second" : `${s} seconds`;
}

/** list joins names: "ada", "ada and grace", "ada, grace and 3 others". @param {string[]} names */
export function list(names) {
  if (names.length <= 2) return names.join(" and ");
  if (names.length === 3) return `${names[0]}, ${names[1]} and ${names[2]}`;
  return `${names[0]}, ${names[1]} and ${names.length - 2} others`;
}
