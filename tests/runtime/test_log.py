"""Log lines about clients: neither forged nor multiplied by them."""

from __future__ import annotations

import logging

import pytest

from asgi_ws_gateway.runtime import log
from asgi_ws_gateway.runtime.log import Complaints, quoted

logger = logging.getLogger(__name__)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as the one item of a list."""
    time = [1000.0]
    monkeypatch.setattr(log, "monotonic", lambda: time[0])
    return time


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", '""'),
        ("send", '"send"'),
        ("it's", '"it\'s"'),
        ('say "hi"', r'"say \"hi\""'),
        ("a\nb\r\x1b[31m\x00", r'"a\nb\r\x1b[31m\x00"'),
        ("café \u2028 \U0001f600 \ud800", r'"caf\xe9 \u2028 \U0001f600 \ud800"'),
        ("x" * 64, f'"{"x" * 64}"'),
        ("x" * 65, f'"{"x" * 64}..."'),
    ],
)
def test_what_a_client_says_is_quoted_escaped_and_cut(text: str, line: str) -> None:
    assert quoted(text) == line


def test_the_same_complaint_is_told_at_intervals_with_a_count_of_the_others(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    complaints = Complaints()
    told = []
    for second in (0, 1, 9.9, 10, 11, 12, 13, 30, 40):
        clock[0] = 1000 + second
        caplog.clear()
        complaints.warn(logger, "flood", "%s is too fast", "Ada")
        told.append([record.getMessage() for record in caplog.records])
    plain = ["Ada is too fast"]
    assert told == [
        *(plain, [], []),
        *(["Ada is too fast (and 2 more like it before)"], [], [], []),
        *(["Ada is too fast (and 3 more like it before)"], plain),
    ]


def test_one_kind_of_complaint_does_not_silence_another(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    complaints = Complaints()
    for _ in range(3):
        complaints.warn(logger, "flood", "too fast")
        complaints.warn(logger, "unknown", "unknown")
    assert caplog.messages == ["too fast", "unknown"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_nor_do_those_of_one_peer_silence_those_of_another(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("Ada", "Bob"):
        Complaints().warn(logger, "flood", "%s is too fast", name)
    assert caplog.messages == ["Ada is too fast", "Bob is too fast"]
