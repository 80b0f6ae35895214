"""Exceptions in logs: whole where the application speaks, tamed where a client may have a say."""

from __future__ import annotations

import logging

import pytest

from asgi_ws_gateway.runtime.log import Complaints, Log, Tamed, tamed

logger = Log(__name__)


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        if cause is None:
            raise error
        raise error from cause
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        ValueError("short"),
        KeyError("x" * 500),
        RuntimeError(),
        ExceptionGroup("several", [ValueError("short"), ValueError("plain")]),
    ],
    ids=repr,
)
def test_an_ordinary_exception_is_told_as_it_is(error: Exception) -> None:
    assert tamed(raised(error)) is error


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "a\nERROR root: forged", "\x1b[31mred", "\u2028"]
)
def test_a_text_that_may_be_a_client_s_is_cut_and_escaped(text: str) -> None:
    error = raised(ValueError(text))
    told = tamed(error)
    assert isinstance(told, Tamed)
    assert type(told).__name__ == "ValueError"
    assert told.__traceback__ is error.__traceback__
    assert len(str(told)) <= 520
    assert str(told).isprintable()
    assert str(told).isascii()


def test_so_are_those_it_came_from() -> None:
    told = tamed(raised(RuntimeError("short"), raised(ValueError("a\nb"))))
    assert (str(told), str(told.__cause__)) == ('"short"', r'"a\nb"')


def test_so_is_one_inside_a_group() -> None:
    told = tamed(raised(ExceptionGroup("several", [ValueError("a\nb")])))
    assert isinstance(told, Tamed)
    assert "\n" not in str(told)


def test_an_exception_that_has_no_text_at_all_is_told() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    error = raised(Mute())
    assert tamed(error) is error


def test_exceptions_that_came_from_each_other_are_told_once() -> None:
    one, other = ValueError("a\nb"), ValueError("c")
    one.__cause__, other.__cause__ = other, one
    told = tamed(one)
    assert told.__cause__ is not None
    assert told.__cause__.__cause__ is None


def test_a_log_that_fails_says_so_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(record: logging.LogRecord) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(logger.logger, "handle", fail)
    Complaints().error(logger, "kind", "%s failed", "Chat.say", error=ValueError())
    assert "OSError: the disk is full" in capsys.readouterr().err
