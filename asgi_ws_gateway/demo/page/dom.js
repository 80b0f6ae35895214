// Elements are made of text and attributes, never of markup: nothing a stranger wrote is parsed.

export const find = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

export function avatar(person) {
  const words = person.name.split(/[\s.'-]+/).filter(Boolean);
  const initials = words.length > 1 ? words[0][0] + words.at(-1)[0] : person.name.slice(0, 2);
  return element("span", { class: `avatar tone-${person.tone}`, "aria-hidden": "true" }, initials);
}

export function clock(moment) {
  const date = new Date(moment);
  const text = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return element("time", { datetime: date.toISOString(), title: date.toLocaleString() }, text);
}

// Keeps the end of a scrolling list in sight as long as it is, whatever grows or shrinks.
export function followEnd(list) {
  let atEnd = true;
  const follow = () => {
    if (atEnd) list.scrollTop = list.scrollHeight;
  };
  list.addEventListener("scroll", () => {
    atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 48;
  });
  new MutationObserver(follow).observe(list, { childList: true });
  new ResizeObserver(follow).observe(list);
}

const drawn = new WeakMap();

// Replaces the items of a list if they differ, since a click that is under way would be lost. The
// focus stays on the button with the same `data-key`.
export function redraw(list, items) {
  const content = items.map(({ outerHTML }) => outerHTML).join("");
  if (drawn.get(list) === content) return;
  drawn.set(list, content);
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...items);
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}
