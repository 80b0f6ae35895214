// Rooms with their counts, who is online, and ourselves with the state of the connection.

import { avatar, element, find, redraw } from "./dom.js";

const badge = (unread) =>
  unread ? element("span", { class: "badge", "aria-label": `${unread} unread` }, String(unread)) : null;

export function drawSidebar(state, { openRoom, openPerson }) {
  redraw(find("rooms"), state.rooms.map((room) => roomItem(state, room, openRoom)));
  redraw(find("people"), [
    myItem(state.myself),
    ...state.contacts.map((person) => personItem(state, person, openPerson)),
  ]);
  find("people-count").textContent = String(state.people.size);
  const tab = find("tab-badge");
  tab.hidden = !state.unread;
  tab.textContent = String(state.unread);
  document.title = `${state.unread ? `(${state.unread}) ` : ""}Chat · asgi_ws_gateway`;
}

function roomItem(state, room, open) {
  const conversation = state.conversations.get(`#${room}`);
  const joined = state.myself.rooms.has(room);
  const count = state.inRoom(room).length;
  return element("li", {}, element(
    "button",
    {
      type: "button",
      class: joined ? "item" : "item item-faint",
      "data-key": `#${room}`,
      "aria-current": state.current?.room === room ? "true" : null,
      title: joined ? `Go to #${room}` : `Join #${room}`,
      onclick: () => open(room),
    },
    element("span", { class: "hash", "aria-hidden": "true" }, "#"),
    element("span", { class: "item-name" }, room),
    badge(conversation?.unread),
    element("span", { class: "count", title: `${count} here` }, String(count)),
  ));
}

function personItem(state, person, open) {
  const here = state.people.has(person.id);
  return element("li", {}, element(
    "button",
    {
      type: "button",
      class: here ? "item" : "item item-faint",
      "data-key": `@${person.name}`,
      "aria-current": state.current?.person === person.name ? "true" : null,
      title: `Talk to ${person.name} alone`,
      onclick: () => open(person.name),
    },
    avatar(person),
    element("span", { class: "item-name" }, person.name),
    badge(state.conversations.get(`@${person.name}`)?.unread),
    element("span", { class: here ? "dot dot-good" : "dot", title: here ? "online" : "gone" }),
  ));
}

function myItem(person) {
  return element("li", { class: "item item-me" },
    avatar(person),
    element("span", { class: "item-name" }, person.name),
    element("span", { class: "muted" }, "you"),
    element("span", { class: "dot dot-good", title: "online" }));
}

export function drawStatus(person, kind, text) {
  find("me").replaceChildren(
    avatar(person),
    element("div", {},
      element("strong", {}, person.name),
      element("span", { class: "status muted", id: "status" },
        element("span", { class: `dot dot-${kind}` }), text)),
  );
}
