"""What the data of an `error` holds, code by code."""

import pytest

from asgi_ws_gateway.errors import Issue
from asgi_ws_gateway.protocol.messages import RESERVED_EVENTS, SENTENCES, Failure, error_data

# The table of codes of the wire protocol.
CODES = {
    "invalid_json",
    "invalid_message",
    "unsupported_frame",
    "unknown_event",
    "validation_failed",
    "rejected",
    "handler_failed",
    "handler_timeout",
    "rate_limited",
    "cancelled",
    "message_too_large",
    "limit_reached",
}


def test_every_code_of_the_protocol_has_its_own_sentence() -> None:
    assert SENTENCES.keys() == CODES
    assert len(set(SENTENCES.values())) == len(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_without_a_text_the_message_is_the_fixed_sentence_of_the_code(code: str) -> None:
    assert error_data(Failure(code)) == {"code": code, "message": SENTENCES[code]}


def test_a_code_of_the_applications_own_has_a_sentence_too() -> None:
    assert error_data(Failure("sold_out")) == {
        "code": "sold_out",
        "message": SENTENCES["rejected"],
    }


def test_a_text_replaces_the_sentence() -> None:
    assert error_data(Failure("rejected", text="not now"))["message"] == "not now"


def test_the_event_is_told_when_it_was_understood() -> None:
    assert error_data(Failure("unknown_event", "send"))["event"] == "send"
    assert "event" not in error_data(Failure("invalid_json"))


def test_the_id_is_no_part_of_the_data() -> None:
    assert error_data(Failure("unknown_event", id="c1")) == error_data(Failure("unknown_event"))


def test_issues_are_objects_with_path_message_and_rule() -> None:
    issues = (Issue("/text", "must have at least 1 character", "minLength"),)
    assert error_data(Failure("validation_failed", "send", issues=issues)) == {
        "code": "validation_failed",
        "message": "data does not match the schema",
        "event": "send",
        "issues": [
            {"path": "/text", "message": "must have at least 1 character", "rule": "minLength"}
        ],
    }


@pytest.mark.parametrize("extra", [0, False, "", [], {"left": 3}])
def test_what_a_rejection_adds_is_its_data_even_when_falsy(extra: object) -> None:
    assert error_data(Failure("rejected", extra=extra))["data"] == extra


def test_nothing_added_is_left_out() -> None:
    assert "data" not in error_data(Failure("rejected"))


def test_the_reserved_events_are_those_of_the_protocol() -> None:
    assert {"ack", "error", "heartbeat"} == RESERVED_EVENTS
