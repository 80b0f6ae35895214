"""Log lines that a client can neither forge nor multiply."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

__all__ = ["Complaints", "quoted"]

_LONGEST: Final = 64
_INTERVAL: Final = 10.0


def quoted(text: str) -> str:
    """Text from outside for a log line: printable ASCII in quotes, cut at 64 characters."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return '"' + ascii(cut)[1:-1].replace('"', '\\"') + '"'


class Complaints:
    """What clients can make happen as often as they like: of each kind one line in ten seconds.

    The next line says how many there were in between.
    """

    __slots__ = ("_last", "_silenced")

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._silenced: dict[str, int] = {}

    def warn(self, logger: logging.Logger, kind: str, text: str, *args: object) -> None:
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
        logger: logging.Logger,
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
        logger: logging.Logger,
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
        logger.log(level, text, *args, exc_info=error, stacklevel=3)
