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
    """Warnings about clients: of each kind one in ten seconds, with a count of the others."""

    __slots__ = ("_last", "_silenced")

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._silenced: dict[str, int] = {}

    def warn(self, logger: logging.Logger, kind: str, text: str, *args: object) -> None:
        """Logs a warning, unless the same kind was logged just now.

        Args:
            logger: Where to.
            kind: One of a fixed set.
            text: As `logging` formats it.
            args: The same.
        """
        now = monotonic()
        if now - self._last.get(kind, -_INTERVAL) < _INTERVAL:
            self._silenced[kind] = self._silenced.get(kind, 0) + 1
            return
        self._last[kind] = now
        silenced = self._silenced.pop(kind, 0)
        if silenced:
            logger.warning(f"{text} (and %d more like it before)", *args, silenced)
        else:
            logger.warning(text, *args)
