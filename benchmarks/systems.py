"""The systems that can be measured, by name, and how a client talks to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from benchmarks.messages import action, envelope, packet

__all__ = ["SYSTEMS", "System"]


@dataclass(frozen=True)
class System:
    """One of them.

    Attributes:
        title: Its name in tables.
        app: `module:attribute` of an ASGI application, or the file of a Node program.
        message: What a client sends for an event and its data.
        path: Where clients connect.
        hello: What a client sends first.
        greetings: How many messages the server sends before it is ready.
        packages: Whose versions are told.
        base: The system that it is compared with.
    """

    title: str
    app: str
    message: Callable[[str, Any], str] = envelope
    path: str = "/"
    hello: tuple[str, ...] = ()
    greetings: int = 0
    packages: tuple[str, ...] = ()
    base: str = "by_hand"

    @property
    def on_node(self) -> bool:
        """It is not an ASGI application."""
        return ":" not in self.app

    def load(self) -> Any:
        """The ASGI application."""
        module, _, attribute = self.app.partition(":")
        return getattr(import_module(module), attribute)


def _own(title: str, module: str, *packages: str, **options: Any) -> System:
    return System(title, f"benchmarks.apps.{module}:application", packages=packages, **options)


def _peer(title: str, module: str, *packages: str, **options: Any) -> System:
    return System(title, f"benchmarks.peers.{module}:application", packages=packages, **options)


def _scaled(title: str, attribute: str, **options: Any) -> System:
    return System(title, f"benchmarks.scale.apps:{attribute}", **options)


_ENGINE: Final[dict[str, Any]] = {
    "message": packet,
    "path": "/socket.io/?EIO=4&transport=websocket",
    "hello": ("40",),
    "greetings": 2,
}

SYSTEMS: Final[dict[str, System]] = {
    "floor": _own("no app at all", "floor"),
    "by_hand": _own("loop by hand, json", "by_hand", "jsonschema"),
    "gateway": _own("gateway", "gateway", "anyio", "jsonschema"),
    "by_hand_msgspec": _own("loop by hand, msgspec", "by_hand_msgspec", "msgspec"),
    "gateway_msgspec": _own(
        "gateway, MsgspecCodec", "gateway_msgspec", "msgspec", base="by_hand_msgspec"
    ),
    "starlette": _peer("Starlette", "starlette_app", "starlette"),
    "fastapi": _peer("FastAPI", "fastapi_app", "fastapi", "pydantic"),
    "litestar": _peer("Litestar", "litestar_app", "litestar", "msgspec"),
    "quart": _peer("Quart", "quart_app", "quart"),
    "channels": _peer("Channels, in memory", "channels_app", "channels", "django"),
    "socketio": _peer("python-socketio", "socketio_app", "python-socketio", **_ENGINE),
    "chanx": _peer("chanx", "chanx_app", "chanx", message=action),
    "node_ws": System("Node, ws", "benchmarks/peers/ws.cjs"),
    "node_socketio": System("Node, socket.io", "benchmarks/peers/socketio.cjs", **_ENGINE),
    "rooms_by_hand": _scaled("loop by hand", "rooms_by_hand"),
    "rooms_gateway": _scaled("gateway", "rooms_gateway", base="rooms_by_hand"),
    "events_by_hand": _scaled("loop by hand", "events_by_hand"),
    "events_gateway": _scaled("gateway", "events_gateway", base="events_by_hand"),
}
