// A form that checks nothing itself: the server's issues are shown next to the fields they are
// about. A field is found by its JSON Pointer, which is also how its value gets into the message.

import { element, find } from "./dom.js";

const FIELDS = [
  { pointer: "/title", label: "Title", placeholder: "Release party" },
  { pointer: "/contact", label: "Contact", placeholder: "you@example.com" },
  { pointer: "/seats", label: "Seats", placeholder: "1 to 20", number: true },
  { pointer: "/venue/street", label: "Street", placeholder: "12 Harbour Lane" },
  { pointer: "/venue/city", label: "City", placeholder: "Springfield" },
  { pointer: "/venue/postcode", label: "Postcode", placeholder: "10115" },
];

export class EventForm {
  // `announce(data)` sends; it rejects with RequestFailed.
  constructor(announce) {
    this.form = find("event-form");
    this.inputs = new Map();
    find("event-fields").append(...FIELDS.map((field) => this.field(field)));
    find("plan").onclick = () => this.show(this.form.hidden);
    find("event-close").onclick = () => this.show(false);
    this.form.onkeydown = ({ key }) => key === "Escape" && this.show(false);
    this.form.onsubmit = async (submit) => {
      submit.preventDefault();
      find("announce").disabled = true;
      this.explain([]);
      try {
        await announce(this.read());
        this.form.reset();
        this.show(false);
      } catch (error) {
        this.explain(error.issues.length ? error.issues : [{ path: "", message: error.message }]);
      }
      find("announce").disabled = false;
    };
  }

  show(shown) {
    this.form.hidden = !shown;
    find("plan").setAttribute("aria-expanded", shown);
    if (shown) this.inputs.get("/title").input.focus();
    else find("text").focus();
  }

  field({ pointer, label, placeholder, number }) {
    const id = `field${pointer.replaceAll("/", "-")}`;
    const input = element("input", {
      id,
      placeholder,
      autocomplete: "off",
      inputmode: number ? "numeric" : null,
      "aria-describedby": `${id}-problem`,
    });
    const problem = element("p", { class: "problem", id: `${id}-problem` });
    this.inputs.set(pointer, { input, problem, number });
    return element("div", { class: `field ${id}` }, element("label", { for: id }, label), input, problem);
  }

  read() {
    const data = {};
    for (const [pointer, { input, number }] of this.inputs) {
      const path = pointer.slice(1).split("/");
      const name = path.pop();
      const parent = path.reduce((object, key) => (object[key] ??= {}), data);
      const isNumber = number && input.value.trim() !== "" && !isNaN(input.value);
      parent[name] = isNumber ? Number(input.value) : input.value.trim();
    }
    return data;
  }

  explain(issues) {
    const general = [];
    for (const { input, problem } of this.inputs.values()) {
      problem.textContent = "";
      input.removeAttribute("aria-invalid");
    }
    for (const { path, message } of issues) {
      const field = this.inputs.get(path);
      if (!field) general.push(message);
      else if (!field.problem.textContent) {
        field.problem.textContent = message;
        field.input.setAttribute("aria-invalid", "true");
      }
    }
    find("event-problem").textContent = general.join("; ");
    this.form.querySelector("[aria-invalid]")?.focus();
  }
}
