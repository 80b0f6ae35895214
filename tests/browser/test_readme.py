"""The README's server and its script, in a browser, as its reader would run them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
ADDRESS = "127.0.0.1:8000"


@pytest.fixture
def address() -> Iterator[str]:
    """`uvicorn gateway:application` in docs/examples, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "gateway:application", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--log-level", "warning"],
        cwd=ROOT / "docs" / "examples",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        deadline = time.monotonic() + 25
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "uvicorn did not start"
                assert time.monotonic() < deadline, "uvicorn did not start in time"
                time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_the_script_logs_what_the_readme_says(browser: Browser, address: str) -> None:
    readme = (ROOT / "README.md").read_text()
    (script,) = re.findall(r"```js\n(.*?)```", readme, re.DOTALL)
    promised = re.findall(r'^// \{event: "(\w+)".*?(id: 1)?\}$', script, re.MULTILINE)
    assert promised == [("said", ""), ("delivered", "id: 1")]
    page = browser.new_page()
    page.goto(f"http://{address}")  # the 404 will do
    page.add_script_tag(content="logged = []; console.log = (message) => logged.push(message)")
    page.add_script_tag(content=script.replace(ADDRESS, address))
    page.wait_for_function("logged.length === 2")
    said, delivered = page.evaluate("logged")
    assert (said["event"], said["data"]["text"], "id" in said) == ("said", "hi", False)
    assert (delivered["event"], delivered["data"]["text"], delivered["id"]) == (
        "delivered",
        "hi",
        1,
    )
    page.close()
