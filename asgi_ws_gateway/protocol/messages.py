"""What one envelope carries, in either direction, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from ..errors import Issue

__all__ = [
    "MAX_EVENT_LENGTH",
    "MAX_ID_LENGTH",
    "RESERVED_EVENTS",
    "SENTENCES",
    "Answer",
    "Cancel",
    "Failure",
    "Incoming",
    "Message",
    "MessageId",
    "error_data",
]

MessageId: TypeAlias = str | int

RESERVED_EVENTS: Final = frozenset({"ack", "error", "heartbeat"})
MAX_EVENT_LENGTH: Final = 128
MAX_ID_LENGTH: Final = 64

SENTENCES: Final = {
    "invalid_json": "the message is not valid JSON",
    "invalid_message": "the message is not an object with an event and, at most, a valid id",
    "unsupported_frame": "this kind of frame is not supported here",
    "unknown_event": "no handler for this event",
    "validation_failed": "data does not match the schema",
    "rejected": "the message was rejected",
    "handler_failed": "the message could not be handled",
    "handler_timeout": "the message took too long to handle",
    "rate_limited": "too many messages",
    "cancelled": "the message was cancelled",
    "message_too_large": "the message is too large",
    "limit_reached": "a limit was reached",
}
"""The one sentence that a client is told for each code: never the text of an exception."""


@dataclass(slots=True)
class Message:
    """A client's message for a handler; with an `id` it asks for an answer.

    Not frozen, and no named tuple: it is the one that is made for every message, and either takes
    twice as long to make.
    """

    event: str
    data: Any
    id: MessageId | None = None


class Answer(NamedTuple):
    """A client's answer to a question of ours; `failed` when it is an `error`."""

    id: str
    data: Any
    failed: bool = False


class Cancel(NamedTuple):
    """A client takes back the message with this `id`."""

    id: MessageId


class Failure(NamedTuple):
    """Why a message was not, or not fully, handled; sent as an `error`.

    `text` and `extra` are what a `MessageRejected` says beyond its code.
    """

    code: str
    event: str | None = None
    id: MessageId | None = None
    issues: tuple[Issue, ...] | None = None
    text: str = ""
    extra: Any = None


Incoming: TypeAlias = Message | Answer | Cancel | Failure


def error_data(failure: Failure) -> dict[str, Any]:
    """The data of the `error` event for a failure (`protocol`, "Error data")."""
    message = failure.text or SENTENCES.get(failure.code) or SENTENCES["rejected"]
    data: dict[str, Any] = {"code": failure.code, "message": message}
    if failure.event is not None:
        data["event"] = failure.event
    if failure.issues is not None:
        data["issues"] = [
            {"path": issue.path, "message": issue.message, "rule": issue.rule}
            for issue in failure.issues
        ]
    if failure.extra is not None:
        data["data"] = failure.extra
    return data
