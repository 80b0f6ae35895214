"""Every strategy that a decorator stands for keeps the contract."""

from typing import Any

from asgi_ws_gateway import ALL, Peer
from asgi_ws_gateway.emitters import EmitterStrategy, ToAll, ToOthers, ToSender
from asgi_ws_gateway.testing.contracts import EmitterStrategyContract


def room_of(data: Any, peer: Peer[Any]) -> str | None:
    return str(data["some"]) if peer.rooms else None


class TestToSender(EmitterStrategyContract):
    def make(self) -> EmitterStrategy:
        return ToSender("news")


class TestToAll(EmitterStrategyContract):
    def make(self) -> EmitterStrategy:
        return ToAll("news", room="room", latest="key")


class TestToAllOfAChosenRoom(EmitterStrategyContract):
    def make(self) -> EmitterStrategy:
        return ToAll("news", room=room_of, latest=lambda data, peer: peer.id)


class TestToAllOfNoRoom(EmitterStrategyContract):
    def make(self) -> EmitterStrategy:
        return ToAll("news", room=None)


class TestToOthers(EmitterStrategyContract):
    def make(self) -> EmitterStrategy:
        return ToOthers("news", room=lambda data, peer: ALL)
