// Brings the parts together: what the server says goes into the state, and the state on the page.

import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { ConversationView } from "./conversation.js";
import { avatar, element, find } from "./dom.js";
import { Entry } from "./entry.js";
import { EventForm } from "./event-form.js";
import { drawSidebar, drawStatus } from "./sidebar.js";
import { State } from "./state.js";
import { ask, notify } from "./toast.js";
import { Wire } from "./wire.js";

const INVITATION_SECONDS = 25;

const state = new State();
const view = new ConversationView(state);

const connection = new Connection(
  "chat",
  {
    wire: (direction, text) => wire.add(direction, text),
    latency: (ms) => drawStatus(state.myself, "good", `${ms < 1 ? "under 1" : Math.round(ms)} ms`),
    lost,
    refused,
    message: (event, data) => {
      if (!(event in received)) return;
      received[event](data);
      draw();
    },
  },
  {
    invitation: ({ from, room }) =>
      ask(`${from} invites you to #${room}.`, "Join", "No, thanks", INVITATION_SECONDS),
  },
);

const wire = new Wire((text) => connection.sendText(text));
const entry = new Entry((params) => connection.open(params));

const composer = new Composer({
  submit: (text) => {
    const { room, person } = state.current;
    return room ? request("send", { room, text }) : request("whisper", { to: person, text });
  },
  typing: (typing) => {
    const room = state.current?.room;
    if (state.myself.rooms.has(room)) connection.send("typing", { room, typing });
  },
});

new EventForm((data) => connection.request("announce", { room: state.current.room, ...data }));

// What the server sends, by event.
const received = {
  welcome(data) {
    const rooms = state.myself.rooms; // of the last connection, if there was one
    state.welcome(data);
    entry.entered(state.myself.name);
    find("banner").hidden = true;
    drawStatus(state.myself, "good", "connected");
    if (rooms.size) {
      for (const room of rooms) if (room !== "lobby") attempt("join", { room });
      if (!rooms.has("lobby")) attempt("leave", { room: "lobby" });
    } else {
      open(state.room("lobby"));
    }
  },

  arrived(person) {
    state.meet(person);
    for (const conversation of shared(person)) view.notice(conversation, `${person.name} joined`);
  },

  left(person) {
    state.people.delete(person.id);
    for (const conversation of shared(person)) {
      view.notice(conversation, `${person.name} left`);
      view.typing(conversation, person.name, false);
    }
  },

  entered({ room, ...person }) {
    state.meet(person);
    const conversation = state.myself.rooms.has(room) ? state.room(room) : null;
    const mine = person.id === state.me;
    if (conversation) view.notice(conversation, mine ? `You joined #${room}` : `${person.name} joined`);
    if (mine && state.current?.room !== room) open(conversation);
  },

  exited({ room, ...person }) {
    state.meet(person);
    if (person.id === state.me) {
      state.conversations.delete(`#${room}`);
      if (state.current?.room === room) open(anyConversation());
    } else if (state.myself.rooms.has(room)) {
      view.notice(state.room(room), `${person.name} left`);
      view.typing(state.room(room), person.name, false);
    }
  },

  said: (data) => view.message(state.room(data.room), data),

  announced: (data) => view.event(state.room(data.room), data),

  typing: ({ room, from, typing }) => view.typing(state.room(room), from, typing),

  whispered(data) {
    const other = data.from === state.myself.name ? data.to : data.from;
    view.message(state.person(other), data);
  },

  invited: ({ name, room, accepted }) =>
    notify(accepted ? `${name} joined #${room}` : `${name} did not come to #${room}`),

  error: ({ message }) => notify(message, "bad"),
};

// The conversations of ours in which it matters that somebody comes or goes.
function shared(person) {
  const rooms = person.rooms.filter((room) => state.myself.rooms.has(room));
  const alone = state.conversations.get(`@${person.name}`);
  return [...rooms.map((room) => state.room(room)), ...(alone ? [alone] : [])];
}

function anyConversation() {
  const [room] = state.myself.rooms;
  return room ? state.room(room) : null;
}

function lost(seconds) {
  drawStatus(state.myself, "bad", "offline");
  find("banner").hidden = false;
  find("banner-text").textContent =
    `The connection was lost. Next attempt in ${Math.ceil(seconds)} s.`;
  if (document.body.dataset.stage === "entry") entry.explain("The server does not answer. Trying again.");
}

function refused(reason) {
  find("banner").hidden = true;
  state.forget(); // the next name may be somebody else's
  entry.refuse(reason);
}

// A request whose failure is shown in a corner, and is the caller's too.
async function request(event, data) {
  try {
    return await connection.request(event, data);
  } catch (error) {
    notify(error.message, "bad");
    throw error;
  }
}

// The same, when the caller does not mind.
const attempt = (event, data) => request(event, data).catch(() => {});

function open(conversation) {
  composer.stop();
  if (state.current) state.current.draft = find("text").value;
  view.open(conversation);
  composer.replace(conversation?.draft ?? "");
  show("chat");
  draw();
  find("text").focus({ preventScroll: true });
}

const openPerson = (name) => open(state.person(name));

function openRoom(room) {
  if (state.myself.rooms.has(room)) open(state.room(room));
  else attempt("join", { room });
}

function draw() {
  drawSidebar(state, { openRoom, openPerson });
  view.drawTitle();
}

// On a narrow screen one column is shown at a time.
function show(column) {
  document.body.dataset.view = column;
  for (const tab of document.querySelectorAll("[data-show]")) {
    tab.setAttribute("aria-pressed", tab.dataset.show === column);
  }
}

function drawInvitations() {
  const { room } = state.current;
  const guests = state.others.filter(({ rooms }) => !rooms.has(room));
  const items = guests.map((person) => {
    const invite = () => {
      find("invite").open = false;
      notify(`Asking ${person.name}`);
      attempt("invite", { to: person.id, room });
    };
    return element("li", {}, element(
      "button", { type: "button", class: "item", onclick: invite }, avatar(person), person.name));
  });
  const nobody = element("li", { class: "muted" }, "Everyone is here already.");
  find("invite-list").replaceChildren(...(items.length ? items : [nobody]));
}

for (const tab of document.querySelectorAll("[data-show]")) tab.onclick = () => show(tab.dataset.show);
show("chat");

find("leave").onclick = () => attempt("leave", { room: state.current.room });
find("invite").ontoggle = () => find("invite").open && drawInvitations();
document.addEventListener("click", ({ target }) => {
  if (!find("invite").contains(target)) find("invite").open = false;
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") find("invite").open = false;
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && state.current) state.current.unread = 0;
  draw();
});
find("reconnect").onclick = () => connection.reconnect();
addEventListener("online", () => connection.reconnect());

find("new-room").onsubmit = (submit) => {
  submit.preventDefault();
  const { room } = find("new-room").elements;
  const name = room.value.trim().toLowerCase().replace(/[\s_]+/g, "-");
  if (name) openRoom(name);
  room.value = "";
};
