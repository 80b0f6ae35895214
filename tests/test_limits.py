"""The limits: their defaults, and that a nonsensical one is refused at once."""

import math
from dataclasses import FrozenInstanceError, asdict, fields, replace
from typing import Any

import pytest

from asgi_ws_gateway.limits import DEFAULT, SERVICE_WIDE, Limits

# The table of the public API.
DEFAULTS = {
    "max_message_bytes": 1024 * 1024,
    "max_depth": 64,
    "outbox_bytes": 1024 * 1024,
    "outbox_messages": 1024,
    "overflow": "close",
    "send_timeout": 10,
    "inbox_messages": 64,
    "rate": None,
    "burst": None,
    "attempt_timeout": 4,
    "max_attempts": 1000,
    "handler_timeout": 30,
    "linger": 5,
    "ask_timeout": 30,
    "max_pending_asks": 64,
    "heartbeat": None,
    "max_rooms": 128,
    "max_room_length": 128,
    "max_connections": None,
    "max_connections_per_ip": None,
    "threads": 40,
}
NUMBERS = sorted(DEFAULTS.keys() - {"overflow"})
SECONDS = {
    "ask_timeout",
    "attempt_timeout",
    "handler_timeout",
    "heartbeat",
    "linger",
    "rate",
    "send_timeout",
}


def limit(field: str, value: Any) -> Limits:
    return Limits(**({"rate": 1} if field == "burst" else {}), **{field: value})


def test_the_defaults_are_those_of_the_api() -> None:
    assert asdict(Limits()) == DEFAULTS


def test_limits_do_not_change_and_have_no_order_to_get_wrong() -> None:
    with pytest.raises(FrozenInstanceError):
        Limits().rate = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(1024)  # type: ignore[misc]


@pytest.mark.parametrize("field", NUMBERS)
def test_none_switches_a_limit_off(field: str) -> None:
    assert getattr(limit(field, None), field) is None


@pytest.mark.parametrize("field", NUMBERS)
def test_a_limit_is_above_zero(field: str) -> None:
    assert getattr(limit(field, 1), field) == 1
    for value in (-1, -(10**9)):
        with pytest.raises(ValueError, match=f"{field} must be above zero, not {value}"):
            limit(field, value)


@pytest.mark.parametrize("field", NUMBERS)
def test_zero_is_for_queues_that_may_be_empty_and_for_lingering_only(field: str) -> None:
    if field in ("outbox_bytes", "outbox_messages", "linger"):
        assert getattr(limit(field, 0), field) == 0
    else:
        with pytest.raises(ValueError, match=f"{field} must be above zero, not 0"):
            limit(field, 0)


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", [True, False, "1", "none", [1], DEFAULT], ids=repr)
def test_a_limit_is_a_number(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{field} must be a (whole )?number or None"):
        limit(field, value)


@pytest.mark.parametrize("field", NUMBERS)
def test_what_is_counted_is_whole_and_what_is_timed_need_not_be(field: str) -> None:
    if field in SECONDS:
        assert getattr(limit(field, 0.5), field) == 0.5
        with pytest.raises(ValueError, match="must be above zero"):
            limit(field, math.nan)
    else:
        with pytest.raises(TypeError, match=f"{field} must be a whole number or None, not 0.5"):
            limit(field, 0.5)


@pytest.mark.parametrize("policy", ["close", "drop_oldest", "drop_newest"])
def test_there_are_three_overflow_policies(policy: Any) -> None:
    assert Limits(overflow=policy).overflow == policy


@pytest.mark.parametrize("policy", ["drop", "CLOSE", "", None, 1])
def test_any_other_overflow_policy_is_refused(policy: Any) -> None:
    with pytest.raises(ValueError, match="overflow must be 'close', 'drop_oldest' or"):
        Limits(overflow=policy)


def test_a_burst_without_a_rate_is_a_mistake() -> None:
    assert Limits(rate=1, burst=5).burst == 5
    with pytest.raises(ValueError, match="burst does nothing without rate"):
        Limits(burst=5)


def test_a_copy_with_one_change_is_checked_too() -> None:
    assert replace(Limits(rate=1), burst=3).burst == 3
    with pytest.raises(ValueError, match="max_depth must be above zero"):
        replace(Limits(), max_depth=0)


def test_the_limits_of_the_whole_service_are_limits() -> None:
    assert {field.name for field in fields(Limits)} >= SERVICE_WIDE
    assert {"max_attempts", "max_connections", "max_connections_per_ip", "threads"} == SERVICE_WIDE


def test_default_reads_as_it_is_written() -> None:
    assert repr(DEFAULT) == "DEFAULT"
