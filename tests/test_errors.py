"""The exceptions: one tree, and what each keeps of what it was given."""

import copy
import pickle
from typing import Any

import pytest

from asgi_ws_gateway import errors
from asgi_ws_gateway.errors import (
    AskRejected,
    AskTimeout,
    BackplaneError,
    ConfigurationError,
    ConnectionRejected,
    EncodeError,
    GatewayError,
    Issue,
    LimitReached,
    MessageRejected,
    PeerClosed,
    ServiceNotRunning,
    UnknownNamespace,
    ValidationFailed,
)

EXAMPLES: list[GatewayError] = [
    ConfigurationError(["A.b: wrong", "C: wrong too"]),
    ConnectionRejected("no", 401, headers=[("a", "b")], close_code=4001),
    MessageRejected("sold_out", "nothing left", data={"left": 0}),
    LimitReached("too many rooms"),
    EncodeError("no"),
    UnknownNamespace("no"),
    ServiceNotRunning("no"),
    PeerClosed("no"),
    AskTimeout("no"),
    AskRejected("busy", "later", {"code": "busy"}),
    BackplaneError("no"),
    ValidationFailed([Issue("/a", "must be a number", "type")]),
]


def test_every_error_is_a_gateway_error_and_has_an_example_here() -> None:
    defined = {
        getattr(errors, name) for name in errors.__all__ if name not in ("GatewayError", "Issue")
    }
    assert {type(example) for example in EXAMPLES} == defined
    assert all(issubclass(each, GatewayError) for each in defined)


def test_a_limit_reached_is_a_value_error_and_a_rejection_with_a_code_of_its_own() -> None:
    error = LimitReached("too many rooms")
    assert isinstance(error, ValueError)
    assert isinstance(error, MessageRejected)
    assert (error.code, error.message, error.data) == ("limit_reached", "too many rooms", None)
    assert LimitReached().message == ""


def test_no_other_error_passes_for_a_value_error() -> None:
    assert [type(each) for each in EXAMPLES if isinstance(each, ValueError)] == [LimitReached]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_copying_and_pickling_with_all_it_knows(error: GatewayError) -> None:
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_a_configuration_error_lists_every_mistake_on_a_line_of_its_own() -> None:
    error = ConfigurationError(each for each in ("A.b: wrong", "C: wrong too"))
    assert error.mistakes == ("A.b: wrong", "C: wrong too")
    assert str(error) == "A.b: wrong\nC: wrong too"


def test_one_mistake_may_be_given_as_it_is() -> None:
    assert ConfigurationError("A: wrong").mistakes == ("A: wrong",)


def test_a_rejected_connection_is_a_403_that_says_forbidden_unless_told_otherwise() -> None:
    error = ConnectionRejected()
    assert (error.reason, error.status, error.headers, error.close_code) == (
        "Forbidden",
        403,
        (),
        None,
    )
    assert ConnectionRejected("no", 401, headers=iter([("a", "b")])).headers == (("a", "b"),)


@pytest.mark.parametrize("status", [400, 401, 429, 503, 599])
def test_a_connection_may_be_rejected_with_any_status_of_an_error(status: int) -> None:
    assert ConnectionRejected("no", status).status == status


@pytest.mark.parametrize("status", [0, 100, 101, 200, 302, 399, 600, -403])
def test_a_status_that_is_no_error_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match=f"status must be from 400 to 599, not {status}"):
        ConnectionRejected("no", status)


@pytest.mark.parametrize("code", [4000, 4401, 4999])
def test_a_connection_may_be_rejected_with_a_close_code_of_the_applications(code: int) -> None:
    assert ConnectionRejected(close_code=code).close_code == code


@pytest.mark.parametrize("code", [0, 1000, 1008, 3000, 3999, 5000])
def test_a_close_code_that_is_not_the_applications_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=f"close_code must be from 4000 to 4999, not {code}"):
        ConnectionRejected(close_code=code)


def test_a_rejected_message_is_just_rejected_unless_told_otherwise() -> None:
    error = MessageRejected()
    assert (error.code, error.message, error.data) == ("rejected", "", None)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MessageRejected("sold_out"), "sold_out"),
        (MessageRejected("sold_out", "none left"), "sold_out: none left"),
        (AskRejected("busy"), "busy"),
        (AskRejected("busy", "later"), "busy: later"),
        (ConnectionRejected("unknown token"), "unknown token"),
        (ValidationFailed([]), ""),
        (ValidationFailed([Issue("", "must be an object", "type")]), "/: must be an object"),
        (
            ValidationFailed([Issue("/a", "is missing", "x"), Issue("/b", "is wrong", "y")]),
            "/a: is missing; /b: is wrong",
        ),
    ],
)
def test_an_error_reads_well_in_a_log(error: Any, text: str) -> None:
    assert str(error) == text


def test_failed_validation_keeps_its_issues_in_order() -> None:
    issues = [Issue("/a", "x", "type"), Issue("/b", "y", "type")]
    assert ValidationFailed(issues).issues == tuple(issues)
