// One connection to a gateway that heals itself: requests with answers, questions from the server,
// a ping that measures the latency and notices a dead line, and reconnecting with a growing delay.

const PING_EVERY = 5_000;
const ANSWER_WITHIN = 5_000;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 15_000;

export class RequestFailed extends Error {
  constructor({ code, message, issues = [] }) {
    super(message);
    this.code = code;
    this.issues = issues;
  }
}

export class Connection {
  // `on` holds functions: message(event, data), wire(direction, text), latency(ms),
  // lost(seconds until the next attempt) and refused(reason), after which there is none.
  // `questions` holds those that answer what the server asks, by event.
  constructor(path, on, questions = {}) {
    this.path = path;
    this.on = on;
    this.questions = { heartbeat: () => null, ...questions };
    this.waiting = new Map();
    this.lastId = 0;
    this.failures = 0;
  }

  open(params = this.params) {
    this.params = params;
    clearTimeout(this.retry);
    const url = new URL(this.path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = new URLSearchParams(params);
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = ({ code, reason }) => socket === this.socket && this.ended(code, reason);
  }

  get ready() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(event, data) {
    this.sendText(JSON.stringify({ event, data }));
  }

  // Resolves to the data of the answer, or rejects with RequestFailed.
  request(event, data, within) {
    const id = `c${++this.lastId}`;
    return new Promise((resolve, reject) => {
      const fail = (code, message) => reject(new RequestFailed({ code, message }));
      if (!this.ready) return fail("offline", "Not connected");
      const timer = within && setTimeout(() => fail("timeout", "No answer"), within);
      this.waiting.set(id, { resolve, reject, timer });
      this.sendText(JSON.stringify({ event, data, id }));
    });
  }

  sendText(text) {
    if (!this.ready) return;
    this.socket.send(text);
    this.on.wire("out", text);
  }

  receive(text) {
    this.on.wire("in", text);
    const { event, data, id } = JSON.parse(text);
    if (!this.pinging) this.healthy();
    if (typeof id === "string" && id.startsWith("s:")) return this.answer(event, data, id);
    const waiting = this.waiting.get(id);
    if (waiting) {
      this.waiting.delete(id);
      clearTimeout(waiting.timer);
      if (event === "error") waiting.reject(new RequestFailed(data));
      else waiting.resolve(data);
    }
    if (event === "error" ? !waiting : event !== "ack") this.on.message(event, data);
  }

  async answer(event, data, id) {
    const question = this.questions[event];
    if (question) this.sendText(JSON.stringify({ event: "ack", data: await question(data), id }));
    else this.sendText(JSON.stringify({ event: "error", data: { code: "unknown_event" }, id }));
  }

  // A server that accepts and closes at once is no success: the first message is.
  healthy() {
    this.failures = 0;
    clearInterval(this.pinging);
    this.pinging = setInterval(() => this.ping(), PING_EVERY);
    this.ping();
  }

  async ping() {
    const socket = this.socket;
    const sent = performance.now();
    try {
      await this.request("ping", undefined, ANSWER_WITHIN);
      this.on.latency(performance.now() - sent);
    } catch (error) {
      // Closing waits for the other side, which does not answer: go on without it.
      if (error.code === "timeout" && socket === this.socket) {
        socket.close();
        this.ended(1006, "");
      }
    }
  }

  ended(code, reason) {
    this.socket = null;
    clearInterval(this.pinging);
    this.pinging = null;
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(new RequestFailed({ code: "offline", message: "The connection was lost" }));
    }
    this.waiting.clear();
    if (code >= 4400 && code < 4500 && code !== 4408) {
      this.on.refused(reason);
      return;
    }
    // At random, so that a thousand clients do not come back in the same moment.
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.failures++);
    const jittered = delay * (0.5 + Math.random() / 2);
    this.retry = setTimeout(() => this.open(), jittered);
    this.on.lost(jittered / 1000);
  }

  reconnect() {
    if (!this.socket) this.open();
  }
}
