// JSON as coloured elements: short values on one line, long ones indented.

import { element } from "./dom.js";

const WIDTH = 46;

const token = (kind, value) => element("span", { class: `json-${kind}` }, JSON.stringify(value));

export function pretty(value, indent = "") {
  if (value === null || typeof value !== "object") {
    return [token(value === null ? "literal" : typeof value, value)];
  }
  const list = Array.isArray(value);
  const [open, close] = list ? "[]" : "{}";
  const entries = list ? value.map((item) => [null, item]) : Object.entries(value);
  if (!entries.length) return [open + close];
  const short = indent.length + JSON.stringify(value).length + 2 * entries.length <= WIDTH;
  const inner = `${indent}  `;
  const parts = [open];
  entries.forEach(([key, item], index) => {
    if (index) parts.push(short ? ", " : ",");
    if (!short) parts.push(`\n${inner}`);
    if (!list) parts.push(token("key", key), ": ");
    parts.push(...pretty(item, inner));
  });
  return [...parts, short ? close : `\n${indent}${close}`];
}
