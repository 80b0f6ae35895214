"""Whatever a client sends has exactly one outcome, and nobody but that client learns of it."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from contextlib import AsyncExitStack
from random import Random
from time import perf_counter
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_ws_gateway import JSONCodec, Limits, emit, message, namespace
from asgi_ws_gateway.protocol.codec import read_envelope, wire_size
from asgi_ws_gateway.protocol.messages import Answer, Cancel, Failure, Incoming, Message
from asgi_ws_gateway.protocol.session import Session
from asgi_ws_gateway.testing import ClientConnection, ConnectionClosed, GatewayTestClient
from tests.effort import Effort
from tests.reliability.fuzz_decoder import NARROW, WIDE, check, meaning
from tests.reliability.malformed import KINDS, UNKNOWN_EVENTS, Kind, hostile

BATCH = 1000
SUBMITTED = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
REFUSED = {kind: code for kind, (_, code) in KINDS.items() if code is not None}
CODES = {*REFUSED.values(), "message_too_large", "unknown_event", "validation_failed"}


@namespace("/wide")
class Wide:
    @message("ping")
    @emit("pong")
    async def on_ping(self) -> dict[str, Any]:
        return {}

    @message("echo")
    @emit("echoed")
    async def on_echo(self, data: Any) -> Any:
        return data

    @message("wait")
    @emit("waited")
    async def on_wait(self) -> None:
        """Suspends, so that what follows is read by another task."""
        await checkpoint()

    @message("submit", schema=SUBMITTED)
    @emit("submitted")
    async def on_submit(self, data: dict[str, Any]) -> Any:
        return data["text"]


@namespace("/narrow", limits=NARROW)
class Narrow(Wide):
    pass


def answer_to(incoming: Incoming) -> tuple[Any, ...] | None:
    """Event, id and data of the one answer; of an error, its code and event in place of data."""
    match incoming:
        case Failure(code=code, id=id):
            return "error", id, code, None
        case Message("ping", _, id):
            return "pong", id, {}
        case Message("echo", data, id):
            return "echoed", id, data
        case Message("wait", _, id):
            return "waited", id, None
        case Message("submit", {"text": str(text)}, id):
            return "submitted", id, text
        case Message("submit", _, id):
            return "error", id, "validation_failed", "submit"
        case Message(event, _, id):
            return "error", id, "unknown_event", event
    return None


def said(frame: dict[str, Any]) -> tuple[Any, ...]:
    """The same of an answer that was received."""
    data = frame["data"]
    if frame["event"] != "error":
        return frame["event"], frame.get("id"), data
    assert data["message"]
    return "error", frame.get("id"), data["code"], data.get("event")


def replay(number: int) -> str:
    return f"hostile({number}), which is {hostile(number)!r:.300}"


async def exchange(peers: list[tuple[ClientConnection, Limits]], numbers: range) -> Counter[str]:
    """Sends hostile messages to all peers at once; counts what became of them.

    Each has the one answer that it has to have, and none is mixed up with another.
    """
    outcomes: Counter[str] = Counter()
    expected: list[tuple[ClientConnection, int, tuple[Any, ...]]] = []
    for number in numbers:
        peer, limits = peers[number % len(peers)]
        payload = hostile(number)
        await (peer.send_text(payload) if isinstance(payload, str) else peer.send_bytes(payload))
        incoming = meaning(payload, limits)
        answer = answer_to(incoming)
        if answer is None:
            outcomes[type(incoming).__name__] += 1
        else:
            outcomes[answer[2] if answer[0] == "error" else "handled"] += 1
            expected.append((peer, number, answer))
    for peer, number, answer in expected:
        try:
            frame = await peer.receive_frame()
        except (ConnectionClosed, TimeoutError) as error:
            raise AssertionError(f"no answer to {replay(number)}") from error
        # As text, since True == 1 == 1.0.
        assert repr(said(frame)) == repr(answer), replay(number)
    return outcomes


def assert_harmless(records: list[logging.LogRecord]) -> None:
    for record in records:
        assert re.fullmatch("[ -~]{1,800}", record.getMessage()), record
        assert record.exc_info is None


async def test_each_malformed_message_has_one_answer_and_no_other_effect(
    effort: Effort, caplog: pytest.LogCaptureFixture, anyio_backend_name: str
) -> None:
    caplog.set_level(logging.INFO, "asgi_ws_gateway")
    count = effort.of(20_000, 1_000_000)
    batches = range(0, count, BATCH)
    outcomes: Counter[str] = Counter()
    started = perf_counter()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(GatewayTestClient(Wide(), Narrow(), timeout=50.0))
        bystander = await stack.enter_async_context(client.connect("/wide"))
        peers = [
            (await stack.enter_async_context(client.connect(path)), limits)
            for path, limits in (("/wide", WIDE), ("/narrow", NARROW)) * 4
        ]
        for first in batches:
            await bystander.send("ping")
            outcomes += await exchange(peers, range(first, first + BATCH))
            assert await bystander.receive("pong") == {}
            await client.settle()
            assert not any(each.pending for each in (bystander, *(peer for peer, _ in peers)))
    seconds = perf_counter() - started
    assert client.service is not None
    stats = client.service.stats()
    lost = stats.accepted - stats.closed[1000]
    effort.figure(
        f"malformed messages to {len(peers)} peers at once ({anyio_backend_name})",
        "1,000,000; each answered once, no exception, no connection lost",
        f"{count:,}; each answered once, no exception, {lost} lost ({count / seconds:,.0f}/s)",
    )
    assert lost == 0
    assert stats.received == outcomes.total() + len(batches) == count + len(batches)
    assert stats.handled == outcomes.pop("handled") + len(batches)
    assert stats.stale_answers == outcomes.pop("Answer")
    assert outcomes.pop("Cancel") > 0
    assert stats.failed == outcomes
    assert outcomes.keys() == CODES
    # One line in ten seconds for each peer, however much it sends.
    assert 0 < len(caplog.records) <= len(peers) * (1 + seconds // 10)
    assert_harmless(caplog.records)


async def test_no_name_of_an_event_finds_anything_or_forges_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with GatewayTestClient(Wide()) as client:
        for event in UNKNOWN_EVENTS:
            caplog.clear()
            async with client.connect("/wide") as peer:
                await peer.send(event, id="c1")
                frame = await peer.receive_frame()
            assert said(frame) == ("error", "c1", "unknown_event", event)
            [record] = caplog.records
            assert record.getMessage().startswith("No message handler for event ")
            assert_harmless([record])


def receive(payload: str | bytes, **limits: Any) -> Incoming | None:
    return Session[None](JSONCodec(), Limits(**limits), now=0.0).receive(payload, 0.0)


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_a_malformed_message_is_refused_for_what_is_wrong_with_it(kind: Kind) -> None:
    for number in range(500):
        payload = kind(Random(number))
        incoming = check(payload, WIDE)
        assert isinstance(incoming, Failure), ascii(payload)
        assert incoming.code == REFUSED[kind], ascii(payload)


any_text = st.text(st.characters(exclude_categories=[]))
tokens = st.sampled_from(
    [*'{}[]",:\\ \n-.0', "null", "1e400", '{"event":', '"ping"', '"id":', "\\ud800", "\\u00e9"]
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
# What codecs of others may decode to.
values = st.recursive(
    json_values | any_text | st.binary() | st.floats() | st.dates() | st.just(...),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(any_text | st.integers(), inner)
    ),
    max_leaves=10,
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "event": values | st.sampled_from(["ping", "ack", "error"]),
        "data": values,
        "id": values | st.sampled_from(["c1", "s:1", True, 2**53]),
        "cancel": values | st.sampled_from(["c1", "s:1", 1]),
    },
)


@settings(deadline=None)
@given(
    any_text | st.lists(tokens | any_text).map("".join) | st.binary(),
    st.sampled_from([1, 8, 64, 1024]),
    st.sampled_from([1, 2, 64]),
)
def test_whatever_arrives_means_what_the_protocol_says(
    payload: str | bytes, max_bytes: int, max_depth: int
) -> None:
    check(payload, Limits(max_message_bytes=max_bytes, max_depth=max_depth))


@settings(deadline=None)
@given(
    st.text(min_size=1, max_size=128).filter(lambda event: event not in ("ack", "error")),
    json_values,
    st.text(min_size=1, max_size=64).filter(lambda id: not id.startswith("s:"))
    | st.integers(1 - 2**53, 2**53 - 1),
    st.sampled_from([None, 1, 4]),
    st.booleans(),
)
def test_a_message_is_received_as_it_was_meant_however_it_is_spelled(
    event: str, data: Any, id: str | int, indent: int | None, ascii_only: bool
) -> None:
    envelope = {"event": event, "data": data, "id": id}
    text = json.dumps(envelope, indent=indent, ensure_ascii=ascii_only)
    assert repr(receive(text)) == repr(Message(event, data, id))


@settings(deadline=None)
@given(values | envelopes)
def test_any_value_is_an_envelope_or_an_invalid_message(value: Any) -> None:
    incoming = read_envelope(value)
    if isinstance(incoming, Failure):
        assert incoming.code == "invalid_message"
    else:
        assert isinstance(incoming, Message | Answer | Cancel)


def depth(text: str) -> int:
    """How deep the brackets outside of strings nest."""
    level = deepest = 0
    in_string = escaped = False
    for sign in text:
        if escaped:
            escaped = False
        elif in_string:
            escaped = sign == "\\"
            in_string = sign != '"'
        elif sign == '"':
            in_string = True
        else:
            level += (sign in "[{") - (sign in "]}")
            deepest = max(deepest, level)
    return deepest


@settings(deadline=None)
@given(st.text('[]{}"\\,:a\n'), st.integers(1, 5))
def test_what_is_too_deep_is_told_by_its_brackets_outside_of_strings(text: str, limit: int) -> None:
    verdict = ""
    try:
        JSONCodec().decode(text, limit)
    except ValueError as error:
        verdict = str(error)
    try:
        json.loads(text)
    except ValueError:
        assert verdict, "what is no JSON was accepted"
    else:
        assert (verdict == "nested too deep") == (depth(text) > limit)


@settings(deadline=None)
@given(st.text("aé€😀") | st.text() | st.binary(), st.integers(1, 40))
def test_a_message_has_the_size_of_its_utf_8(payload: str | bytes, limit: int) -> None:
    size = len(payload.encode() if isinstance(payload, str) else payload)
    assert wire_size(payload) == size
    if isinstance(payload, str):
        too_large = receive(payload, max_message_bytes=limit) == Failure("message_too_large")
        assert too_large == (size > limit)
