"""Close codes and reasons: what may be sent, and what is sent in its place where it may not."""

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.protocol import close_codes
from asgi_ws_gateway.protocol.close_codes import check_code, cut_reason, fallbacks

LEGAL = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


class Code(IntEnum):
    NORMAL = 1000
    NO_STATUS = 1005


def test_legal_are_the_codes_that_an_endpoint_may_send_and_no_others() -> None:
    def legal(code: int) -> bool:
        try:
            check_code(code)
        except ValueError:
            return False
        return True

    assert {code for code in range(-10, 6000) if legal(code)} == LEGAL


@pytest.mark.parametrize("code", [True, False, 1000.0, 1000.5, "1000", None, [1000]])
def test_what_is_not_a_whole_number_is_no_code(code: Any) -> None:
    with pytest.raises(ValueError, match="is not a close code"):
        check_code(code)


def test_an_enum_of_codes_will_do() -> None:
    check_code(Code.NORMAL)
    with pytest.raises(ValueError, match="is not a close code"):
        check_code(Code.NO_STATUS)


def test_the_codes_and_reasons_of_ours_are_those_of_the_protocol() -> None:
    assert close_codes.RATE_LIMITED == (1008, "rate limited")
    assert close_codes.INTERNAL_ERROR == (1011, "internal error")
    assert close_codes.GOING_DOWN == (1012, "service restart")
    assert close_codes.TOO_SLOW == (1013, "too slow")
    assert close_codes.EXPIRED == (4401, "expired")
    assert close_codes.HEARTBEAT_TIMEOUT == (4408, "heartbeat timeout")
    assert close_codes.POLICY.code == 1008
    assert (close_codes.NO_STATUS, close_codes.ABNORMAL) == (1005, 1006)


@pytest.mark.parametrize(
    ("reason", "cut"),
    [
        ("", ""),
        ("a" * 123, "a" * 123),
        ("a" * 124, "a" * 123),
        ("é" * 61 + "a", "é" * 61 + "a"),
        ("é" * 62, "é" * 61),
        ("a" + "é" * 61, "a" + "é" * 61),
        ("a" * 120 + "😀", "a" * 120),
        ("a" * 119 + "😀", "a" * 119 + "😀"),
        ("half \ud83d", "half ?"),
    ],
)
def test_a_reason_is_cut_to_123_bytes_at_a_character(reason: str, cut: str) -> None:
    assert cut_reason(reason) == cut


@given(st.text(st.characters(exclude_categories=[])))
def test_a_reason_always_fits_and_is_the_start_of_what_was_given(reason: str) -> None:
    cut = cut_reason(reason)
    assert len(cut.encode()) <= 123
    assert reason.encode("utf-8", "replace").decode().startswith(cut)


@pytest.mark.parametrize(
    ("code", "tried"),
    [
        (1000, (1000,)),
        (1001, (1001, 4001, 1000)),
        (1012, (1012, 4012, 1000)),
        (1013, (1013, 4013, 1000)),
        (3000, (3000, 1000)),
        (4408, (4408, 1000)),
        (1005, (1011, 4011, 1000)),
        (1006, (1011, 4011, 1000)),
    ],
)
def test_a_server_that_refuses_a_code_is_offered_its_number_plus_3000_then_1000(
    code: int, tried: tuple[int, ...]
) -> None:
    assert fallbacks(code) == tried


def test_whatever_is_tried_is_legal() -> None:
    assert {each for code in {*LEGAL, 1005, 1006} for each in fallbacks(code)} <= LEGAL
