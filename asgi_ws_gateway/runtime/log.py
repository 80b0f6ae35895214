"""Log lines that a client can neither forge nor multiply."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from time import monotonic
from typing import Any, Final, cast

__all__ = ["Complaints", "Log", "Tamed", "quoted", "tamed"]

_LONGEST: Final = 64
_LONGEST_TEXT: Final = 512
_INTERVAL: Final = 10.0


def quoted(text: str, longest: int = _LONGEST) -> str:
    """Text from outside for a log line: printable ASCII in quotes, cut at 64 characters."""
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    return '"' + ascii(cut)[1:-1].replace('"', '\\"') + '"'


class Tamed(Exception):
    """Stands for an exception whose text is too long for a log, or would break its lines."""


def tamed(error: BaseException) -> BaseException:
    """An exception for a log: the same, unless somebody else may have had a say in its text.

    What stands in for it has its traceback, and names its type; so do those it came from.
    """
    given: BaseException | None = error
    chain: list[BaseException] = []
    while given is not None and given not in chain:
        chain.append(given)
        hidden = given.__suppress_context__
        given = given.__cause__ or (None if hidden else given.__context__)
    if all(map(_harmless, chain)):
        return error
    cause: BaseException | None = None
    for each in reversed(chain):
        kind = type(each)
        # Of the same name, by which logs are read and errors grouped.
        named = type(kind.__name__, (Tamed,), {"__module__": kind.__module__})
        kept = named(quoted(_text(each), _LONGEST_TEXT)).with_traceback(each.__traceback__)
        kept.__cause__, cause = cause, kept
    assert cause is not None
    return cause


def _harmless(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(map(_harmless, group.exceptions))
    text = _text(error)
    return len(text) <= _LONGEST_TEXT and text.isprintable()


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


class Log(logging.LoggerAdapter[logging.Logger]):
    """A module's logger, of which handlers and filters may fail: that is told on stderr.

    Args:
        name: The module's.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name))

    def log(self, level: int, msg: object, *args: object, **options: Any) -> None:
        """See `logging.Logger.log`."""
        options["stacklevel"] = options.get("stacklevel", 1) + 1
        try:
            super().log(level, msg, *args, **options)
        except Exception:
            with suppress(Exception):
                traceback.print_exc(file=sys.stderr)


class Complaints:
    """What clients can make happen as often as they like: of each kind one line in ten seconds.

    The next line says how many there were in between.
    """

    __slots__ = ("_last", "_silenced")

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._silenced: dict[str, int] = {}

    def warn(self, logger: Log, kind: str, text: str, *args: object) -> None:
        """Logs a warning, unless the same kind was logged just now.

        Args:
            logger: Where to.
            kind: One of a set that clients cannot make grow.
            text: As `logging` formats it.
            args: The same.
        """
        self._log(logger, logging.WARNING, kind, text, *args)

    def error(
        self,
        logger: Log,
        kind: str,
        text: str,
        *args: object,
        error: BaseException | None = None,
    ) -> None:
        """Logs an error in the same way.

        Args:
            logger: Where to.
            kind: As for `warn`; errors of another type are of another kind.
            text: As `logging` formats it.
            args: The same.
            error: Whose traceback is told as well.
        """
        self._log(logger, logging.ERROR, kind, text, *args, error=error)

    def _log(
        self,
        logger: Log,
        level: int,
        kind: str,
        text: str,
        *args: object,
        error: BaseException | None = None,
    ) -> None:
        if error is not None:
            kind = f"{kind}: {type(error).__qualname__}"
        now = monotonic()
        if now - self._last.get(kind, -_INTERVAL) < _INTERVAL:
            self._silenced[kind] = self._silenced.get(kind, 0) + 1
            return
        self._last[kind] = now
        silenced = self._silenced.pop(kind, 0)
        if silenced:
            text, args = f"{text} (and %d more like it before)", (*args, silenced)
        told = None if error is None else tamed(error)
        logger.log(level, text, *args, exc_info=told, stacklevel=3)
