"""For tests: handlers alone with fakes, whole applications in process, contracts to inherit.

Everything runs in the caller's own event loop, asyncio or trio: no threads, no sleeps, and a time
limit on every wait.
"""

from __future__ import annotations

from .client import GatewayTestClient
from .connection import (
    ClientConnection,
    CloseInfo,
    ConnectionClosed,
    ConnectionDenied,
    RequestFailed,
)
from .fakes import FakeBlockingPeer, FakeBroadcast, FakePeer, fake_request

__all__ = [
    "ClientConnection",
    "CloseInfo",
    "ConnectionClosed",
    "ConnectionDenied",
    "FakeBlockingPeer",
    "FakeBroadcast",
    "FakePeer",
    "GatewayTestClient",
    "RequestFailed",
    "fake_request",
]
