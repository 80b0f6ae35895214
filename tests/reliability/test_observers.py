"""An observer that counts arrives at the numbers of `stats()`, whatever happens."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import (
    ConnectionRequest,
    Limits,
    Observer,
    Peer,
    broadcast,
    emit,
    message,
    namespace,
    on_connection_attempt,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient


class Counting(Observer):
    """Counts in the form of `Stats`, less what is there now."""

    def __init__(self) -> None:
        self.counts: dict[str, Any] = {"accepted": 0, "received": 0, "handled": 0, "queued": 0}
        for name in ("refused", "failed", "dropped", "closed", "ignored"):
            self.counts[name] = Counter()

    def refused(self, namespace: str | None, reason: str) -> None:
        self.counts["refused"][reason] += 1

    def connected(self, peer: Peer[Any]) -> None:
        self.counts["accepted"] += 1

    def disconnected(self, peer: Peer[Any], code: int) -> None:
        self.counts["closed"][code] += 1

    def received(self, peer: Peer[Any]) -> None:
        self.counts["received"] += 1

    def handled(self, peer: Peer[Any], event: str | None, seconds: float) -> None:
        self.counts["handled"] += 1

    def failed(self, peer: Peer[Any], event: str | None, code: str) -> None:
        self.counts["failed"][code] += 1

    def sent(self, namespace: str, event: str, queued: int, dropped: int) -> None:
        self.counts["queued"] += queued

    def dropped(self, peer: Peer[Any], reason: str, count: int) -> None:
        self.counts["dropped"][reason] += count

    def ignored(self, reason: str) -> None:
        self.counts["ignored"][reason] += 1


@namespace("/counted", limits=Limits(outbox_messages=2, rate=1e-9, burst=50))
class Counted:
    def __init__(self) -> None:
        self.open = anyio.Event()

    @on_connection_attempt
    async def attempt(self, params: dict[str, str], request: ConnectionRequest) -> bool:
        return "let-me-in" in params

    @message("say")
    @emit("said")
    @broadcast("heard", room="lobby")
    async def say(self, data: Any, peer: Peer) -> Any:
        return data

    @message("join")
    async def join(self, peer: Peer) -> None:
        peer.join("lobby")

    @message("wait", concurrent=True)
    async def wait(self) -> None:
        await self.open.wait()

    @message("ask", concurrent=True)
    async def ask(self, peer: Peer) -> Any:
        return await peer.ask("sure?")

    @message("fail")
    async def fail(self) -> None:
        raise RuntimeError


async def much_happens(client: GatewayTestClient, gateway: Counted) -> None:
    for headers in ({}, {"origin": "https://elsewhere.example"}):
        with pytest.raises(ConnectionDenied):
            async with client.connect("/counted", headers=headers):
                pass
    with pytest.raises(ConnectionDenied):
        async with client.connect("/nowhere"):
            pass
    async with (
        client.connect("/counted?let-me-in") as ada,
        client.connect("/counted?let-me-in") as sleeper,
    ):
        await sleeper.request("join")
        await ada.send("ask", id=1)
        question = await ada.receive_frame()
        ada.answer(question, "yes")
        ada.answer(question, "yes, yes")
        await ada.send("wait", id=2)
        ada.cancel(2)
        for text in ("{", "[]", '{"event": "made up"}', '{"event": "fail", "id": 3}'):
            await ada.send_text(text)
        await client.settle()
        sleeper.pause()
        for number in range(5):
            await ada.send("say", number)
            await client.settle()
        for _ in range(100):
            await ada.send("join")
        await client.settle()


async def test_an_observer_is_told_of_everything_that_is_counted() -> None:
    observer, gateway = Counting(), Counted()
    async with GatewayTestClient(gateway, observers=[observer]) as client:
        await much_happens(client, gateway)
        assert client.service is not None
        stats = client.service.stats()
    counts = observer.counts
    assert counts["accepted"] == stats.accepted == 2
    assert counts["refused"] == stats.refused == {"hook": 1, "origin": 1, "unmatched": 1}
    assert counts["received"] == stats.received
    assert counts["handled"] == stats.handled
    assert counts["failed"] == stats.failed
    assert set(stats.failed) == {
        *("invalid_json", "invalid_message", "unknown_event"),
        *("handler_failed", "cancelled", "rate_limited"),
    }
    assert counts["queued"] == stats.queued
    assert counts["dropped"] == stats.dropped == {"overflow": 1, "closed": 2}
    assert counts["closed"] == stats.closed == {1013: 1, 1000: 1}
    assert counts["ignored"] == {"stale_answer": stats.stale_answers} == {"stale_answer": 1}
    # Two answers and a cancel are neither.
    assert stats.received - 3 == stats.handled + sum(stats.failed.values())
