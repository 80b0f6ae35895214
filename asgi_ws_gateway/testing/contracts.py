"""What every codec, validator, emitter strategy and observer must do, as tests to inherit.

A third party subclasses one in its own test suite and provides the one fixture method:

    class TestMyCodec(CodecContract):
        def make(self):
            return MyCodec()

The assertions are plain, so that any runner that collects `test_` methods will do.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Any, Final

from ..emitters import EmitterStrategy
from ..errors import EncodeError, ValidationFailed
from ..observers import Observer
from ..protocol.audience import Delivery
from ..protocol.codec import Codec
from ..validation import Validator
from .fakes import FakePeer

__all__ = ["CodecContract", "EmitterStrategyContract", "ObserverContract", "ValidatorContract"]


class _Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class _Point:
    x: int
    colour: _Colour


_ROUND_TRIPS: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    2**53 + 1,
    1.5,
    "",
    "text \u20ac \U0001f600 \x00 \u2028 </script>",
    [],
    {},
    {"nested": [{"deep": [1, 2.5, None, False]}], "": "empty key"},
)

_RICH: Final[tuple[tuple[Any, Any], ...]] = (
    (datetime.date(2024, 2, 29), "2024-02-29"),
    (datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC), "2024-02-29T12:30:00+00:00"),
    (datetime.time(12, 30), "12:30:00"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (decimal.Decimal("1.10"), "1.10"),
    (_Colour.RED, "red"),
    (_Point(1, _Colour.RED), {"x": 1, "colour": "red"}),
    ((1, 2), [1, 2]),
)

_UNENCODABLE: Final[tuple[Any, ...]] = (
    float("nan"),
    float("inf"),
    -float("inf"),
    "\ud800",
    {"\udfff": 1},
    {1: "an integer key"},
    {None: 1},
    {(1, 2): 1},
    object(),
    b"bytes are not JSON",
    {1, 2},
)


class CodecContract:
    """What every `Codec` must do."""

    def make(self) -> Codec:
        """The codec under test."""
        raise NotImplementedError

    def test_it_says_what_it_is(self) -> None:
        codec = self.make()
        assert isinstance(codec, Codec)
        assert codec.name
        assert isinstance(codec.encode("event", None), bytes if codec.binary else str)

    def test_values_survive_the_way_there_and_back(self) -> None:
        codec = self.make()
        for value in _ROUND_TRIPS:
            envelope = codec.decode(codec.encode("event", value), None)
            assert envelope == {"event": "event", "data": value}, value

    def test_an_envelope_carries_an_id_and_more(self) -> None:
        codec = self.make()
        for id in ("c1", "\u20ac", 0, -(2**53) + 1):
            assert codec.decode(codec.encode("event", 1, id), None) == {
                "event": "event",
                "data": 1,
                "id": id,
            }
        more = codec.decode(codec.encode("event", 1, "c1", True), None)
        assert more == {"event": "event", "data": 1, "id": "c1", "more": True}

    def test_rich_values_are_encoded_alike_in_every_codec(self) -> None:
        codec = self.make()
        for value, plain in _RICH:
            envelope = codec.decode(codec.encode("event", [value]), None)
            assert envelope["data"] == [plain], value

    def test_what_cannot_travel_is_an_encode_error(self) -> None:
        codec = self.make()
        cycle: list[Any] = []
        cycle.append(cycle)
        deep: Any = None
        for _ in range(100_000):
            deep = [deep]
        for value in (*_UNENCODABLE, cycle, deep):
            for data in (value, {"inside": [value]}):
                try:
                    codec.encode("event", data)
                except EncodeError:
                    continue
                raise AssertionError(f"encoded {type(value).__name__}")

    def test_nesting_deeper_than_allowed_is_a_value_error(self) -> None:
        codec = self.make()
        for depth in (3, 5, 64):
            value: Any = 1
            for _ in range(depth - 1):
                value = [value]
            payload = codec.encode("event", value)  # the envelope is one level more
            codec.decode(payload, depth)
            try:
                codec.decode(payload, depth - 1)
            except ValueError:
                continue
            raise AssertionError(f"decoded {depth} levels where {depth - 1} are allowed")

    def test_a_truncated_message_is_a_value_error(self) -> None:
        codec = self.make()
        payload = codec.encode("event", {"key": ["value", 1]}, "c1")
        for length in range(len(payload)):
            try:
                codec.decode(payload[:length], 64)
            except ValueError:
                continue
            raise AssertionError(f"decoded a message cut at {length}")


class ValidatorContract:
    """What every `Validator` must do."""

    def make(self) -> Validator:
        """The validator under test."""
        raise NotImplementedError

    def valid(self) -> list[Any]:
        """Some data that it accepts."""
        raise NotImplementedError

    def invalid(self) -> list[Any]:
        """Some data that it refuses."""
        raise NotImplementedError

    def test_it_describes_itself(self) -> None:
        assert isinstance(self.make(), Validator)
        assert isinstance(self.make().schema, dict | bool)

    def test_valid_data_passes_again_and_again(self) -> None:
        validator = self.make()
        for data in self.valid():
            assert validator.validate(data) == validator.validate(data)

    def test_invalid_data_is_refused_with_issues(self) -> None:
        validator = self.make()
        for data in self.invalid():
            issues = _issues(validator, data)
            assert 1 <= len(issues) <= 8
            for issue in issues:
                assert issue.path == "" or issue.path.startswith("/")
                assert issue.message

    def test_an_issue_never_repeats_a_text_of_the_data(self) -> None:
        validator = self.make()
        canary = "canary-4f1d"
        for data in ({"secret": canary}, [canary] * 3, canary, {canary: 1}):
            for issue in _issues(validator, data):
                assert canary not in issue.message


def _issues(validator: Validator, data: Any) -> tuple[Any, ...]:
    try:
        validator.validate(data)
    except ValidationFailed as error:
        return error.issues
    return ()


class EmitterStrategyContract:
    """What every `EmitterStrategy` must do."""

    def make(self) -> EmitterStrategy:
        """The strategy under test."""
        raise NotImplementedError

    def result(self) -> Any:
        """A handler's result that it understands."""
        return {"some": "result"}

    def data(self) -> Any:
        """A handler's data that it understands."""
        return {"some": "data"}

    def test_it_plans_a_delivery_or_nothing(self) -> None:
        peer = FakePeer(namespace="/contract", user="user", rooms=["room"])
        planned = self.make().plan(self.result(), self.data(), peer)
        assert planned is None or isinstance(planned, Delivery)
        assert planned is None or (planned.event and planned.audience.namespace)

    def test_planning_is_pure(self) -> None:
        peer = FakePeer(namespace="/contract", user="user", rooms=["room"])
        strategy = self.make()
        first = strategy.plan(self.result(), self.data(), peer)
        assert strategy.plan(self.result(), self.data(), peer) == first
        assert peer.sent == []
        assert peer.broadcasts == []
        assert peer.closed is None
        assert peer.rooms == frozenset({"room"})


class ObserverContract:
    """What every `Observer` must do."""

    def make(self) -> Observer:
        """The observer under test."""
        raise NotImplementedError

    def test_it_takes_every_call(self) -> None:
        observer = self.make()
        peer = FakePeer(namespace="/contract")
        for _ in range(2):
            observer.refused("/contract", "hook")
            observer.refused(None, "unmatched")
            observer.connected(peer)
            observer.received(peer)
            observer.handled(peer, "event", 0.001)
            observer.handled(peer, None, 0.0)
            observer.failed(peer, "event", "handler_failed")
            observer.failed(peer, None, "unknown_event")
            observer.sent("/contract", "event", 3, 1)
            observer.dropped(peer, "overflow", 1)
            observer.ignored("stale_answer")
            observer.disconnected(peer, 1000)
