"""What one connection's payloads mean: every code that is decided without a handler."""

import json
import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.errors import LimitReached
from asgi_ws_gateway.limits import Limits
from asgi_ws_gateway.protocol.codec import JSONCodec
from asgi_ws_gateway.protocol.messages import Answer, Cancel, Failure, Message
from asgi_ws_gateway.protocol.session import Flooding, Session


def session(**limits: Any) -> Session[str]:
    return Session(JSONCodec(), Limits(**limits), now=0.0)


def receive(payload: str | bytes, **limits: Any) -> Any:
    return session(**limits).receive(payload, 0.0)


def sized(size: int, filler: str = "x") -> str:
    """A message of exactly so many bytes."""
    frame = '{"event":"e","data":""}'
    room = size - len(frame)
    text = filler * (room // len(filler.encode()))
    text += "x" * (room - len(text.encode()))
    payload = frame.replace('""', f'"{text}"')
    assert len(payload.encode()) == size
    return payload


@dataclass
class BinaryCodec:
    """JSON in binary messages."""

    name: str = "binary-json"
    binary: bool = True

    def encode(self, event: str, data: Any, id: Any = None, more: bool = False) -> bytes:
        raise NotImplementedError

    def decode(self, payload: bytes, max_depth: int | None) -> Any:
        return json.loads(payload)


def test_a_message_an_answer_and_a_cancel_are_told_apart() -> None:
    assert receive('{"event":"send","data":1,"id":"c1"}') == Message("send", 1, "c1")
    assert receive('{"event":"ack","data":1,"id":"s:1"}') == Answer("s:1", 1)
    assert receive('{"event":"error","data":1,"id":"s:1"}') == Answer("s:1", 1, failed=True)
    assert receive('{"cancel":"c1"}') == Cancel("c1")


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"event":"e"} x', '{"event":"\\ud800"}'])
def test_what_is_no_json_is_invalid_json(text: str) -> None:
    assert receive(text) == Failure("invalid_json")


@pytest.mark.parametrize("text", ["\ud800", '{"event":"\udfff"}', '{"event":"e","data":"\ud83d"}'])
@pytest.mark.parametrize("limit", [None, 20, 1024])
def test_half_a_surrogate_pair_in_the_text_itself_is_invalid_json(
    text: str, limit: int | None
) -> None:
    expected = "invalid_json" if limit != 20 or len(text) <= 20 else "message_too_large"
    assert receive(text, max_message_bytes=limit) == Failure(expected)


def test_nesting_past_the_limit_is_invalid_json() -> None:
    assert receive('{"event":"e","data":[[1]]}', max_depth=3) == Message("e", [[1]])
    assert receive('{"event":"e","data":[[[1]]]}', max_depth=3) == Failure("invalid_json")


@pytest.mark.parametrize("text", ["1", "[]", "null", "{}", '{"event":5}', '{"event":"e","id":[]}'])
def test_json_that_is_no_envelope_is_an_invalid_message(text: str) -> None:
    assert receive(text) == Failure("invalid_message")


def test_an_invalid_message_is_answered_with_its_id() -> None:
    assert receive('{"event":5,"id":"c1"}') == Failure("invalid_message", id="c1")


@pytest.mark.parametrize("payload", [b"", b'{"event":"e"}', b"\x80\xff", b"x" * 10_000])
def test_binary_where_the_codec_is_text_is_an_unsupported_frame(payload: bytes) -> None:
    assert receive(payload, max_message_bytes=100) == Failure("unsupported_frame")


def test_text_where_the_codec_is_binary_is_an_unsupported_frame() -> None:
    binary: Session[str] = Session(BinaryCodec(), Limits(), now=0.0)
    assert binary.receive('{"event":"e"}', 0.0) == Failure("unsupported_frame")
    assert binary.receive(b'{"event":"e"}', 0.0) == Message("e", None)


@pytest.mark.parametrize("filler", ["x", "é", "☃", "😀"])
@pytest.mark.parametrize("size", [100, 101, 102, 103, 1000])
def test_the_size_limit_counts_bytes_of_utf_8_exactly(size: int, filler: str) -> None:
    payload = sized(size, filler)
    assert isinstance(receive(payload, max_message_bytes=size), Message)
    assert isinstance(receive(payload, max_message_bytes=None), Message)
    assert receive(payload, max_message_bytes=size - 1) == Failure("message_too_large")


def test_the_size_limit_holds_for_binary_messages_too() -> None:
    payload = sized(100).encode()
    for limit, kind in ((100, Message), (99, Failure)):
        binary: Session[str] = Session(BinaryCodec(), Limits(max_message_bytes=limit), now=0.0)
        assert isinstance(binary.receive(payload, 0.0), kind)


def test_what_is_too_large_is_not_parsed() -> None:
    class Untouched(JSONCodec):
        def decode(self, payload: str, max_depth: int | None) -> Any:
            raise AssertionError("parsed")

    limited: Session[str] = Session(Untouched(), Limits(max_message_bytes=10), now=0.0)
    assert limited.receive("x" * 11, 0.0) == Failure("message_too_large")


def test_a_message_over_the_rate_is_told_with_its_event_and_id() -> None:
    limited = session(rate=1, burst=1)
    assert limited.receive('{"event":"e","id":1}', 0.0) == Message("e", None, 1)
    for id in (2, "c3", 0):
        text = json.dumps({"event": "e", "id": id})
        assert limited.receive(text, 0.0) == Failure("rate_limited", "e", id)
    assert limited.receive('{"event":"e","id":4}', 1.0) == Message("e", None, 4)


def test_a_message_over_the_rate_without_an_id_is_told_once_a_second() -> None:
    limited = session(rate=0.01, burst=1)
    text = '{"event":"e"}'
    told = [limited.receive(text, moment / 4) for moment in range(10)]
    refused = Failure("rate_limited", "e")
    assert told == [
        Message("e", None),
        refused,
        None,
        None,
        None,
        refused,
        None,
        None,
        None,
        refused,
    ]


def test_malformed_messages_count_against_the_rate_and_do_not_hide_it() -> None:
    limited = session(rate=1, burst=2)
    assert limited.receive("{", 0.0) == Failure("invalid_json")
    assert limited.receive(b"", 0.0) == Failure("unsupported_frame")
    assert limited.receive("{", 0.0) == Failure("rate_limited")
    assert limited.receive("{", 0.0) is None
    assert limited.receive('{"event":5,"id":"c1"}', 0.0) == Failure("rate_limited", None, "c1")


def test_answers_and_cancels_do_not_count_against_the_rate() -> None:
    limited = session(rate=1, burst=1)
    for _ in range(100):
        assert limited.receive('{"event":"ack","id":"s:1"}', 0.0) == Answer("s:1", None)
        assert limited.receive('{"cancel":1}', 0.0) == Cancel(1)
    assert limited.receive('{"event":"e"}', 0.0) == Message("e", None)


def test_a_peer_that_stays_over_its_rate_is_to_be_closed() -> None:
    limited = session(rate=1, burst=1)
    for _ in range(11):
        limited.receive('{"event":"e"}', 0.0)
    with pytest.raises(Flooding):
        limited.receive('{"event":"e"}', 0.0)


def test_answers_and_cancels_that_come_to_nothing_are_counted_by_who_finds_out() -> None:
    limited = session(rate=1, burst=2)
    limited.count_idle_talk(0.0)
    assert limited.receive('{"event":"e"}', 0.0) == Message("e", None)
    assert limited.receive('{"event":"e"}', 0.0) == Failure("rate_limited", "e")
    with pytest.raises(Flooding):
        for _ in range(100):
            limited.count_idle_talk(0.0)


def test_without_a_rate_nobody_is_limited() -> None:
    free = session()
    for _ in range(5000):
        free.count_idle_talk(0.0)
    for _ in range(5000):
        assert free.receive('{"event":"e"}', 0.0) == Message("e", None)


def test_questions_have_ids_of_ours_that_are_never_used_twice() -> None:
    asking = session()
    ids = [asking.ask("waiter"), asking.next_id(), asking.ask("waiter"), asking.next_id()]
    assert ids == ["s:1", "s:2", "s:3", "s:4"]
    asking.asks.clear()
    assert asking.ask("waiter") == "s:5"


def test_the_id_of_a_question_leads_to_who_waits_and_comes_back_in_its_answer() -> None:
    asking = session()
    first, second = asking.ask("Ada"), asking.ask("Bob")
    answer = asking.receive(json.dumps({"event": "ack", "data": 3, "id": second}), 0.0)
    assert isinstance(answer, Answer)
    assert asking.asks.pop(answer.id) == "Bob"
    assert asking.asks == {first: "Ada"}


def test_one_question_more_than_may_be_open_is_refused_until_one_is_settled() -> None:
    asking = session(max_pending_asks=2)
    first = asking.ask("a")
    asking.ask("b")
    with pytest.raises(LimitReached, match=r": too many questions are waiting for an answer$"):
        asking.ask("c")
    assert len(asking.asks) == 2
    del asking.asks[first]
    assert asking.ask("c") == "s:3"


def test_without_a_limit_any_number_of_questions_may_be_open() -> None:
    asking = session(max_pending_asks=None)
    for _ in range(1000):
        asking.ask("waiter")
    assert len(asking.asks) == 1000


PIECES = [
    '{"event":"e"}',
    '{"event":"e","id":"c1"}',
    '{"event":"ack","id":"s:1"}',
    '{"cancel":"c1"}',
    '{"event":',
    '"id":"s:1"}',
    "[" * 70,
    "\ud800",
    "\\ud800",
    "1e400",
    "9" * 4999,
    "\x00",
    "}",
    "é" * 40,
]


def test_thousands_of_malformed_payloads_each_mean_exactly_one_thing() -> None:
    chance = random.Random(7)
    reading = session(max_message_bytes=300)
    seen: dict[str, int] = {}
    for _ in range(5000):
        text = "".join(chance.choices(PIECES, k=chance.randint(0, 3)))
        payload = text.encode("utf-8", "replace") if chance.random() < 0.1 else text
        meaning = reading.receive(payload, 0.0)
        assert isinstance(meaning, Message | Answer | Cancel | Failure)
        name = meaning.code if isinstance(meaning, Failure) else type(meaning).__name__
        seen[name] = seen.get(name, 0) + 1
    assert seen.keys() == {
        "Message",
        "Answer",
        "Cancel",
        "invalid_json",
        "invalid_message",
        "message_too_large",
        "unsupported_frame",
    }


@given(
    st.text(st.characters(exclude_categories=[])) | st.binary(),
    st.sampled_from([None, 1, 8, 64]),
    st.sampled_from([None, 1, 64]),
)
def test_whatever_arrives_is_understood_or_a_failure(
    payload: str | bytes, max_bytes: int | None, max_depth: int | None
) -> None:
    meaning = receive(payload, max_message_bytes=max_bytes, max_depth=max_depth)
    assert isinstance(meaning, Message | Answer | Cancel | Failure)
    if isinstance(payload, bytes):
        assert meaning == Failure("unsupported_frame")
