"""The close codes we send, which codes are legal, and how long a reason may be (RFC 6455, 7.4)."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "ABNORMAL",
    "EXPIRED",
    "GOING_DOWN",
    "HEARTBEAT_TIMEOUT",
    "INTERNAL_ERROR",
    "NO_STATUS",
    "POLICY",
    "RATE_LIMITED",
    "TOO_SLOW",
    "Close",
    "check_code",
    "cut_reason",
    "fallbacks",
]

NO_STATUS: Final = 1005
ABNORMAL: Final = 1006

MAX_REASON_BYTES: Final = 123


class Close(NamedTuple):
    """Why a connection ends."""

    code: int
    reason: str = ""


POLICY: Final = Close(1008, "refused")
RATE_LIMITED: Final = Close(1008, "rate limited")
INTERNAL_ERROR: Final = Close(1011, "internal error")
GOING_DOWN: Final = Close(1012, "service restart")
TOO_SLOW: Final = Close(1013, "too slow")
EXPIRED: Final = Close(4401, "expired")
HEARTBEAT_TIMEOUT: Final = Close(4408, "heartbeat timeout")


def check_code(code: object) -> None:
    """Raises `ValueError` for a code that no endpoint may send."""
    if not isinstance(code, int) or not (
        1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
    ):
        raise ValueError(
            f"{code!r} is not a close code that may be sent: 1000-1003, 1007-1014 or 3000-4999"
        )


def cut_reason(reason: str) -> str:
    """At most 123 bytes of UTF-8, cut at a character."""
    encoded = reason.encode("utf-8", "replace")
    return encoded[:MAX_REASON_BYTES].decode("utf-8", "ignore")


def fallbacks(code: int) -> tuple[int, ...]:
    """What to try in turn: daphne takes 1000 and 3000-4999 only, and raises on all others."""
    if code in (NO_STATUS, ABNORMAL):
        code = INTERNAL_ERROR.code  # they only say that no close was received
    if code == 1000:
        return (1000,)
    return (code, 1000) if code >= 3000 else (code, code + 3000, 1000)
