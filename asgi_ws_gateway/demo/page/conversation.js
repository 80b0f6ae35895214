// The middle of the page: the messages of the current conversation, its title, and who is typing.

import { avatar, clock, element, find, followEnd } from "./dom.js";

const KEPT = 300;
const GROUPED_WITHIN = 3 * 60_000;
const TYPING_SHOWN = 6_000;

export class ConversationView {
  constructor(state) {
    this.state = state;
    this.feed = find("feed");
    followEnd(this.feed);
  }

  // Shows a conversation, or none.
  open(conversation) {
    this.state.current = conversation;
    if (conversation) conversation.unread = 0;
    this.feed.replaceChildren(...(conversation?.entries ?? [placeholder()]));
    this.feed.scrollTop = this.feed.scrollHeight;
    this.drawTyping();
  }

  notice(conversation, text) {
    this.add(conversation, element("li", { class: "notice" }, text));
  }

  message(conversation, { from, text, at }) {
    const mine = from === this.state.myself.name;
    const last = conversation.entries.at(-1)?.dataset;
    const follows = last?.from === from && Date.parse(at) - Date.parse(last.at) < GROUPED_WITHIN;
    const classes = ["message", mine && "message-mine", follows && "message-follows"];
    this.add(conversation, element(
      "li",
      { class: classes.filter(Boolean).join(" "), "data-from": from, "data-at": at },
      avatar(this.state.named(from)),
      element("div", { class: "bubble-column" },
        element("div", { class: "message-head" }, element("strong", {}, from), clock(at)),
        element("p", { class: "bubble" }, text)),
    ), !mine);
    this.typing(conversation, from, false);
  }

  event(conversation, { from, at, title, seats, contact, venue }) {
    const mine = from === this.state.myself.name;
    const facts = [
      ["Where", `${venue.street}, ${venue.postcode} ${venue.city}`],
      ["Seats", String(seats)],
      ["Contact", contact],
    ].flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
    this.add(conversation, element(
      "li",
      { class: "event-card" },
      element("div", { class: "message-head" }, element("span", {}, `${from} announced`), clock(at)),
      element("h3", {}, title),
      element("dl", {}, ...facts),
    ), !mine);
  }

  add(conversation, entry, counts = false) {
    const { entries } = conversation;
    entries.push(entry);
    const surplus = entries.splice(0, Math.max(0, entries.length - KEPT));
    const current = conversation === this.state.current;
    if (current) {
      this.feed.append(entry);
      for (const old of surplus) old.remove();
    }
    if (counts && (!current || document.hidden)) conversation.unread += 1;
  }

  // Somebody who goes silent without a word stops typing here after a while.
  typing(conversation, name, typing) {
    clearTimeout(conversation.typing.get(name));
    if (typing) {
      const stop = () => this.typing(conversation, name, false);
      conversation.typing.set(name, setTimeout(stop, TYPING_SHOWN));
    } else {
      conversation.typing.delete(name);
    }
    this.drawTyping();
  }

  drawTyping() {
    const names = [...(this.state.current?.typing.keys() ?? [])];
    const line = find("typing");
    const text = sentence(names);
    if (line.dataset.text === text) return;
    line.dataset.text = text;
    const dots = [1, 2, 3].map(() => element("i", { "aria-hidden": "true" }));
    line.replaceChildren(...(text ? [element("span", { class: "dots" }, ...dots), text] : []));
  }

  drawTitle() {
    const { current, myself } = this.state;
    const { title, subtitle } = describe(this.state, current);
    find("conversation-title").textContent = title;
    find("conversation-subtitle").textContent = subtitle;
    const room = current?.room && myself.rooms.has(current.room);
    for (const id of ["invite", "plan", "leave"]) find(id).hidden = !room;
    find("text").disabled = find("send").disabled = !current;
    find("text").placeholder = current ? `Message ${current.room ? current.key : title}` : "";
  }
}

function placeholder() {
  return element("li", { class: "notice notice-alone" }, "Choose a room or a person.");
}

function sentence(names) {
  if (!names.length) return "";
  if (names.length > 2) return "Several people are typing";
  return `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing`;
}

function describe(state, current) {
  if (!current) return { title: "No conversation", subtitle: "" };
  if (current.person) {
    const here = state.people.has(state.named(current.person).id);
    return {
      title: current.person,
      subtitle: here ? "Private: only the two of you see this" : "Not here any more",
    };
  }
  const names = state.inRoom(current.room).map(({ name }) => name);
  return {
    title: `# ${current.room}`,
    subtitle: `${names.length} ${names.length === 1 ? "person" : "people"} · ${names.join(", ")}`,
  };
}
