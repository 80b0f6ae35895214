"""Searches a message that the package takes otherwise than a second, naive reading of the protocol.

    python tests/reliability/fuzz_decoder.py -max_total_time=60

The search follows the branches that it finds (https://pypi.org/project/atheris); the options are
libFuzzer's. A finding ends it with an `AssertionError`, and the message is kept in a file, which as
an argument replays it. The reading shares nothing with the package but the types of its results.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from asgi_ws_gateway import JSONCodec, Limits
from asgi_ws_gateway.protocol.messages import Answer, Cancel, Failure, Incoming, Message
from asgi_ws_gateway.protocol.session import Session

__all__ = ["NARROW", "WIDE", "check", "meaning"]

WIDE: Final = Limits()
NARROW: Final = Limits(max_message_bytes=128, max_depth=4)


def check(payload: str | bytes, limits: Limits) -> Incoming | None:
    """Has a payload read twice; what was understood can be sent on."""
    codec = JSONCodec()
    incoming = Session[None](codec, limits, now=0.0).receive(payload, 0.0)
    expected = meaning(payload, limits)
    # As text, since True == 1 == 1.0.
    assert repr(incoming) == repr(expected), f"{payload!a:.300}: {incoming}, not {expected}"
    if isinstance(incoming, Message):
        echo = codec.encode(incoming.event, incoming.data, incoming.id)
        assert repr(meaning(echo, WIDE)) == repr(incoming), f"{payload!a:.300}: echoed as {echo}"
    return incoming


def meaning(payload: str | bytes, limits: Limits) -> Incoming:
    """What the protocol says of a payload, where text is expected."""
    assert limits.max_message_bytes is not None
    assert limits.max_depth is not None
    if isinstance(payload, bytes):
        return Failure("unsupported_frame")
    if len(payload) > limits.max_message_bytes:
        return Failure("message_too_large")
    try:
        if len(payload.encode()) > limits.max_message_bytes:
            return Failure("message_too_large")
        value = _parsed(payload, limits.max_depth)
    except ValueError:
        return Failure("invalid_json")
    return _understood(value) if isinstance(value, dict) else Failure("invalid_message")


def _understood(envelope: dict[str, Any]) -> Incoming:
    event, data, id = envelope.get("event"), envelope.get("data"), envelope.get("id")
    is_answer = event in ("ack", "error")
    if is_answer and isinstance(id, str) and id.startswith("s:") and len(id) <= 64:
        return Answer(id, data, event == "error")
    if event is None and _clients_own(envelope.get("cancel")):
        return Cancel(envelope["cancel"])
    named = isinstance(event, str) and 1 <= len(event) <= 128 and not is_answer
    if named and ("id" not in envelope or _clients_own(id)):
        return Message(event, data, id)
    return Failure("invalid_message", id=id if _clients_own(id) else None)


def _clients_own(id: Any) -> bool:
    if isinstance(id, str):
        return 1 <= len(id) <= 64 and not id.startswith("s:")
    return isinstance(id, int) and not isinstance(id, bool) and abs(id) < 2**53


_TOKEN: Final = re.compile(
    r"[ \t\n\r]*+("
    r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    r"|true|false|null|[\[\]{},:]|\Z)"
)
_ESCAPE: Final = re.compile(r"\\(?:u(....)|(.))")
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: Final = {"true": True, "false": False, "null": None}


def _parsed(text: str, max_depth: int) -> Any:
    """The grammar of RFC 8259, word for word."""
    tokens = _tokens(text)
    value = _value(next(tokens), tokens, max_depth)
    if next(tokens):
        raise ValueError("a second value")
    return value


def _tokens(text: str) -> Iterator[str]:
    """All of them, and then empty ones for ever."""
    at = 0
    while (token := _TOKEN.match(text, at)) is not None:
        yield token[1]
        at = token.end()
    raise ValueError(f"no token at {at}")


def _value(token: str, tokens: Iterator[str], depth: int) -> Any:
    if token in ("{", "["):
        if depth == 0:
            raise ValueError("too deep")
        return (_object if token == "{" else _array)(tokens, depth - 1)
    if token in _WORDS:
        return _WORDS[token]
    if token[:1] == '"':
        return _string(token)
    if token[:1] in tuple("-0123456789"):
        return _number(token)
    raise ValueError(f"no value: {token}")


def _object(tokens: Iterator[str], depth: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    name = next(tokens)
    if name == "}":
        return members
    while name[:1] == '"' and next(tokens) == ":":
        members[_string(name)] = _value(next(tokens), tokens, depth)
        if _ends(next(tokens), "}"):
            return members
        name = next(tokens)
    raise ValueError(f"no member: {name}")


def _array(tokens: Iterator[str], depth: int) -> list[Any]:
    values: list[Any] = []
    token = next(tokens)
    if token == "]":
        return values
    while True:
        values.append(_value(token, tokens, depth))
        if _ends(next(tokens), "]"):
            return values
        token = next(tokens)


def _ends(token: str, closing: str) -> bool:
    if token not in (closing, ","):
        raise ValueError(f"neither , nor {closing}: {token}")
    return token == closing


def _string(token: str) -> str:
    def unescaped(escape: re.Match[str]) -> str:
        code, sign = escape.groups()
        return chr(int(code, 16)) if code else _ESCAPED.get(sign, sign)

    # Joins the halves of a pair, and refuses one without the other.
    return _ESCAPE.sub(unescaped, token[1:-1]).encode("utf-16", "surrogatepass").decode("utf-16")


def _number(token: str) -> int | float:
    if token.lstrip("-").isdigit():
        if len(token.lstrip("-")) > 4300:
            raise ValueError("too many digits")
        return int(token)
    number = float(token)
    if math.isinf(number):
        raise ValueError("out of range")
    return number


def main() -> None:
    import atheris
    from malformed import hostile

    def one_input(data: bytes) -> None:
        # Bytes that are no UTF-8 become halves of surrogate pairs.
        text = data.decode("utf-8", "surrogateescape")
        for limits in (WIDE, NARROW):
            check(text, limits)

    with TemporaryDirectory() as corpus:
        for number in range(2000):
            payload = hostile(number)
            if isinstance(payload, str) and len(payload) < 1000:
                Path(corpus, str(number)).write_bytes(payload.encode("utf-8", "surrogatepass"))
        replays = any(not argument.startswith("-") for argument in sys.argv[1:])
        atheris.instrument_all()
        atheris.Setup(sys.argv if replays else [*sys.argv, corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
