"""The demo as a server process, and windows of a browser on it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

__all__ = ["DemoServer", "Window", "launch_browser", "serve"]

ROOT: Final = Path(__file__).parents[2]


@dataclass
class DemoServer:
    """`python -m asgi_ws_gateway.demo`, which says itself when it is ready, and where."""

    process: subprocess.Popen[str]
    url: str
    log_file: Path

    def log(self) -> str:
        """What it has complained about."""
        return self.log_file.read_text()


@contextmanager
def serve(port: int = 0) -> Iterator[DemoServer]:
    """Runs the demo, on any free port unless one is given."""
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "demo.log"
        with log_file.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "asgi_ws_gateway.demo", "--port", str(port)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        try:
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address is not None, f"the demo did not start:\n{log_file.read_text()}"
            yield DemoServer(process, address[0], log_file)
        finally:
            process.terminate()
            try:
                process.wait(10)
            finally:
                process.kill()
                process.wait()
                process.stdout.close()


def launch_browser(playwright: Playwright) -> Browser:
    """Debian's Chromium, quiet."""
    return playwright.chromium.launch(
        executable_path="/usr/bin/chromium",
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    )


@dataclass
class Window:
    """One browser window with a profile of its own, and whatever went wrong in it."""

    context: BrowserContext
    page: Page
    url: str
    problems: list[str] = field(default_factory=list[str])
    foreign: list[str] = field(default_factory=list[str])

    @classmethod
    def open(cls, browser: Browser, url: str, **options: Any) -> Window:
        """Opens it on the demo's first screen."""
        context = browser.new_context(**options)
        window = cls(context, context.new_page(), url)
        host = urlsplit(url).netloc

        def sent(address: str) -> None:
            if urlsplit(address).netloc != host:
                window.foreign.append(address)

        page = window.page
        page.on("request", lambda request: sent(request.url))
        page.on("websocket", lambda socket: sent(socket.url))
        page.on("pageerror", lambda error: window.problems.append(str(error)))
        page.on(
            "console",
            lambda line: (
                window.problems.append(line.text) if line.type in ("error", "warning") else None
            ),
        )
        page.goto(url)
        return window

    def ask_in(self, name: str) -> None:
        """Fills in the first screen."""
        self.page.get_by_label("Your name").fill(name)
        self.page.keyboard.press("Enter")

    def enter(self, name: str) -> Window:
        """Gets into the lobby."""
        self.ask_in(name)
        expect(self.title).to_have_text("# lobby")
        return self

    def close(self) -> None:
        """Closes it, as a user does."""
        self.context.close()

    @property
    def title(self) -> Any:
        return self.page.locator("#conversation-title")

    @property
    def feed(self) -> Any:
        return self.page.get_by_role("log", name="Messages", exact=True)

    @property
    def text(self) -> Any:
        return self.page.get_by_label("Message", exact=True)

    def bubble(self, text: str) -> Any:
        """A message in the feed."""
        return self.feed.locator(".bubble", has_text=text)

    def item(self, key: str) -> Any:
        """A room (`#lobby`) or a person (`@Otter`) in the sidebar."""
        return self.page.locator(f"[data-key='{key}']")

    def count(self, room: str) -> Any:
        """How many the sidebar says are in a room."""
        return self.item(f"#{room}").locator(".count")

    def on_wire(self, event: str) -> Any:
        """Messages of this event in the panel."""
        return self.page.locator(f"#wire > [data-event='{event}']")

    def go_to(self, room: str) -> None:
        """Joins a room, or shows one that was joined."""
        self.item(f"#{room}").click()
        expect(self.title).to_have_text(f"# {room}")

    def say(self, text: str) -> None:
        """Sends a message in the current conversation."""
        self.text.fill(text)
        self.text.press("Enter")
        expect(self.bubble(text)).to_be_visible()
