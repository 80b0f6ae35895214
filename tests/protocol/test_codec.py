"""JSON in and out: what is strict, what is refused, and that nothing but refusals is raised."""

import enum
import gc
import json
import math
import random
import re
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.errors import EncodeError
from asgi_ws_gateway.protocol import codec
from asgi_ws_gateway.protocol.codec import Codec, JSONCodec, read_envelope, wire_size
from asgi_ws_gateway.protocol.messages import Answer, Cancel, Failure, Message

DEPTH = 64


def encode(*args: Any) -> str:
    return JSONCodec().encode(*args)


def decode(text: str, max_depth: int | None = DEPTH) -> Any:
    return JSONCodec().decode(text, max_depth)


def encoded(data: Any) -> Any:
    """What a client reads of some data."""
    envelope = json.loads(encode("new", data))
    assert envelope.keys() == {"event", "data"}
    assert envelope["event"] == "new"
    return envelope["data"]


# Encoding.


def test_it_is_a_codec_of_text_called_json() -> None:
    codec = JSONCodec()
    assert isinstance(codec, Codec)
    assert (codec.name, codec.binary) == ("json", False)


def test_an_envelope_is_compact_and_holds_what_there_is_to_say() -> None:
    assert encode("sent", {"a": [1, "ü"]}) == '{"event":"sent","data":{"a":[1,"ü"]}}'
    assert encode("sent", None, "c1") == '{"event":"sent","data":null,"id":"c1"}'
    assert encode("sent", None, 7, True) == '{"event":"sent","data":null,"id":7,"more":true}'
    assert encode("sent", None, None, True) == '{"event":"sent","data":null}'


def test_only_a_name_that_a_client_could_send_is_remembered() -> None:
    fresh = JSONCodec()
    for length, kept in ((129, 0), (128, 1), (1000, 1)):
        event = f"remembered at {length}".ljust(length)
        for _ in range(2):
            assert json.loads(fresh.encode(event, 1)) == {"event": event, "data": 1}
        assert len(fresh._prefixes) == kept
    assert all(fresh._prefixes.values())


def test_members_keep_their_order() -> None:
    assert encode("sent", {"b": 1, "a": {"d": 2, "c": 3}}).endswith('{"b":1,"a":{"d":2,"c":3}}}')


def test_without_an_encoder_in_c_the_same_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = JSONCodec()
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    slow = JSONCodec()
    for data in (None, "é", [1, 2.5, {"a": []}], {"b": Colour.RED, "a": 1}, {}):
        assert slow.encode("sent", data, 1) == fast.encode("sent", data, 1)
    with pytest.raises(EncodeError):
        slow.encode("sent", float("nan"))


def test_so_many_names_are_remembered_and_the_others_work_as_well() -> None:
    fresh = JSONCodec()
    for number in range(codec.MOST_PREFIXES + 10):
        assert json.loads(fresh.encode(f"event {number}", 1))["event"] == f"event {number}"
    assert len(fresh._prefixes) == codec.MOST_PREFIXES


@pytest.mark.parametrize("id", ['"', "\\", "é\n", 0, -1, 2**53 - 1])
def test_an_event_and_an_id_may_hold_any_character(id: str | int) -> None:
    event = 'new "quoted" \\ \n ☃'
    assert json.loads(encode(event, 1, id)) == {"event": event, "data": 1, "id": id}


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Size(enum.IntEnum):
    SMALL = 1


class Name(enum.StrEnum):
    ADA = "ada"


class OldName(str, enum.Enum):  # noqa: UP042 - the older way is meant
    ADA = "ada"


class Ratio(float, enum.Enum):
    HALF = 0.5


@dataclass
class Point:
    x: int
    at: datetime
    tags: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    ends: tuple[Point, ...]


Pair = namedtuple("Pair", ["left", "right"])

NOON = datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (-0.5, -0.5),
        ("é\x00\u2028😀", "é\x00\u2028😀"),
        ([], []),
        ((1, (2,)), [1, [2]]),
        (Pair(1, "b"), [1, "b"]),
        (OrderedDict(a=1), {"a": 1}),
        ({Name.ADA: 1}, {"ada": 1}),
        (Colour.RED, "red"),
        (Colour.PAIR, [1, 2]),
        (Size.SMALL, 1),
        (Name.ADA, "ada"),
        (OldName.ADA, "ada"),
        (Ratio.HALF, 0.5),
        (NOON, "2024-02-29T12:00:00.000005+00:00"),
        (datetime(2024, 1, 2, 3, 4), "2024-01-02T03:04:00"),
        (
            datetime(2024, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2))),
            "2024-01-02T03:04:00+02:00",
        ),
        (date(2024, 2, 29), "2024-02-29"),
        (time(1, 2, 3), "01:02:03"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (Point(1, NOON, {"k": Size.SMALL}), {"x": 1, "at": NOON.isoformat(), "tags": {"k": 1}}),
        (Line((Point(1, NOON),)), {"ends": [{"x": 1, "at": NOON.isoformat(), "tags": {}}]}),
        ({"deep": [{"in": [Colour.RED]}]}, {"deep": [{"in": ["red"]}]}),
    ],
    ids=count(),
)
def test_a_value_travels_as_the_json_it_stands_for(value: Any, plain: Any) -> None:
    result = encoded(value)
    assert result == plain
    assert type(result) is type(plain)


def test_a_pydantic_model_travels_as_its_json_wherever_it_stands() -> None:
    inner = pydantic.create_model("Inner", at=(datetime, ...), colour=(Colour, Colour.RED))
    outer = pydantic.create_model("Outer", inner=(inner, ...), price=(Decimal, ...))
    model = outer(inner=inner(at=NOON), price=Decimal("2.50"))
    plain = {"inner": {"at": "2024-02-29T12:00:00.000005Z", "colour": "red"}, "price": "2.50"}
    assert encoded(model) == plain
    assert encoded([{"m": model}]) == [{"m": plain}]


def test_a_pydantic_model_that_cannot_be_serialised_is_an_encode_error() -> None:
    model = pydantic.create_model("Model", thing=(Any, ...))
    ratio = pydantic.create_model("Ratio", value=(float, ...))
    for value in (model(thing=object()), model(thing="\ud800"), ratio(value=math.inf)):
        with pytest.raises(EncodeError):
            encoded(value)


def test_a_msgspec_struct_travels_with_its_own_names_wherever_it_stands() -> None:
    struct = msgspec.defstruct(
        "Struct",
        [("user_id", int), ("at", date), ("kind", Colour)],
        rename="camel",
        tag="struct",
    )
    value = struct(3, date(2024, 1, 2), Colour.RED)
    plain = {"type": "struct", "userId": 3, "at": "2024-01-02", "kind": "red"}
    assert encoded(value) == plain
    assert encoded({"s": (value,)}) == {"s": [plain]}


def test_a_msgspec_struct_that_holds_what_cannot_travel_is_an_encode_error() -> None:
    struct = msgspec.defstruct("Struct", [("thing", Any)])
    for thing in (object(), {1: 2}, math.inf, "\ud800"):
        with pytest.raises(EncodeError):
            encoded(struct(thing))


class Unset:
    pass


@dataclass
class Holder:
    value: Any


@dataclass
class Unfinished:
    value: int = field(init=False)


UNSENDABLE: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    "\ud800",
    "a\udfffb",
    {"\ud800": 1},
    b"bytes",
    bytearray(b"x"),
    {1, 2},
    frozenset(),
    object(),
    Unset,
    Holder,
    iter([1]),
    1j,
    range(3),
    len,
    {1: 2},
    {None: 1},
    {True: 1},
    {1.5: 1},
    {("a",): 1},
    {b"a": 1},
    {Size.SMALL: 1},
    {UUID(int=1): 1},
    10**5000,
    Unfinished(),
]


@pytest.mark.parametrize("value", UNSENDABLE, ids=count())
def test_what_cannot_travel_is_an_encode_error_wherever_it_stands(value: Any) -> None:
    for data in (value, [value], {"k": value}, (1, [value]), Holder(value), [Holder([value])]):
        with pytest.raises(EncodeError, match="the data of 'new' "):
            encode("new", data)


def test_an_event_or_id_with_half_a_surrogate_pair_is_an_encode_error() -> None:
    with pytest.raises(EncodeError):
        encode("\ud800", 1)
    with pytest.raises(EncodeError):
        encode("new", 1, "\udc00")


def test_a_value_that_holds_itself_is_an_encode_error() -> None:
    array: list[Any] = []
    array.append(array)
    object_: dict[str, Any] = {}
    object_["self"] = [object_]
    record = Holder(None)
    record.value = {"again": record}
    for value in (array, object_, record):
        with pytest.raises(
            EncodeError, match=r"^the data of 'new' nests too deep or holds itself$"
        ):
            encode("new", value)


@pytest.mark.parametrize("depth", [500, 900, 990, 1000, 5_000, 100_000])
def test_nesting_is_encoded_or_an_encode_error_and_nothing_else(depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    try:
        text = encode("new", value)
    except EncodeError:
        assert depth > 100
    else:
        assert text.count("[") == depth


def test_a_default_encodes_types_that_nothing_else_knows() -> None:
    def default(value: Any) -> Any:
        if isinstance(value, set):
            return sorted(value)
        if isinstance(value, complex):
            return Holder([value.real])
        raise TypeError(f"no {type(value).__name__}")

    codec = JSONCodec(default=default)
    text = codec.encode("new", [{2, 1}, Holder({3}), 1j])
    assert json.loads(text)["data"] == [[1, 2], {"value": [3]}, {"value": [0.0]}]
    with pytest.raises(EncodeError, match="no bytes"):
        codec.encode("new", b"")


@pytest.mark.parametrize("given", [{1: 2}, math.nan, "\ud800"])
def test_what_a_default_returns_is_held_to_the_same_rules(given: Any) -> None:
    with pytest.raises(EncodeError):
        JSONCodec(default=lambda value: given).encode("new", object())


def test_a_default_that_returns_what_it_was_given_is_an_encode_error() -> None:
    with pytest.raises(EncodeError):
        JSONCodec(default=lambda value: value).encode("new", object())


@pytest.mark.parametrize("error", [KeyError, AttributeError, RuntimeError, TypeError, ValueError])
def test_a_default_that_fails_is_an_encode_error(error: type[Exception]) -> None:
    def default(value: Any) -> Any:
        raise error("at once")

    with pytest.raises(EncodeError):
        JSONCodec(default=default).encode("new", object())


def test_a_default_is_not_asked_about_what_is_known_but_cannot_travel() -> None:
    codec = JSONCodec(default=str)
    for value in ({1: 2}, Holder({1: 2}), [Holder(math.nan)]):
        with pytest.raises(EncodeError):
            codec.encode("new", value)


# Decoding.

MALFORMED = [
    "",
    " ",
    " \t\r\n",
    "\x00",
    "{",
    "}",
    "[",
    "]",
    "{]",
    "[}",
    '"',
    '"a',
    "'a'",
    "{a:1}",
    "{'a':1}",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{"a":1 "b":2}',
    "[1,]",
    "[,1]",
    "[1 2]",
    '{"a":1}{"a":1}',
    '{"a":1}x',
    '{"a":1}\x00',
    '{"a":1}\u00a0',
    '\u00a0{"a":1}',
    '\ufeff{"a":1}',
    '{"a":1}\ufeff',
    '\x0b{"a":1}',
    '// c\n{"a":1}',
    '{"a":1} // c',
    '{"a":/* c */1}',
    "# c",
    "undefined",
    "nul",
    "NULL",
    "True",
    "TRUE",
    "truex",
    "NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "+Infinity",
    "inf",
    '{"data":NaN}',
    '{"data":[Infinity]}',
    '{"data":{"x":-Infinity}}',
    "1e400",
    "-1e400",
    '{"data":1e400}',
    '{"data":[-1e400]}',
    "1" * 400 + ".0",
    "01",
    "-01",
    "+1",
    "-",
    "1.",
    ".5",
    "1e",
    "1e+",
    "0x10",
    "1_000",
    "١",
    "1" * 5000,
    "-" + "1" * 5000,
    '{"data":' + "9" * 5000 + "}",
    '"\t"',
    '"a\nb"',
    '"\x00"',
    '"\x1f"',
    r'"\x41"',
    r'"\a"',
    r'"\u12"',
    r'"\u12g4"',
    r'"\u+123"',
    r'"\u 123"',
    r'"\u１２３４"',
    r'"\U00012345"',
    r'"\'"',
    '"\\',
    '"\\u',
    '"\\"',
    "<a/>",
    "a: 1",
    "\ud800",
    '"\udc00"',
    '{"\udc00":1}',
]


@pytest.mark.parametrize("text", MALFORMED, ids=count())
def test_what_is_not_strictly_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(text)
    with pytest.raises(ValueError):  # noqa: PT011
        decode(text, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{} {}", "something follows the first value"),
        ('{"data":NaN}', "NaN is not JSON"),
        ('{"data":-Infinity}', "-Infinity is not JSON"),
        ('{"data":1e400}', "a number is out of range"),
        (r'{"data":"\ud800"}', "surrogates not allowed"),
        ("[" * 65, "nested too deep"),
        ("[" * 65 + "]" * 65, "nested too deep"),
    ],
)
def test_what_we_refuse_ourselves_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        decode(text)


def test_only_white_space_of_json_may_surround_a_value() -> None:
    for character in map(chr, range(256)):
        for text in (character + '{"a":1}', '{"a":1}' + character):
            if character in " \t\n\r":
                assert decode(text) == {"a": 1}
            else:
                with pytest.raises(ValueError):  # noqa: PT011
                    decode(text)


@pytest.mark.parametrize(
    "escape",
    [
        r"\ud800",
        r"\uD800",
        r"\udbff",
        r"\udc00",
        r"\uDFFF",
        r"\ud83dx",
        r"\ud83d\n",
        r"\ud83d\u0041",
        r"\ude00\ud83d",
        r"\ud83d\ud83d\ude00",
    ],
)
@pytest.mark.parametrize(
    "where",
    [
        '"%s"',
        '{"event":"%s"}',
        '{"event":"e","id":"%s"}',
        '{"event":"e","data":"%s"}',
        '{"event":"e","data":{"%s":1}}',
        '{"event":"e","data":[["a",{"b":"é%s"}]]}',
    ],
)
def test_half_a_surrogate_pair_is_refused_wherever_it_stands(where: str, escape: str) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        decode(where % escape)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud83d\ude00"', "😀"),
        (r'"\uD83D\uDE00"', "😀"),
        ('"😀"', "😀"),
        (r'"\\ud800"', "\\ud800"),
        (r'"\\\\ud800"', "\\\\ud800"),
        (r'"\u0041\u00e9\ue000"', "Aé\ue000"),
        (r'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
        ('"\x7f\u2028\ufeff"', "\x7f\u2028\ufeff"),
        (' \t\r\n{"a" : [ 1 , 2 ] }\r\n\t ', {"a": [1, 2]}),
        ("null", None),
        ("-0", 0),
        ("1E2", 100.0),
        ("1e-999", 0.0),
        ("9007199254740993", 2**53 + 1),
        ("1" * 4000, int("1" * 4000)),
        ('{"a":1,"a":2,"b":{"c":1,"c":3}}', {"a": 2, "b": {"c": 3}}),
        ('{"":{"":""}}', {"": {"": ""}}),
        ('{"__proto__":{"x":1}}', {"__proto__": {"x": 1}}),
    ],
    ids=count(),
)
def test_json_decodes_to_what_it_says(text: str, value: Any) -> None:
    result = decode(text)
    assert result == value
    assert type(result) is type(value)


def nested(levels: int, inner: str = "1") -> str:
    """An envelope of so many levels, itself and at least one array included."""
    return '{"data":' + "[" * (levels - 1) + inner + "]" * (levels - 1) + "}"


NOISE = [
    "1",
    '"' + "[{" * 100 + '"',
    '"' + "]}" * 100 + '"',
    r'"\"[[[[\"{{{{\\"',
    r'"\\\"[[[\\\\"',
    '"' + r"\\" * 50 + '"',
    '"' + r"\"[" * 50 + '"',
    r'"\u005b\u007b[[["',
    "[],{},[]".join("[]"),
    ",".join(["[]"] * 200),
    ",".join(["[{}]"] * 200),
    '"[\n]"'.replace("\n", r"\n"),
]


@pytest.mark.parametrize("limit", [4, 64])
@pytest.mark.parametrize("noise", NOISE, ids=count())
def test_the_deepest_nesting_allowed_is_exactly_the_limit(noise: str, limit: int) -> None:
    # Whatever brackets stand in strings, or side by side, count for nothing.
    own = json_depth(json.loads(f"[{noise}]")) - 1
    assert json_depth(decode(nested(limit - own, noise), limit)) == limit
    with pytest.raises(ValueError, match="nested too deep"):
        decode(nested(limit - own + 1, noise), limit)


@pytest.mark.parametrize("before", ["[]", "{}", "[[[]]]", '{"a":{}}', '"]]]}}}"', r'"\"]]]}}}"'])
def test_what_is_closed_before_makes_no_room_for_what_nests_too_deep_after(before: str) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        for levels, fits in ((63, True), (64, False)):
            deep = opening * levels + "1" + closing * levels
            text = "[" + f"{before}," * 100 + deep + "]"
            if fits:
                assert json_depth(decode(text)) == 64
            else:
                with pytest.raises(ValueError, match="nested too deep"):
                    decode(text)


def test_brackets_in_a_string_alone_are_no_depth_at_all() -> None:
    for limit in (0, 1, 64):
        assert decode('"' + "[{" * 100 + '"', limit) == "[{" * 100
    for text in ("[]", "{}"):
        assert decode(text, 1) == json.loads(text)
        with pytest.raises(ValueError, match="nested too deep"):
            decode(text, 0)


def json_depth(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(json_depth, inner), default=0)
    return 0


def test_objects_and_arrays_count_alike() -> None:
    assert decode('{"a":' * 64 + "1" + "}" * 64)
    with pytest.raises(ValueError, match="nested too deep"):
        decode('{"a":' * 65 + "1" + "}" * 65)


@pytest.mark.parametrize(
    "text", ["[" * 100, '{"a":' * 100, "[" * 500_000, '{"data":' + "[" * 10**6]
)
def test_what_never_closes_is_refused_for_its_depth_before_it_is_parsed(text: str) -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "]" * 100 + "[" * 100,
        "[}" * 100 + "[" * 100,
        '"' + "[" * 100,
        '"' + '\\"' * 100 + "[" * 100,
        "[" + '"]' * 101,
        "\\" + "[" * 50 + "]" * 100 + "[" * 20,
    ],
)
def test_brackets_that_do_not_match_are_refused_in_any_case(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(text)


def test_without_a_limit_only_the_interpreter_ends_the_nesting() -> None:
    assert json_depth(decode(nested(200), None)) == 200
    with pytest.raises(ValueError, match=r"^nested too deep$"):
        decode("[" * 200_000, None)


def test_no_depth_around_the_interpreters_own_limit_raises_anything_but_a_value_error() -> None:
    outcomes = set()
    for depth in range(sys.getrecursionlimit() - 120, sys.getrecursionlimit() + 20):
        try:
            decode("[" * depth + r'"\ud83d\ude00"' + "]" * depth, None)
        except ValueError:
            outcomes.add("refused")
        else:
            outcomes.add("decoded")
    assert outcomes <= {"refused", "decoded"}
    assert outcomes


def test_exactly_the_halves_are_refused_in_capitals_and_not() -> None:
    for number in range(0xD000, 0xE100, 0x80):
        for escape in (f"\\u{number:04x}", f"\\u{number:04X}", f"\\uD{f'{number:04x}'[1:]}"):
            if "\ud800" <= json.loads(f'"{escape}"') <= "\udfff":
                with pytest.raises(ValueError, match="surrogates not allowed"):
                    decode(f'"{escape}"')
            else:
                assert decode(f'"{escape}"') == json.loads(f'"{escape}"')


@pytest.fixture
def collections() -> Iterator[list[str]]:
    """What the garbage collector does meanwhile; it may be turned off, and is turned on again."""
    seen: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        seen.append(phase)

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.enable()


def test_no_cycles_are_looked_for_while_a_large_text_is_decoded(collections: list[str]) -> None:
    large = "[" + "[]," * 100_000 + "[]]"
    gc.collect()
    collections.clear()
    assert len(decode(large)) == 100_001
    assert len(collections) <= 2  # one, when it is turned on again
    assert gc.isenabled()
    with pytest.raises(ValueError):  # noqa: PT011
        decode(large + "x")
    assert gc.isenabled()


def test_who_has_turned_the_garbage_collector_off_finds_it_off(collections: list[str]) -> None:
    gc.disable()
    decode("[" + "[]," * 100_000 + "[]]")
    assert not gc.isenabled()


def test_hard_texts_of_the_greatest_size_take_no_time_to_speak_of() -> None:
    # A quadratic scan of any of these would take minutes, and run into the test's timeout.
    size = 1024 * 1024
    for text in (
        " " * size,
        "[" * size,
        "[]" * (size // 2),
        '"' * size + "[" * 100,
        "\\" * size + "[" * 100,
        '"' + "\\" * size + "[" * 100,
        '{"a":"' + '\\"' * (size // 2) + "[" * 100,
        '{"a":' + "[" * 100 + '"' + "x" * size,
    ):
        with pytest.raises(ValueError):  # noqa: PT011
            decode(text)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values, st.text(min_size=1), st.none() | st.text(min_size=1) | st.integers())
def test_what_is_encoded_decodes_to_the_same(data: Any, event: str, id: str | int | None) -> None:
    text = encode(event, data, id)
    assert "\n" not in text
    envelope = {"event": event, "data": data}
    assert decode(text, None) == (envelope if id is None else {**envelope, "id": id})


@given(json_values, st.sampled_from([None, 1, 4]), st.booleans())
def test_any_spelling_of_a_json_value_decodes_to_it(
    data: Any, indent: int | None, ascii_only: bool
) -> None:
    assert decode(json.dumps(data, indent=indent, ensure_ascii=ascii_only), None) == data


@given(st.text(st.characters(exclude_categories=[])), st.sampled_from([None, 1, 64]))
def test_any_text_is_decoded_or_a_value_error(text: str, max_depth: int | None) -> None:
    decodes_to_json_or_refuses(text, max_depth)


def decodes_to_json_or_refuses(text: str, max_depth: int | None = DEPTH) -> bool:
    try:
        value = decode(text, max_depth)
    except ValueError:
        return False
    # Accepted: then it is JSON in the strictest sense, and can be sent on as it is.
    assert repr(value) == repr(json.loads(text))
    assert max_depth is None or json_depth(value) <= max_depth
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    encode("echo", value)
    return True


FRAGMENTS = [
    *'{}[]",:\\/ \t\n\r-+.eE0123456789',
    "null",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "\\u",
    "\\ud800",
    "\\ude00",
    "\\uD83D\\uDE00",
    "\ud800",
    "\ufeff",
    "\x00",
    "\x7f",
    "\u00a0",
    "é",
    "😀",
    '"event":',
    '"data":',
    '"id":',
    '"cancel":',
    "s:1",
    "//",
    "/*",
    "'",
    "9" * 50,
    "[" * 70,
]

SEEDS = [
    '{"event":"send","data":{"text":"hi","n":[1,2.5e3,-0]},"id":"c1"}',
    '{"event": "ack", "data": null, "id": "s:1"}',
    '{"cancel":"c1"}',
    r'{"event":"\u0065\"\\\ud83d\ude00","data":[true,false,null,{"":[]}]}',
]


def malformed_texts(seed: int, count: int) -> list[str]:
    """Envelopes with pieces cut out, doubled, swapped and put in."""
    chance = random.Random(seed)
    texts: list[str] = []
    for _ in range(count):
        text = chance.choice(SEEDS)
        for _ in range(chance.randint(1, 5)):
            start = chance.randint(0, len(text))
            end = min(len(text), start + chance.choice([0, 1, 1, 2, 8]))
            piece = chance.choice([chance.choice(FRAGMENTS), text[start:end] * 2, ""])
            text = text[:start] + piece + text[end:]
        texts.append(text)
    return texts


def test_thousands_of_malformed_texts_are_decoded_or_a_value_error() -> None:
    verdicts = [decodes_to_json_or_refuses(text) for text in malformed_texts(20240229, 10_000)]
    assert 500 < sum(verdicts) < 9_500  # the texts are neither all nonsense nor all sound


# What a value means.


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ({"event": "send"}, Message("send", None)),
        ({"event": "send", "data": None}, Message("send", None)),
        ({"event": "send", "data": [1]}, Message("send", [1])),
        ({"event": "send", "id": "c1"}, Message("send", None, "c1")),
        ({"event": "send", "id": 0}, Message("send", None, 0)),
        ({"event": "send", "id": -(2**53) + 1}, Message("send", None, -(2**53) + 1)),
        ({"event": "send", "id": 2**53 - 1}, Message("send", None, 2**53 - 1)),
        ({"event": "send", "id": "x" * 64}, Message("send", None, "x" * 64)),
        ({"event": "send", "id": "é" * 64}, Message("send", None, "é" * 64)),
        ({"event": "send", "id": "S:1"}, Message("send", None, "S:1")),
        ({"event": "send", "id": "s"}, Message("send", None, "s")),
        ({"event": "send", "id": " s:1"}, Message("send", None, " s:1")),
        ({"event": "x" * 128}, Message("x" * 128, None)),
        ({"event": "😀" * 128}, Message("😀" * 128, None)),
        ({"event": "Ack", "data": 1}, Message("Ack", 1)),
        ({"event": "heartbeat"}, Message("heartbeat", None)),
        ({"event": "__proto__", "more": 1, "constructor": 2}, Message("__proto__", None)),
        ({"event": "a", "cancel": "c1"}, Message("a", None)),
        ({"event": "a", "cancel": "c1", "id": 3}, Message("a", None, 3)),
        ({"cancel": "c1"}, Cancel("c1")),
        ({"cancel": 0}, Cancel(0)),
        ({"cancel": -5}, Cancel(-5)),
        ({"cancel": "c1", "event": None}, Cancel("c1")),
        ({"cancel": "c1", "id": "other", "data": 1}, Cancel("c1")),
        ({"event": "ack", "data": 5, "id": "s:1"}, Answer("s:1", 5)),
        ({"event": "ack", "id": "s:1"}, Answer("s:1", None)),
        ({"event": "ack", "id": "s:" + "9" * 62}, Answer("s:" + "9" * 62, None)),
        (
            {"event": "error", "data": {"code": "no"}, "id": "s:1"},
            Answer("s:1", {"code": "no"}, True),
        ),
    ],
    ids=count(),
)
def test_an_envelope_means_what_the_protocol_says(value: Any, meaning: Any) -> None:
    result = read_envelope(value)
    assert result == meaning
    assert type(result) is type(meaning)


BAD_IDS = [
    None,
    True,
    False,
    "",
    "x" * 65,
    "s:1",
    "s:",
    2**53,
    -(2**53),
    1.0,
    1.5,
    [],
    ["c1"],
    {},
    {"id": "c1"},
]


@pytest.mark.parametrize("id", BAD_IDS, ids=count())
def test_a_bad_id_makes_the_message_invalid_and_is_not_repeated(id: Any) -> None:
    for value in (
        {"event": "send", "id": id},
        {"event": "", "id": id},
        {"event": 5, "id": id},
        {"cancel": id},
        {"cancel": id, "event": None},
    ):
        assert read_envelope(value) == Failure("invalid_message")


@pytest.mark.parametrize(
    "event", [None, True, 0, 1, 1.5, "", "x" * 129, [], ["send"], {}, {"send": 1}]
)
def test_a_bad_event_makes_the_message_invalid_and_its_id_is_answered(event: Any) -> None:
    assert read_envelope({"event": event}) == Failure("invalid_message")
    assert read_envelope({"event": event, "data": 1, "id": "c1"}) == Failure(
        "invalid_message", id="c1"
    )
    assert read_envelope({"event": event, "id": 0}) == Failure("invalid_message", id=0)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "send", [], ["send"], [{"event": "send"}]])
def test_what_is_no_object_is_no_envelope(value: Any) -> None:
    assert read_envelope(value) == Failure("invalid_message")


def test_an_object_without_an_event_is_no_envelope() -> None:
    assert read_envelope({}) == Failure("invalid_message")
    assert read_envelope({"data": 1}) == Failure("invalid_message")
    assert read_envelope({"data": 1, "id": "c1"}) == Failure("invalid_message", id="c1")


def test_a_cancel_beside_an_event_that_is_no_text_is_invalid() -> None:
    assert read_envelope({"cancel": "c1", "event": 5}) == Failure("invalid_message")


@pytest.mark.parametrize("event", ["ack", "error"])
@pytest.mark.parametrize("id", [None, True, "", "s", "S:1", 1.5, "s:" + "9" * 63, "x" * 65])
def test_an_answer_without_an_id_of_ours_is_invalid(event: str, id: Any) -> None:
    failure = read_envelope({"event": event, "data": 1, "id": id})
    assert isinstance(failure, Failure)
    assert failure.code == "invalid_message"
    assert isinstance(read_envelope({"event": event, "data": 1}), Failure)


@pytest.mark.parametrize("event", ["ack", "error"])
def test_an_answer_with_an_id_of_the_clients_is_invalid_and_that_id_is_answered(event: str) -> None:
    assert read_envelope({"event": event, "id": "c1"}) == Failure("invalid_message", id="c1")
    assert read_envelope({"event": event, "id": 7}) == Failure("invalid_message", id=7)


@given(json_values)
def test_any_value_means_something(value: Any) -> None:
    assert isinstance(read_envelope(value), Message | Answer | Cancel | Failure)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "event": json_values | st.sampled_from(["send", "ack", "error"]),
            "data": json_values,
            "id": json_values | st.sampled_from(["c1", "s:1", 1]),
            "cancel": json_values | st.sampled_from(["c1", "s:1", 1]),
        },
    )
)
def test_an_id_is_answered_exactly_when_it_is_one_of_the_clients(value: dict[str, Any]) -> None:
    meaning = read_envelope(value)
    if isinstance(meaning, Message | Failure):
        id = value.get("id")
        valid = (type(id) is str and re.fullmatch(r"(?!s:).{1,64}", id, re.DOTALL)) or (
            type(id) is int and abs(id) < 2**53
        )
        assert meaning.id == (id if valid else None)
        assert type(meaning.id) is type(id if valid else None)


@pytest.mark.parametrize(
    ("payload", "size"), [("", 0), ("abc", 3), ("é", 2), ("😀a", 5), (b"\xff\xff", 2), (b"\x00", 1)]
)
def test_the_size_on_the_wire_is_in_bytes_of_utf_8(payload: str | bytes, size: int) -> None:
    assert wire_size(payload) == size


def test_half_a_surrogate_pair_has_no_size() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        wire_size("\ud800")


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


trees: Any = st.recursive(
    st.text(st.sampled_from('[]{}"\\é ,')) | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.sampled_from('[]{}"\\')), inner),
    max_leaves=20,
)


@given(trees, st.integers(0, 8))
def test_the_depth_of_json_is_its_depth(value: Any, allowed: int) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        if depth_of(value) <= allowed:
            codec.check_depth(text, allowed)
        else:
            with pytest.raises(ValueError, match="deep"):
                codec.check_depth(text, allowed)


@pytest.mark.parametrize("allowed", [3, 15, 16, 17, 1000])
@pytest.mark.parametrize("filling", ["", "1", '{"a":[]}'])
def test_any_depth_may_be_allowed(allowed: int, filling: str) -> None:
    level = allowed - 2 * bool(filling.startswith("{"))
    codec.check_depth("[" * level + filling + "]" * level, allowed)
    with pytest.raises(ValueError, match="deep"):
        codec.check_depth("[" * (level + 1) + filling + "]" * (level + 1), allowed)


@given(st.text(st.sampled_from('[]{}"\\1,'), max_size=40), st.integers(0, 6))
def test_no_text_nests_deeper_than_allowed_before_it_goes_wrong(text: str, allowed: int) -> None:
    try:
        codec.check_depth(text, allowed)
    except ValueError:
        return
    deepest = depth = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == "\\":
            break  # no JSON from here on: a parser goes no further
        elif character == '"':
            inside = True
        else:
            depth += (character in "[{") - (character in "]}")
            if depth < 0:
                break
            deepest = max(deepest, depth)
    assert deepest <= allowed
