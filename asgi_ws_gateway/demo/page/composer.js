// The line one writes in: Enter sends, Shift+Enter breaks the line, and the others see us typing.

import { find } from "./dom.js";

const REPEAT_AFTER = 2_500;
const IDLE_AFTER = 4_000;

export class Composer {
  // `submit(text)` sends and rejects if that failed; `typing(boolean)` tells the others.
  constructor({ submit, typing }) {
    this.text = find("text");
    this.tell = typing;
    this.toldAt = 0;
    this.text.oninput = () => {
      this.fit();
      this.typing(this.text.value !== "");
    };
    this.text.onkeydown = (press) => {
      if (press.key !== "Enter" || press.shiftKey || press.isComposing) return;
      press.preventDefault();
      find("composer").requestSubmit();
    };
    find("composer").onsubmit = async (event) => {
      event.preventDefault();
      const text = this.text.value.trim();
      if (!text) return;
      this.replace("");
      this.stop();
      try {
        await submit(text);
      } catch {
        if (!this.text.value) this.replace(text);
      }
    };
  }

  replace(text) {
    this.text.value = text;
    this.fit();
  }

  fit() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight, 160)}px`;
  }

  typing(typing) {
    clearTimeout(this.idle);
    if (!typing) return this.stop();
    this.idle = setTimeout(() => this.stop(), IDLE_AFTER);
    const now = performance.now();
    if (this.toldAt && now - this.toldAt < REPEAT_AFTER) return;
    this.toldAt = now;
    this.tell(true);
  }

  stop() {
    clearTimeout(this.idle);
    if (this.toldAt) this.tell(false);
    this.toldAt = 0;
  }
}
