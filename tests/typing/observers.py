"""Checked by mypy and pyright, never run: an observer overrides what it likes."""

from typing import Any

from asgi_ws_gateway import Observer, Peer, WebSocketService


class Arrivals(Observer):
    def connected(self, peer: Peer[Any]) -> None:
        print(peer)


WebSocketService(observers=[Arrivals()])
