"""Messages to text and back. The layout of an envelope is known in this file and nowhere else.

A codec moves JSON values; `read_envelope` says what such a value means.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable
from json import encoder
from typing import Any, Final, Protocol, TypeGuard, cast, runtime_checkable

from ..errors import EncodeError
from .messages import (
    MAX_EVENT_LENGTH,
    MAX_ID_LENGTH,
    Answer,
    Cancel,
    Failure,
    Incoming,
    Message,
    MessageId,
)
from .plain import UnknownType, check_keys, to_plain
from .strict import LARGE, check_depth, finite, refuse_constant, refuse_surrogates

__all__ = [
    "MOST_PREFIXES",
    "Codec",
    "JSONCodec",
    "Prefixes",
    "read_envelope",
    "suffix_of",
    "wire_size",
]

_GREATEST_ID: Final = 2**53 - 1
_SPACE: Final = " \t\n\r"
MOST_PREFIXES: Final = 1024
"""Names of events may be made up by handlers: so many are kept in encoded form."""
_INVALID: Final = Failure("invalid_message")
_ANSWERS: Final = frozenset({"ack", "error"})

_quote: Final = encoder.encode_basestring


@runtime_checkable
class Codec(Protocol):
    """Envelopes to what travels, and what travels to values.

    Its contract suite is `asgi_ws_gateway.testing.contracts.CodecContract`.
    """

    @property
    def name(self) -> str:
        """A short name, the same on every node that uses this codec."""
        ...

    @property
    def binary(self) -> bool:
        """Whether it travels in binary messages rather than text."""
        ...

    def encode(
        self, event: str, data: Any, id: MessageId | None = None, more: bool = False
    ) -> str | bytes:
        """The whole envelope, ready to send.

        Raises:
            EncodeError: `data` holds what cannot travel, such as NaN or an unknown type.
        """
        ...

    def decode(self, payload: Any, max_depth: int | None) -> Any:
        """The value that a client sent; `payload` is `bytes` for a binary codec, else `str`.

        Raises:
            ValueError: It is not strictly what the codec's format allows, or nests deeper than
                `max_depth`.
        """
        ...


def wire_size(payload: str | bytes) -> int:
    """Its length in bytes of UTF-8.

    Raises:
        UnicodeEncodeError: (a `ValueError`) It holds a lone surrogate.
    """
    if isinstance(payload, bytes) or payload.isascii():
        return len(payload)
    return len(payload.encode())


def read_envelope(value: Any) -> Incoming:
    """What a decoded value means; a `Failure` when it is not an envelope. Never raises."""
    if type(value) is not dict:
        return _INVALID
    envelope: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
    event = envelope.get("event")
    id = envelope.get("id")
    if (
        type(event) is str
        and 0 < len(event) <= MAX_EVENT_LENGTH
        and event not in _ANSWERS
        and (_is_client_id(id) if id is not None else "id" not in envelope)
    ):
        return Message(event, envelope.get("data"), id)
    if event is None and _is_client_id(envelope.get("cancel")):
        return Cancel(envelope["cancel"])
    if type(event) is str and event in _ANSWERS and _is_own_id(id):
        return Answer(id, envelope.get("data"), event == "error")
    return Failure("invalid_message", id=id) if _is_client_id(id) else _INVALID


def _is_client_id(id: Any) -> bool:
    if type(id) is str:
        return 0 < len(id) <= MAX_ID_LENGTH and not id.startswith("s:")
    return type(id) is int and -_GREATEST_ID <= id <= _GREATEST_ID


def _is_own_id(id: Any) -> TypeGuard[str]:
    return type(id) is str and id.startswith("s:") and len(id) <= MAX_ID_LENGTH


class Prefixes(dict[str, str]):
    """What stands before the data of an envelope in JSON, by event; made when it is looked up."""

    def __missing__(self, event: str) -> str:
        prefix = f'{{"event":{_quote(event)},"data":'
        if len(event) <= MAX_EVENT_LENGTH and len(self) < MOST_PREFIXES:
            self[event] = prefix
        return prefix


def suffix_of(id: MessageId, more: bool) -> str:
    """What stands behind the data, if there is an id."""
    text = _quote(id) if isinstance(id, str) else str(id)
    return f',"id":{text},"more":true}}' if more else f',"id":{text}}}'


class JSONCodec:
    """Strict RFC 8259 JSON in text messages, by the standard library.

    Args:
        default: Called for a value of a type that nothing else knows; returns something that can
            be encoded, or raises `TypeError`.
    """

    name: str = "json"
    binary: bool = False

    def __init__(self, *, default: Callable[[Any], Any] | None = None) -> None:
        self._default = default
        # `json.loads` scans twice for white space on top of this.
        decoder: Any = json.JSONDecoder(parse_constant=refuse_constant, parse_float=finite)
        self._scan = decoder.scan_once
        self._iterencode = _iterencode(self._to_plain)
        self._prefixes = Prefixes()

    def encode(self, event: str, data: Any, id: MessageId | None = None, more: bool = False) -> str:
        """See `Codec.encode`."""
        try:
            prefix = self._prefixes[event]
            body = "".join(self._iterencode(check_keys(data), 0))
            text = f"{prefix}{body}}}" if id is None else prefix + body + suffix_of(id, more)
            if not text.isascii():
                text.encode()
        except RecursionError:
            raise EncodeError(f"the data of {event!r} nests too deep or holds itself") from None
        except Exception as error:  # `default`, a model's serializer: code of others runs here
            raise EncodeError(f"the data of {event!r} cannot be encoded: {error}") from error
        return text

    def decode(self, payload: str, max_depth: int | None) -> Any:
        """See `Codec.decode`."""
        size = len(payload)
        if max_depth is not None and size > max_depth:
            check_depth(payload, max_depth)
        collects = size > LARGE and gc.isenabled()  # as `collector_off`, less a call
        if collects:
            gc.disable()
        try:
            try:
                value, end = self._scan(payload, 0)
            except StopIteration:  # white space, most likely
                value, end = self._scan(payload, size - len(payload.lstrip(_SPACE)))
            if end != size and payload[end:].strip(_SPACE):
                raise ValueError("something follows the first value")
            if not payload.isascii() or "\\u" in payload:
                refuse_surrogates(payload)
        except StopIteration:
            raise ValueError("there is no value") from None
        except RecursionError:
            raise ValueError("nested too deep") from None
        finally:
            if collects:
                gc.enable()
        return value

    def _to_plain(self, value: Any) -> Any:
        try:
            plain = to_plain(value)
        except UnknownType:
            if self._default is None:
                raise
            plain = self._default(value)
        return check_keys(plain)


def _iterencode(default: Callable[[Any], Any]) -> Callable[[Any, int], Iterable[str]]:
    """What `JSONEncoder.encode` joins; it makes a new encoder in C for every call, this is kept.

    It does not look for cycles: what nests too deep is found out all the same.
    """
    standard = json.JSONEncoder(
        check_circular=False,
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=default,
    )
    make = cast("Any", encoder).c_make_encoder
    if make is None:  # PyPy
        return lambda value, _: standard.iterencode(value)
    kept: Callable[[Any, int], Iterable[str]] = make(
        None, default, _quote, None, ":", ",", False, False, False
    )
    return kept
