"""The three events that every system here serves, and the data they carry.

`ping` is answered with `pong`, `submit` is validated and answered with `submitted`, and `say` goes
to everybody as `said`.
"""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["ANSWERS", "DATA", "PING", "SCHEMA", "WORDS", "action", "envelope", "packet"]

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["title", "email", "seats", "kind", "tags", "note"],
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": 80},
        "email": {"type": "string", "pattern": "^[^@]+@[^@]+$"},
        "seats": {"type": "integer", "minimum": 1, "maximum": 20},
        "kind": {"enum": ["talk", "workshop"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        "note": {"type": "string"},
    },
    "additionalProperties": False,
}
DATA: Final[dict[str, Any]] = {
    "title": "A title",
    "email": "someone@example.org",
    "seats": 4,
    "kind": "talk",
    "tags": ["a", "b"],
    "note": "",
}
ANSWERS: Final = {"ping": '"pong"', "submit": '"submitted"', "say": '"said"'}
"""What stands in the answer to each, in every dialect."""
PING: Final[dict[str, Any]] = {}
WORDS: Final = {"text": "Good morning, everybody"}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))  # as browsers write it


def envelope(event: str, data: Any) -> str:
    """A message as the gateway, and most of the others, take it."""
    return _json({"event": event, "data": data})


def packet(event: str, data: Any) -> str:
    """The same for Socket.IO."""
    return "42" + _json([event, data])


def action(event: str, data: Any) -> str:
    """The same for chanx."""
    return _json({"action": event, "payload": data})
