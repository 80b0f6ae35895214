"""`python -m asgi_ws_gateway.demo`: what it asks of uvicorn, of which a stand-in is enough here.

The demo itself is served by the real one in tests/browser.
"""

from __future__ import annotations

import asyncio
import runpy
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from asgi_ws_gateway.demo.app import application


class Server:
    """What of uvicorn's the demo builds on; listens at port 4242 where any will do."""

    starts = True
    interrupted = False
    asked: Any

    def __init__(self, config: Any) -> None:
        self.config = config
        self.started = False
        self.servers: list[Any] = []

    async def startup(self, sockets: Any = None) -> None:
        assert sockets is None
        self.started = self.starts
        address = (self.config.host, self.config.port or 4242)
        self.servers = [SimpleNamespace(sockets=[SimpleNamespace(getsockname=lambda: address)])]

    def run(self) -> None:
        asyncio.run(self.startup())
        if self.interrupted:
            raise KeyboardInterrupt


@pytest.fixture
def uvicorn(monkeypatch: pytest.MonkeyPatch) -> type[Server]:
    """The stand-in's server, for this test alone."""

    class Ours(Server):
        pass

    def config(app: Any, **options: Any) -> SimpleNamespace:
        Ours.asked = SimpleNamespace(app=app, **options)
        return Ours.asked

    stand_in: Any = ModuleType("uvicorn")
    stand_in.Server, stand_in.Config = Ours, config
    monkeypatch.setitem(sys.modules, "uvicorn", stand_in)
    return Ours


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """Runs it as `python -m` does; the code it exits with."""
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("asgi_ws_gateway.demo", run_name="__main__")
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ([], "http://127.0.0.1:8000"),
        (["--port", "0"], "http://127.0.0.1:4242"),
        (["--host", "0.0.0.0", "--port", "9000"], "http://0.0.0.0:9000"),
        (["--host", "::1"], "http://[::1]:8000"),
    ],
)
@pytest.mark.parametrize("interrupted", [False, True])
def test_it_says_where_it_is_served_and_ends_well(
    uvicorn: type[Server],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    address: str,
    interrupted: bool,
) -> None:
    uvicorn.interrupted = interrupted
    assert run(monkeypatch, *arguments) == 0
    assert capsys.readouterr().out == (f"Open {address} in two browser windows. Ctrl+C ends it.\n")


def test_what_could_not_be_served_is_not_announced_and_ends_badly(
    uvicorn: type[Server], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uvicorn.starts = False
    assert run(monkeypatch) == 1
    assert capsys.readouterr().out == ""


def test_it_serves_the_demo_quietly_and_closes_soon(
    uvicorn: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch)
    assert uvicorn.asked.app is application
    assert (uvicorn.asked.log_level, uvicorn.asked.timeout_graceful_shutdown) == ("warning", 2)


@pytest.mark.usefixtures("uvicorn")
def test_imported_it_serves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    module = runpy.run_module("asgi_ws_gateway.demo.__main__", run_name="imported")
    assert module["__all__"] == ["main"]
    assert capsys.readouterr().out == ""


def test_without_uvicorn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'uvicorn[standard]'" in run(monkeypatch)
