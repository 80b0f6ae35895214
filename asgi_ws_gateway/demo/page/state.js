// What this window knows: who is here, in which rooms, and what was said in its conversations.
// It draws nothing.

export const ROOMS = ["lobby", "design", "music", "random"];

export class State {
  constructor() {
    this.me = null; // the id of our peer
    this.people = new Map(); // by id: { id, name, tone, rooms: Set }
    this.conversations = new Map(); // by key, "#room" or "@name"
    this.current = null;
    this.tones = new Map(); // by name, of people who have left too
  }

  forget() {
    this.me = this.current = null;
    this.people.clear();
    this.conversations.clear();
  }

  welcome({ you, people }) {
    this.me = you;
    this.people.clear();
    for (const person of people) this.meet(person);
  }

  meet(person) {
    this.people.set(person.id, { ...person, rooms: new Set(person.rooms) });
    this.tones.set(person.name, person.tone);
  }

  get myself() {
    return this.people.get(this.me) ?? { name: "", tone: 0, rooms: new Set() };
  }

  get others() {
    return [...this.people.values()].filter(({ id }) => id !== this.me);
  }

  // Everyone by name: those who are here, and those who are not but whom we have talked to.
  get contacts() {
    const contacts = new Map(this.others.map((person) => [person.name, person]));
    for (const { person } of this.conversations.values()) {
      if (person && !contacts.has(person)) contacts.set(person, this.stranger(person));
    }
    return [...contacts.values()].sort((one, other) => one.name.localeCompare(other.name));
  }

  stranger(name) {
    return { name, tone: this.tones.get(name) ?? 0, rooms: new Set() };
  }

  named(name) {
    return [...this.people.values()].find((person) => person.name === name) ?? this.stranger(name);
  }

  inRoom(room) {
    return [...this.people.values()].filter(({ rooms }) => rooms.has(room));
  }

  get rooms() {
    const others = [...this.people.values()].flatMap(({ rooms }) => [...rooms]);
    return [...new Set([...ROOMS, ...others.sort()])];
  }

  room(name) {
    return this.conversation(`#${name}`, { room: name });
  }

  person(name) {
    return this.conversation(`@${name}`, { person: name });
  }

  conversation(key, subject) {
    if (!this.conversations.has(key)) {
      const made = { key, ...subject, entries: [], unread: 0, draft: "", typing: new Map() };
      this.conversations.set(key, made);
    }
    return this.conversations.get(key);
  }

  get unread() {
    return [...this.conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
  }
}
