"""ASGI's shapes, as loose as applications and middlewares pass them around."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ["ASGIApp", "ASGIReceive", "ASGISend", "Message", "Scope"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = dict[str, Any]
ASGIReceive: TypeAlias = Callable[[], Awaitable[Any]]
ASGISend: TypeAlias = Callable[[Any], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
