"""Decorated WebSocket gateways in front of any ASGI app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .asgi.middleware import GatewayMiddleware
from .emitters import SKIP, EmitterStrategy
from .errors import (
    AskRejected,
    AskTimeout,
    BackplaneError,
    ConfigurationError,
    ConnectionRejected,
    EncodeError,
    GatewayError,
    Issue,
    LimitReached,
    MessageRejected,
    PeerClosed,
    ServiceNotRunning,
    UnknownNamespace,
    ValidationFailed,
)
from .limits import DEFAULT, Limits
from .observers import Observer
from .peer import BlockingPeer, Peer
from .protocol.audience import ALL, Audience, Delivery, DeliveryReport
from .protocol.codec import Codec, JSONCodec
from .protocol.presence import Presence
from .request import Accept, ConnectionRequest
from .routing.decorators import (
    broadcast,
    broadcast_others,
    emit,
    emit_with,
    fallback,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
    on_error,
)
from .service import WebSocketService
from .validation import Validator

if TYPE_CHECKING:
    from .codecs import MessagePackCodec, MsgspecCodec

__version__ = "0.1.0"

__all__ = [
    "ALL",
    "DEFAULT",
    "SKIP",
    "Accept",
    "AskRejected",
    "AskTimeout",
    "Audience",
    "BackplaneError",
    "BlockingPeer",
    "Codec",
    "ConfigurationError",
    "ConnectionRejected",
    "ConnectionRequest",
    "Delivery",
    "DeliveryReport",
    "EmitterStrategy",
    "EncodeError",
    "GatewayError",
    "GatewayMiddleware",
    "Issue",
    "JSONCodec",
    "LimitReached",
    "Limits",
    "MessagePackCodec",
    "MessageRejected",
    "MsgspecCodec",
    "Observer",
    "Peer",
    "PeerClosed",
    "Presence",
    "ServiceNotRunning",
    "UnknownNamespace",
    "ValidationFailed",
    "Validator",
    "WebSocketService",
    "broadcast",
    "broadcast_others",
    "emit",
    "emit_with",
    "fallback",
    "message",
    "namespace",
    "on_connect",
    "on_connection_attempt",
    "on_disconnect",
    "on_error",
]


def __getattr__(name: str) -> Any:
    """The optional codecs, which are imported where they are used."""
    if name in ("MessagePackCodec", "MsgspecCodec"):
        from . import codecs

        return getattr(codecs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
