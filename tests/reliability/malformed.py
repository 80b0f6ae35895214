"""Hostile messages, each made from a number alone.

What is sound in them speaks to handlers of the events `ping`, `echo`, `wait` and `submit`.
"""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

__all__ = ["KINDS", "UNKNOWN_EVENTS", "Kind", "hostile"]

Kind: TypeAlias = Callable[[Random], str | bytes]

_EVENTS: Final = ('"ping"', '"echo"', '"wait"', '"submit"')

UNKNOWN_EVENTS: Final = (
    *("Ping", "PING", " ping", "ping ", "ping\x00", "\uff50\uff49\uff4e\uff47", "ping.__class__"),
    *("__proto__", "constructor", "__class__", "__dict__", "_handlers", "on_ping", "self", "*"),
    *("heartbeat", "connect", "disconnect", "message", "websocket.disconnect", "websocket.close"),
    *("x\r\nERROR forged", "x\nERROR forged", "x\x0bERROR", "x\x85ERROR", "x\u2028ERROR"),
    *("\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\x08\x08\x08", "\u202eevil", "\x7f", '"', "\\", "'"),
    *("%s%s%n", "%(name)s", "{0.__class__}", "{}", "${jndi:ldap://x}", "\U0001f600" * 128),
)

_BROKEN: Final = (
    *("NaN", "nan", "Infinity", "-Infinity", "inf", "1e400", "-1e400", "9" * 400 + ".0"),
    *("9" * 4301, "-" + "1" * 4301, "01", "-01", "+1", "-", ".5", "1.", "1e", "1e+", "0x10"),
    *("1_000", "\u0661", "\uff11", "1 2", "", "'a'", "a", "nul", "True", "None", "undefined"),
    *("[1,]", "[,1]", "[1 2]", "[1", "1]", "[}", "{]", "[", "]", "{", "}", "(1)", "<a/>"),
    *('{"a":1,}', "{a:1}", "{'a':1}", '{"a" 1}', '{"a":}', '{"a"}', "{:1}", "{1:1}", "{,}"),
    *('"\t"', '"a\nb"', '"\x00"', '"\x1f"', '"a', '"\\"', r'"\x41"', r'"\a"', r'"\u12"'),
    *(r'"\u12g4"', r'"\u+123"', r'"\u 123"', r'"\u_123"', r'"\U00012345"', r'"\u１２３４"'),
    *(r'"\ud800"', r'"\uDFFF"', r'"\ud83dx"', r'"\ud83d\u0041"', r'"\ude00\ud83d"', '"\ud800"'),
    *(r'{"\udc00":1}', '{"\udc00":1}', "/* c */1", "1//c\n", "#c\n1", "\u00a01", "\x0b1", "\x0c1"),
    *("\ufeff1", "1;", "!!python/object:os.system x", "datetime.now()", r'"\'"'),
)
_AROUND: Final = (
    *("\ufeff%s", "%s\ufeff", "%s%s", "%s\n%s", "[%s", "%s]", "%s,", "%s;", "(%s)", "x%s"),
    *("%s\x00", "\x00%s", "\u00a0%s", "%s\u2028", "\x0b%s", "/**/%s", "%s//c", "#c\n%s"),
    *("data: %s\n\n", ")]}',\n%s", "42%s", "%s null", '%s"', "'%s'", "<!--%s-->", "GET / %s"),
)
_NO_ENVELOPE: Final = (
    *("null", "true", "0", "1.5", '"send"', "[]", '["ping"]', '[{"event":"ping"}]', "{}"),
    *('{"data":1}', '{"Event":"ping"}', '{"type":"ping"}', '{"cancel":null}', '{"cancel":""}'),
    *('{"cancel":"s:1"}', '{"cancel":true}', '{"cancel":1.0}', '{"cancel":[]}', '{"cancel":{}}'),
    *('{"cancel":9007199254740992}', '{"cancel":"%s"}' % ("x" * 65), '{"event":1,"cancel":"c"}'),
    *('{"event":"ack"}', '{"event":"error","data":{}}', '{"event":"ack","id":"c1"}'),
    *('{"event":"ack","id":1}', '{"event":"error","id":"s:%s"}' % ("9" * 63)),
)
_NO_EVENT: Final = (
    *("5", "1.5", "true", "false", "null", "[]", "{}", '["ping"]', '{"event":"ping"}'),
    *('""', f'"{"x" * 129}"', f'"{"é" * 129}"', f'"{"x" * 65_536}"'),
)
_NO_ID: Final = (
    *("null", "true", "false", "1.5", "1.0", "1e2", '""', '"s:1"', '"s:"', "[]", "{}", '["c1"]'),
    *("9007199254740992", "-9007199254740992", "9" * 300, f'"{"x" * 65}"', f'"{"x" * 65_536}"'),
)
_IDS: Final = (
    *('"c1"', '"c2"', "0", "-1", "1000000", "9007199254740991", "-9007199254740991", '"\\u00e9"'),
    *(f'"{"c" * 64}"', r'"\ud83d\ude00"', r'"c\n"', r'"c\u0000"', '"true"', '"c:1"', '"S:1"'),
)
_ODD_DATA: Final = (
    *("null", "true", "1", "-0", "-0.0", "1E+2", "1e-400", "9007199254740993", "9" * 4300, "0.1"),
    *('""', r'"\u0000\u001f\u007f"', r'"\ud83d\ude00"', '"\U0001f600\u2028</script>"', "[]", "{}"),
    *('{"text":"hi"}', '{"text":5}', '{"text":null}', '{"a":1,"a":2}', '{"__proto__":{"x":1}}'),
    *('{"__class__":"os","py/object":"os.system"}', '"!!python/object:os.system"', '{"":{"":0}}'),
    *('"${jndi:ldap://x}"', '"%s%n"', '{"$ref":"http://x"}', r'"[[[[{{{{\"]]"', " \t\n\r1\r\n\t "),
    *("[" * 4 + "]" * 4, "[" * 63 + "]" * 63, '{"a":' * 62 + "[]" + "}" * 62),
)
_BINARY: Final = (
    *(b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b'{"event":"ping"}', b"\x81\xa5event\xa4ping"),
    *(
        pickle.dumps({"event": "ping"}, 2),
        gzip.compress(b'{"event":"ping"}', mtime=0),
        b"\xef\xbb\xbf{}",
    ),
)
_PIECES: Final = (
    *'{}[]",:\\/ \t\n\r-+.eE0123456789',
    *("null", "true", "NaN", "1e400", "[" * 70, "{}", "//", "/*", "'", "s:1", "é", "\U0001f600"),
    *(r"\u", r"\ud800", r"\ude00", r"\uD83D\uDE00", "\ud800", "\ufeff", "\x00", "\x7f", "\u00a0"),
    *('"event":', '"data":', '"id":', '"cancel":', ',"id":"c3"', ',"event":"ping"', '"ack"'),
)
_MEBIBYTE: Final = 1024 * 1024
_KEYS: Final = ",".join(f'"{number}":0' for number in range(50_000))
_GIANTS: Final = (
    *(" " * _MEBIBYTE, "\n" * (_MEBIBYTE - 1) + "{", "x" * (_MEBIBYTE + 1), "9" * 1_000_000),
    *("[" * 500_000, "[" * 500_000 + "]" * 500_000, '{"a":' * 50_000 + "1" + "}" * 50_000),
    *('"' * _MEBIBYTE, "\\" * _MEBIBYTE, '{"event":"' + "x" * 1_000_000, "\U0001f600" * 300_000),
    *('{"event":"ping","data":"%s"}' % (r"\"[" * 300_000), "[" + "0," * 100_000 + "0]"),
    *(f'{{"event":"ping","data":{{{_KEYS}}}}}', bytes(_MEBIBYTE)),
)


def hostile(number: int) -> str | bytes:
    """The message with this number, the same in every run."""
    chance = Random(number)
    return chance.choices(*_WEIGHTED)[0](chance)


def sound(chance: Random) -> str:
    """A message, an answer or a cancel that there is nothing to say against."""
    return chance.choices((_envelope, stray_answer, stray_cancel), (8, 1, 1))[0](chance)


def broken_value(chance: Random) -> str:
    member = chance.choice(("event", "data", "id"))
    return _envelope(chance, **{member: chance.choice(_BROKEN)})


def broken_and_overwritten(chance: Random) -> str:
    """By a second member of the same name, which is sound."""
    member = chance.choice(("event", "data", "id"))
    return f'{{"{member}":{chance.choice(_BROKEN)},{_envelope(chance).strip()[1:]}'


def broken_around(chance: Random) -> str:
    return chance.choice(_AROUND).replace("%s", sound(chance))


def torn(chance: Random) -> str:
    text = sound(chance).strip()
    return text[: chance.randrange(len(text))]


def too_deep(chance: Random) -> str:
    depth = chance.choice((64, 65, 100, 1000, 5000))
    opened, closed = chance.choice((("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")))
    return _envelope(chance, data=opened * depth + chance.choice(("1" + closed * depth, "")))


def no_envelope(chance: Random) -> str:
    return chance.choice(_NO_ENVELOPE)


def bad_event(chance: Random) -> str:
    return _envelope(chance, event=chance.choice(_NO_EVENT))


def bad_id(chance: Random) -> str:
    return _envelope(chance, id=chance.choice(_NO_ID))


def unknown_event(chance: Random) -> str:
    event = json.dumps(chance.choice(UNKNOWN_EVENTS), ensure_ascii=chance.random() < 0.5)
    return _envelope(chance, event=event)


def odd_data(chance: Random) -> str:
    return _envelope(chance, event='"echo"', data=chance.choice(_ODD_DATA))


def stray_answer(chance: Random) -> str:
    event = chance.choice(('"ack"', '"error"'))
    return _envelope(chance, event=event, id=f'"s:{chance.choice((0, 1, -1, 10**60, ""))}"')


def stray_cancel(chance: Random) -> str:
    # No message has such an id, and none that a mutation makes of it.
    return _object(chance, {"cancel": f'"withdrawn-{chance.randrange(100)}"'})


def binary(chance: Random) -> bytes:
    return chance.choice((*_BINARY, chance.randbytes(20), sound(chance).encode()))


def giant(chance: Random) -> str | bytes:
    return chance.choice(_GIANTS)


def mutated(chance: Random) -> str:
    """Sound text with pieces cut out, doubled, swapped, spliced and flipped: it may stay sound."""
    text = sound(chance)
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.choice((0, 1, 1, 2, 8)))
        piece, rest = text[start:end], text[end:]
        match chance.randrange(5):
            case 0:
                piece = ""
            case 1:
                piece *= 2
            case 2:
                piece = chance.choice(_PIECES)
            case 3:
                piece = "".join(chr(ord(sign) ^ 1 << chance.randrange(7)) for sign in piece)
            case _:
                rest = sound(chance)[chance.randrange(20) :]
        text = text[:start] + piece + rest
    return text


KINDS: Final[dict[Kind, tuple[float, str | None]]] = {
    broken_value: (15, "invalid_json"),
    broken_and_overwritten: (2, "invalid_json"),
    broken_around: (6, "invalid_json"),
    torn: (8, "invalid_json"),
    too_deep: (2, "invalid_json"),
    no_envelope: (4, "invalid_message"),
    bad_event: (6, "invalid_message"),
    bad_id: (6, "invalid_message"),
    unknown_event: (8, None),
    odd_data: (6, None),
    stray_answer: (2, None),
    stray_cancel: (1, None),
    binary: (4, "unsupported_frame"),
    giant: (0.1, None),
    mutated: (30, None),
}
"""How often each kind is made in a hundred, and the code it is refused with, if always the same."""

_WEIGHTED: Final = (list(KINDS), [weight for weight, _ in KINDS.values()])


def _envelope(chance: Random, **members: str) -> str:
    """A sound message but for the members given, which are JSON texts."""
    defaults = {
        "event": chance.choice(_EVENTS),
        "data": chance.choice(("null", "1", '{"text":"hi"}', '[{"a":[1,2.5e3]},"\\u00e9é"]')),
        "id": chance.choice(_IDS),
    }
    if chance.random() < 0.3:
        del defaults[chance.choice(("data", "id"))]
    return _object(chance, {**defaults, **members})


def _object(chance: Random, members: dict[str, str]) -> str:
    names = chance.sample(sorted(members), len(members))
    space = chance.choice(("", "", "", " ", "\n", "\r\n\t "))
    inside = f"{space},{space}".join(f'"{name}"{space}:{space}{members[name]}' for name in names)
    return f"{space}{{{space}{inside}{space}}}{space}"
