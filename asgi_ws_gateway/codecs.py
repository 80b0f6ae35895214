"""The optional codecs, of the extra `fast`: JSON and MessagePack by msgspec.

msgspec takes and gives more than JSON has: NaN becomes null, a set an array, bytes a text. Both
codecs have the verdicts of `JSONCodec`, so that a namespace may change its codec and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from .errors import EncodeError
from .protocol.codec import Prefixes, suffix_of
from .protocol.messages import MessageId
from .protocol.plain import UnknownType, check_json, is_json, to_json, to_plain
from .protocol.strict import check_depth, collector_off

__all__ = ["MessagePackCodec", "MsgspecCodec"]

Default = Callable[[Any], Any] | None


class MsgspecCodec:
    """Strict RFC 8259 JSON in text messages, by msgspec: as `JSONCodec`, in a part of the time.

    Args:
        default: As that of `JSONCodec`.

    Raises:
        ModuleNotFoundError: msgspec is not installed; the message names the extra.
    """

    name: str = "json"
    """The format is the same: nodes with either codec understand each other."""
    binary: bool = False

    def __init__(self, *, default: Default = None) -> None:
        msgspec = _msgspec()
        self._error: type[Exception] = msgspec.MsgspecError
        self._plain = _converter(default)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder().decode
        self._prefixes = Prefixes()

    def encode(self, event: str, data: Any, id: MessageId | None = None, more: bool = False) -> str:
        """See `Codec.encode`."""
        try:
            prefix = self._prefixes[event]
            plain = data if is_json(data) else to_json(data, self._plain)
            body = self._encode(plain).decode()
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
        if max_depth is not None and len(payload) > max_depth:
            check_depth(payload, max_depth)
        try:
            with collector_off(len(payload)):
                return self._decode(payload)
        except (self._error, RecursionError) as error:
            raise ValueError(str(error)) from None


class MessagePackCodec:
    """The same values as MessagePack in binary messages, by msgspec.

    Whole numbers have 64 bits there; what MessagePack has beyond JSON is refused.

    Args:
        default: As that of `JSONCodec`.

    Raises:
        ModuleNotFoundError: msgspec is not installed; the message names the extra.
    """

    name: str = "msgpack"
    binary: bool = True

    def __init__(self, *, default: Default = None) -> None:
        msgspec = _msgspec()
        self._error: type[Exception] = msgspec.MsgspecError
        self._plain = _converter(default)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder().decode

    def encode(
        self, event: str, data: Any, id: MessageId | None = None, more: bool = False
    ) -> bytes:
        """See `Codec.encode`."""
        try:
            plain = data if is_json(data) else to_json(data, self._plain)
            envelope = {"event": event, "data": plain}
            if id is not None:
                envelope["id"] = id
                if more:
                    envelope["more"] = True
            payload: bytes = self._encode(envelope)
        except RecursionError:
            raise EncodeError(f"the data of {event!r} nests too deep or holds itself") from None
        except Exception as error:  # `default`, a model's serializer: code of others runs here
            raise EncodeError(f"the data of {event!r} cannot be encoded: {error}") from error
        return payload

    def decode(self, payload: bytes, max_depth: int | None) -> Any:
        """See `Codec.decode`."""
        try:
            with collector_off(len(payload)):
                value = self._decode(payload)
            check_json(value, max_depth)
        except (self._error, RecursionError) as error:
            raise ValueError(str(error)) from None
        return value


def _converter(default: Default) -> Callable[[Any], Any]:
    if default is None:
        return to_plain

    def convert(value: Any) -> Any:
        try:
            return to_plain(value)
        except UnknownType:
            return default(value)

    return convert


def _msgspec() -> Any:
    try:
        return import_module("msgspec")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "this codec needs msgspec: pip install 'asgi_ws_gateway[fast]'", name=error.name
        ) from None
