"""The contract suites find what breaks a contract: one broken implementation for each promise."""

from collections.abc import Callable
from typing import Any

import pytest

from asgi_ws_gateway import (
    Audience,
    Delivery,
    EncodeError,
    Issue,
    JSONCodec,
    Observer,
    Peer,
    ValidationFailed,
)
from asgi_ws_gateway.emitters import ToAll
from asgi_ws_gateway.testing.contracts import (
    CodecContract,
    EmitterStrategyContract,
    ObserverContract,
    ValidatorContract,
)


def failing(suite: type, **methods: Any) -> set[str]:
    """The tests of a suite that a subclass with these methods fails."""
    subject = type("Subject", (suite,), methods)()
    failed: set[str] = set()
    for name in dir(subject):
        if name.startswith("test_"):
            try:
                getattr(subject, name)()
            except Exception:
                failed.add(name)
    return failed


def made_by(make: Callable[[], Any]) -> Any:
    return lambda self: make()


class Accepts:
    """A validator that refuses what `refuse` gives issues for."""

    def __init__(self, *issues: Issue, schema: Any = True) -> None:
        self.schema = schema
        self.issues = issues

    def validate(self, data: Any) -> Any:
        if data == 1:
            return data
        raise ValidationFailed(self.issues)


GOOD = Issue("", "must be 1", "const")


def validator_failing(make: Callable[[], Any]) -> set[str]:
    return failing(
        ValidatorContract,
        make=made_by(make),
        valid=lambda self: [1],
        invalid=lambda self: [2],
    )


def test_what_keeps_every_contract_passes_every_test() -> None:
    assert failing(CodecContract, make=made_by(JSONCodec)) == set()
    assert validator_failing(lambda: Accepts(GOOD)) == set()
    assert failing(EmitterStrategyContract, make=made_by(lambda: ToAll("news"))) == set()
    assert failing(ObserverContract, make=made_by(type("Nothing", (Observer,), {}))) == set()


@pytest.mark.parametrize(
    "suite", [CodecContract, ValidatorContract, EmitterStrategyContract, ObserverContract]
)
def test_a_suite_without_a_subject_fails(suite: type) -> None:
    tests = {name for name in dir(suite) if name.startswith("test_")}
    assert failing(suite) == tests


@pytest.mark.parametrize("method", ["valid", "invalid"])
def test_a_validator_suite_needs_data(method: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(ValidatorContract(), method)()


# Codecs.


class Nameless(JSONCodec):
    name = ""  # type: ignore[misc]


class SaysBinary(JSONCodec):
    binary = True  # type: ignore[misc]


class Forgetful(JSONCodec):
    def encode(self, event: str, data: Any, id: Any = None, more: bool = False) -> str:
        return super().encode(event, data)


class Lossy(JSONCodec):
    def decode(self, payload: str, max_depth: int | None) -> Any:
        value = super().decode(payload, max_depth)
        return {**value, "data": None} if value["data"] == 1.5 else value


class Bottomless(JSONCodec):
    def decode(self, payload: str, max_depth: int | None) -> Any:
        return super().decode(payload, None)


class Shallow(JSONCodec):
    def decode(self, payload: str, max_depth: int | None) -> Any:
        return super().decode(payload, max_depth and max_depth - 1)


class Guessing(JSONCodec):
    def decode(self, payload: str, max_depth: int | None) -> Any:
        try:
            return super().decode(payload, max_depth)
        except ValueError:
            if "[[" in payload:
                raise
            return None


class Lenient(JSONCodec):
    def __init__(self) -> None:
        super().__init__(default=repr)


class Raw(JSONCodec):
    def encode(self, event: str, data: Any, id: Any = None, more: bool = False) -> str:
        try:
            return super().encode(event, data, id, more)
        except EncodeError as error:
            raise ValueError from error


class Poor(JSONCodec):
    def encode(self, event: str, data: Any, id: Any = None, more: bool = False) -> str:
        if isinstance(data, list) and data and not isinstance(data[0], int | list | dict):
            raise EncodeError("nothing rich")
        return super().encode(event, data, id, more)


@pytest.mark.parametrize(
    ("codec", "test"),
    [
        (Nameless, "test_it_says_what_it_is"),
        (SaysBinary, "test_it_says_what_it_is"),
        (Lossy, "test_values_survive_the_way_there_and_back"),
        (Forgetful, "test_an_envelope_carries_an_id_and_more"),
        (Poor, "test_rich_values_are_encoded_alike_in_every_codec"),
        (Lenient, "test_what_cannot_travel_is_an_encode_error"),
        (Raw, "test_what_cannot_travel_is_an_encode_error"),
        (Bottomless, "test_nesting_deeper_than_allowed_is_a_value_error"),
        (Shallow, "test_nesting_deeper_than_allowed_is_a_value_error"),
        (Guessing, "test_a_truncated_message_is_a_value_error"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_codec_is_found(codec: type[JSONCodec], test: str) -> None:
    assert test in failing(CodecContract, make=made_by(codec))


# Validators.


class Moody(Accepts):
    def __init__(self) -> None:
        super().__init__(GOOD)
        self.calls = 0

    def validate(self, data: Any) -> Any:
        self.calls += 1
        return self.calls if data == 1 else super().validate(data)


class Talkative(Accepts):
    def validate(self, data: Any) -> Any:
        if data == 1:
            return data
        raise ValidationFailed([Issue("", f"{data!r} is not 1", "const")])


class AcceptsAll(Accepts):
    def validate(self, data: Any) -> Any:
        return data


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (lambda: Accepts(GOOD, schema="text"), "test_it_describes_itself"),
        (object, "test_it_describes_itself"),
        (Moody, "test_valid_data_passes_again_and_again"),
        (AcceptsAll, "test_invalid_data_is_refused_with_issues"),
        (Accepts, "test_invalid_data_is_refused_with_issues"),
        (lambda: Accepts(*[GOOD] * 9), "test_invalid_data_is_refused_with_issues"),
        (
            lambda: Accepts(Issue("no/pointer", "must be 1", "const")),
            "test_invalid_data_is_refused_with_issues",
        ),
        (lambda: Accepts(Issue("", "", "const")), "test_invalid_data_is_refused_with_issues"),
        (Talkative, "test_an_issue_never_repeats_a_text_of_the_data"),
    ],
    ids=[
        *("text", "object", "moody", "accepts", "silent", "many", "pointer", "empty", "talkative"),
    ],
)
def test_a_broken_validator_is_found(make: Callable[[], Any], test: str) -> None:
    assert test in validator_failing(make)


# Strategies.


class Strategy:
    def __init__(self, plan: Callable[[Any, Any, Peer[Any]], Any]) -> None:
        self.plan = plan


def counting() -> Strategy:
    numbers = iter(range(100))
    return Strategy(
        lambda result, data, peer: Delivery(Audience(peer.namespace), "news", next(numbers))
    )


PLANNED, PURE = "test_it_plans_a_delivery_or_nothing", "test_planning_is_pure"


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (lambda: Strategy(lambda result, data, peer: "text"), PLANNED),
        (lambda: Strategy(lambda result, data, peer: Delivery(Audience("/"), "", 1)), PLANNED),
        (lambda: Strategy(lambda result, data, peer: Delivery(Audience(""), "news", 1)), PLANNED),
        (counting, PURE),
        (lambda: Strategy(lambda result, data, peer: peer.join("other") and None), PURE),
    ],
    ids=["text", "nameless", "nowhere", "counting", "joining"],
)
def test_a_broken_strategy_is_found(make: Callable[[], Any], test: str) -> None:
    assert test in failing(EmitterStrategyContract, make=made_by(make))


# Observers.


@pytest.mark.parametrize(
    "method",
    [
        "refused",
        "connected",
        "received",
        "handled",
        "failed",
        "sent",
        "dropped",
        "ignored",
        "disconnected",
    ],
)
def test_a_broken_observer_is_found(method: str) -> None:
    def broken(self: Any) -> None:
        """It takes too few arguments."""

    observer = type("Broken", (Observer,), {method: broken})
    assert failing(ObserverContract, make=made_by(observer)) == {"test_it_takes_every_call"}
