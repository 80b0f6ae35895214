// The first screen: a name, or why the server refused it.

import { element, find } from "./dom.js";

const ANIMALS = [
  "Otter", "Lynx", "Heron", "Badger", "Falcon", "Marten", "Puffin", "Ibex",
  "Kestrel", "Beaver", "Plover", "Wombat", "Gecko", "Osprey", "Tapir", "Stoat",
];

export class Entry {
  // `enter(params)` is called with the query of the handshake.
  constructor(enter) {
    this.input = find("name");
    const names = ANIMALS.sort(() => Math.random() - 0.5).slice(0, 4);
    this.input.value = sessionStorage.getItem("name") ?? names[0];
    find("suggestions").append(...names.map((name) => this.suggestion(name)));
    this.input.select();
    find("entry-form").onsubmit = (submit) => {
      submit.preventDefault();
      this.explain("");
      find("enter").disabled = true;
      enter({ name: this.input.value, key: key() });
    };
  }

  suggestion(name) {
    const choose = () => {
      this.input.value = name;
      this.input.focus();
    };
    return element("button", { type: "button", class: "chip", onclick: choose }, name);
  }

  // Shows the screen again, with the reason.
  refuse(reason) {
    document.body.dataset.stage = "entry";
    find("enter").disabled = false;
    this.explain(reason);
    this.input.select();
  }

  explain(reason) {
    find("entry-error").textContent = reason;
    if (reason) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }

  entered(name) {
    sessionStorage.setItem("name", name);
    document.body.dataset.stage = "chat";
    find("enter").disabled = false;
  }
}

// Proves to the server that a name is ours when we come back.
function key() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const made = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const kept = sessionStorage.getItem("key") ?? made;
  sessionStorage.setItem("key", kept);
  return kept;
}
