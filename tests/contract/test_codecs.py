"""The codecs by msgspec keep the contract, and have the verdicts of the standard library's."""

from __future__ import annotations

import enum
import json
import math
import sys
from collections import OrderedDict
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asgi_ws_gateway
from asgi_ws_gateway import Codec, EncodeError, JSONCodec, MessagePackCodec, MsgspecCodec
from asgi_ws_gateway.protocol.codec import MOST_PREFIXES
from asgi_ws_gateway.testing.contracts import CodecContract

STANDARD: Final = JSONCodec()
MSGSPEC: Final = MsgspecCodec()
PACK: Final = MessagePackCodec()
CODECS: Final = [STANDARD, MSGSPEC, PACK]


class TestMsgspecCodec(CodecContract):
    def make(self) -> MsgspecCodec:
        return MsgspecCodec()


class TestMessagePackCodec(CodecContract):
    def make(self) -> MessagePackCodec:
        return MessagePackCodec()


# Values.


class Word(str):
    pass


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


class Share(float):
    pass


class Pair(NamedTuple):
    left: Any
    right: Any


class Named(msgspec.Struct, rename="camel"):
    first_name: str
    rest: Any = None


class Odd:
    """Of no known type."""


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from([Word("w"), Colour.RED, Size.SMALL, Share(0.5), b"bytes", Odd(), "\ud800"])
)
keys = st.text() | st.sampled_from([Word("k"), Colour.RED, 1, None, True])
values: Any = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.builds(Pair, inner, inner),
        st.dictionaries(keys, inner),
        st.dictionaries(st.text(), inner).map(OrderedDict),
        st.builds(Named, st.text(), inner),
        st.frozensets(st.integers(-(2**63), 2**64 - 1)),
    ),
    max_leaves=8,
)


def sent(codec: Codec, value: Any) -> Any:
    """What a client gets of a value; the type of what it gets instead."""
    try:
        return codec.decode(codec.encode("event", value), None)
    except EncodeError as error:
        return type(error)


def same(left: Any, right: Any) -> bool:
    """Equal, and 1 is neither 1.0 nor true."""
    return repr(left) == repr(right)


@given(values)
def test_all_codecs_send_the_same(value: Any) -> None:
    expected = sent(STANDARD, value)
    assert same(sent(MSGSPEC, value), expected)
    assert same(sent(PACK, value), expected)


@pytest.mark.parametrize(
    "value",
    [
        Size.SMALL,
        [Size.SMALL, Colour.RED, Word("w"), Share(0.5)],
        {Word("k"): 1, Colour.RED: [Word("v")]},
        OrderedDict(a=1.5, b=math.nan),
        Pair(1, Named("x", [1.5])),
    ],
    ids=repr,
)
def test_subclasses_of_json_types_are_sent_as_what_they_are_of(value: Any) -> None:
    assert same(sent(MSGSPEC, value), sent(STANDARD, value))
    assert same(sent(PACK, value), sent(STANDARD, value))


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**40, [[2**70, 1.5], {"a": 2**64}]])
def test_large_numbers_are_exact_in_json_and_refused_in_message_pack(value: Any) -> None:
    assert same(sent(MSGSPEC, value), sent(STANDARD, value))
    with pytest.raises(EncodeError):
        PACK.encode("event", value)


def test_default_is_asked_for_what_nothing_else_knows() -> None:
    def default(value: object) -> object:
        if isinstance(value, Odd):
            return {"odd": (1, Word("x"))}
        raise TypeError("unknown")

    for codec in (JSONCodec(default=default), MsgspecCodec(default=default)):
        assert codec.encode("e", [Odd()]) == '{"event":"e","data":[{"odd":[1,"x"]}]}'
        with pytest.raises(EncodeError, match="unknown"):
            codec.encode("e", b"")
    pack = MessagePackCodec(default=default)
    assert pack.decode(pack.encode("e", Odd()), None)["data"] == {"odd": [1, "x"]}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: type(codec).__name__)
def test_what_default_gives_for_ever_ends(codec: Any) -> None:
    endless = type(codec)(default=lambda value: [value])
    with pytest.raises(EncodeError, match="nests too deep or holds itself"):
        endless.encode("e", Odd())


def test_half_a_surrogate_in_a_name_or_an_id_is_an_encode_error() -> None:
    for codec in CODECS:
        with pytest.raises(EncodeError):
            codec.encode("\ud800", 1)
        with pytest.raises(EncodeError):
            codec.encode("event", 1, "\udc00")


def test_both_json_codecs_write_the_same_text() -> None:
    for id, more in ((None, False), ('c\u2028"1', False), (7, True)):
        for event in ("plain", 'quoted "\\ ☃'):
            data = {"a": [1, None, "é\n"], "b": {}}
            expected = STANDARD.encode(event, data, id, more)
            assert MSGSPEC.encode(event, data, id, more) == expected


def test_so_many_names_are_remembered_and_the_others_work_as_well() -> None:
    codec = MsgspecCodec()
    for number in range(MOST_PREFIXES + 2):
        assert json.loads(codec.encode(f"event {number}", 1))["event"] == f"event {number}"
    assert json.loads(codec.encode("x" * 1000, 1))["event"] == "x" * 1000
    assert len(codec._prefixes) == MOST_PREFIXES


# Texts.

NASTY: Final = [
    "", " ", "nul", "null\x00", "NaN", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "-0.0", "01",
    "1.", ".5", "+1", "1E5", "1" * 400, "1" * 5000, "[1,]", '{"a":1,}', "{'a':1}", '{"a":1,"a":2}',
    '"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"', '"\\ud83d\\ud83d"', '"\\x"', '"\\u12"', '"\x01"',
    '"\x7f"', "\ufeff1", "\x0b1", " 1 ", "1 2", "// 1", '"\ud800"', "\t{}\n", '"a\u2028"', "tru",
    '{"a":"\\ud800","a":1}', "[" * 65 + "]" * 65, "[" * 64 + "]" * 64, "[" * 100_000,
    '"' + "[" * 200 + '"', '{"a" 1}', '{1:2}', "12345678901234567890.5",
]  # fmt: skip


def read(codec: Codec, text: Any) -> Any:
    try:
        return codec.decode(text, 64)
    except ValueError:
        return ValueError


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text[:20]) + str(len(text)))
def test_both_json_codecs_read_the_same(text: str) -> None:
    assert same(read(MSGSPEC, text), read(STANDARD, text))


@given(st.text(st.sampled_from('{}[]",:0123456789eE+-.truefalsn \\u/\x00\ud800é'), max_size=30))
def test_both_json_codecs_read_the_same_of_anything(text: str) -> None:
    assert same(read(MSGSPEC, text), read(STANDARD, text))


@given(st.binary(max_size=40))
def test_of_bytes_message_pack_reads_json_or_nothing(payload: bytes) -> None:
    value = read(PACK, payload)
    if value is not ValueError:
        assert same(json.loads(json.dumps(value, allow_nan=False)), value)


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        {1: "a"},
        {None: 1},
        [math.nan],
        math.inf,
        {"a": [-math.inf]},
        msgspec.msgpack.Ext(5, b"x"),
        [b""],
    ],
    ids=ascii,
)
def test_what_json_has_not_is_refused_in_message_pack(value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|finite|text"):
        PACK.decode(msgspec.msgpack.encode(value), None)


def test_what_nests_too_deep_is_refused_in_message_pack() -> None:
    deep = b"\x91" * 100_000 + b"\xc0"
    for depth in (64, None):
        with pytest.raises(ValueError, match=r"recursion|deep"):
            PACK.decode(deep, depth)
    with pytest.raises(ValueError, match="deep"):
        PACK.decode(b"\x91" * 65 + b"\xc0", 64)
    assert PACK.decode(b"\x91" * 64 + b"\xc0", 64)


# Where they live.


def test_without_msgspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    for codec in (MsgspecCodec, MessagePackCodec):
        with pytest.raises(ModuleNotFoundError, match=r"asgi_ws_gateway\[fast\]"):
            codec()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Missing'"):
        asgi_ws_gateway.Missing  # noqa: B018
