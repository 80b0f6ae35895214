"""One demo and one browser for all tests of a module, and windows for each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.demo import DemoServer, Window, launch_browser, serve

OpenWindow = Callable[..., Window]


# Not for the whole session: while Playwright runs, no other event loop can in this thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=10_000)
        browser = launch_browser(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo() -> Iterator[DemoServer]:
    with serve() as server:
        yield server
        # Of what the tests do on purpose, the service mentions two things.
        expected = (
            r'No message handler for event "dance" in namespace "/chat"'
            r"|Refused a message of peer \S+: invalid_json"
        )
        for line in server.log().splitlines():
            assert re.fullmatch(expected, line), line


@pytest.fixture
def windows() -> Iterator[list[Window]]:
    """All windows of a test: none may complain, or ask anybody but the demo for anything."""
    opened: list[Window] = []
    yield opened
    for window in opened:
        window.close()
        assert window.problems == []
        assert window.foreign == []


@pytest.fixture
def open_window(browser: Browser, demo: DemoServer, windows: list[Window]) -> OpenWindow:
    """Opens a window, and enters if a name is given."""

    def open_window(name: str | None = None, **options: object) -> Window:
        window = Window.open(browser, demo.url, **options)
        windows.append(window)
        return window if name is None else window.enter(name)

    return open_window
