"""Patterns: linear time whatever the text, and the same verdict as `re`."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.validation.patterns import PatternError, compile_pattern, is_plain, to_python

# Pattern, and a text on which a backtracking engine takes minutes, or seconds at the least.
REDOS = [
    (r"^(a+)+$", "a" * 5000 + "!"),
    (r"^(a*)*$", "a" * 5000 + "!"),
    (r"^(a|a)*$", "a" * 5000 + "!"),
    (r"^(a|aa)+$", "a" * 5000 + "!"),
    (r"^(a|a?)+$", "a" * 5000 + "!"),
    (r"(a+)+b", "a" * 5000),
    (r"(x+x+)+y", "x" * 5000),
    (r"(.*a){12}$", "a" * 5000 + "!"),
    (r"^(.*a){20}$", "a" * 5000 + "!"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 5000),
    (r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@)", "a" * 5000 + "!"),
    (r"^([a-zA-Z0-9._-]+)*@", "a" * 5000),
    (r"^(\w+\s?)*$", "aa " * 2000 + "!"),
    (r"^(\d+\.?)+$", "1" * 5000 + "x"),
    (r"^([0-9a-f]+:?)*$", "a" * 5000 + "!"),
    (r"^(a?){40}a{40}$", "a" * 40 + "!"),
    (r"^a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a{24}$", "a" * 24 + "!"),
    (r"\s+$", " " * 20_000 + "x"),
    (r"^\s+|\s+$", "x" + " " * 20_000 + "x"),
    (r"a.*b.*c.*d", "abc" * 2000),
    (r".*.*=.*", "x" * 5000),
    (r"(?:.|\n)*?(?:.|\n)*?x!", "x" * 5000),
    (r"^(.+)+@(.+)+\.(.+)+$", "a@" * 2000),
    (r"^((a+)|(b+)|(ab)+)*$", "ab" * 2000 + "!"),
    (r"(a|b|ab)*c", "ab" * 2000),
    (r"^(\"([^\"]|\\\")*\",?)+$", '"' * 5000),
    (r"^<([^>]+>?)+$", "<" + "a" * 5000 + "\n>\n<"),
    (r"^(?:(?:a{1,9}){1,9}){1,9}$", "a" * 728 + "!"),
    (r"((((a*)*)*)*)*$b", "a" * 5000),
    (r"^([^,]*,?)*;$", "a," * 2000),
    (r"^(?=(a+)+$)a", "a" * 5000 + "!"),
    (r"^(?!(a|a)*$)b", "a" * 5000 + "!"),
    (r"(\w+)\1+$", "a" * 5000 + "!"),
    (r"^(?:(?=(a+))\1)*b", "a" * 5000),
    (r"(?<=(a|a))+b", "a" * 5000),
    (r"^(a|b)*a(a|b){30}$", "ab" * 2000),
    (r"(?i)^(a+)+$", "a" * 5000 + "!"),
    (r"^(?i:(a|A)+)+$", "a" * 5000 + "!"),
]

REFUSED = [
    (r"(a)\1", "refers back"),
    (r"(a)?(?(1)b|c)", "refers back"),
    (r"a(?=b)", "looks around"),
    (r"^(?<!b)a", "looks around"),
    (r"(?i)abc", "flags"),
    (r"a(?i:b)", "flags"),
    (r"^\p{L}+$", r"\\p"),
    (r"^(?<year>[0-9]{4})$", r"\(\?:"),
    (r"(", "regular expression"),
    (r"a{99999999999999999999}", "regular expression"),
    ("(" * 5000, "regular expression"),
    (r"^^a.*b.*c", "twice"),
    (r"a.*b$$", "twice"),
    (r"a.*b|$^", "twice"),
    (r"(a|b)*a(a|b){30}", "too complex"),
    (r"^(a?){3000}$", "too complex"),
    (r"\b(a+)+$", r"\\b"),
    (r"^a++a$", "not part of JSON Schema"),
]

# Pattern, texts it is found in, texts it is not found in.
ORDINARY = [
    (r"^[a-z0-9]+(?:-[a-z0-9]+)*$", ["a", "a-b", "ab-12-c"], ["", "-a", "a-", "A", "a\n"]),
    (
        r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        ["6f1f3a2e-8f0b-4b8e-9a56-1c7d7c1f2a3b"],
        ["6f1f3a2e-8f0b-4b8e-9a56-1c7d7c1f2a3"],
    ),
    (r"^\d{4}-\d{2}-\d{2}$", ["2025-01-31"], ["2025-1-31", "٢٠٢٥-01-31", "2025-01-31\n"]),
    (r"^\d{4}\d{2}$", ["202501"], ["20250"]),
    (r"^[^@\s]+@[^@\s]+\.[^@\s]+$", ["a@b.c", "é@b.c.d"], ["a@b", "@b.c", "a b@c.d"]),
    (
        r"^((25[0-5]|2[0-4]\d|[01]?\d\d?)\.){3}(25[0-5]|2[0-4]\d|[01]?\d\d?)$",
        ["1.2.3.4", "255.255.255.255"],
        ["256.1.1.1", "1.2.3", "1.2.3.4.5"],
    ),
    (
        r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
        r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+"
        r"(?:\.[0-9a-zA-Z-]+)*))?$",
        ["1.2.3", "1.0.0-alpha.1+build.5"],
        ["1.2", "01.2.3", "1.0.0-"],
    ),
    (r"^https?://[^/]+(/.*)?$", ["http://x", "https://x/y z"], ["ftp://x", "http:///"]),
    (r"^(?=.*[A-Z])(?=.*\d).{8,64}$", ["Passw0rd", "aaaaaaaA1"], ["password1", "PASSWORD", "A1"]),
    (r"^(?!admin)(?!.*--)[a-z-]+$", ["ann", "a-b"], ["administrator", "a--b", ""]),
    (r"^\+?[1-9]\d{1,14}$", ["+4912345", "12"], ["+", "0123", "1" * 16]),
    (r"^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", ["#fff", "#a1B2c3"], ["#ffff", "fff"]),
    (r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$", ["9:05", "23:59"], ["24:00", "9:5"]),
    (r"^.{1,5000}$", ["a", "a" * 5000], ["", "a" * 5001, "a\nb"]),
    (r"^(?:[a-z]{2}){2,3}$", ["abcd", "abcdef"], ["ab", "abc", "abcdefgh"]),
    (r"^$|^\d+$", ["", "12"], ["a", "1a"]),
    (r"^$", [""], ["\n", "a"]),
    (r"^", ["", "a"], []),
    (r"", ["", "a"], []),
    (r"a*", ["", "b"], []),
    (r"foo|bar", ["xfoox", "bar"], ["fo", "ba"]),
    (r"\bcat\b", ["a cat sat", "cat"], ["concat", "cats"]),
    (r"(?:^|,)x(?:,|$)", ["x", "a,x,b", "b,x"], ["ax", "xa", "b,xa"]),
    (r"[^a-c]", ["d", "\U0010ffff"], ["abc", ""]),
    (r"[^\x00-y]{2}z", ["{}z"], ["a}z"]),
    (r"[^\d\s]+z$", ["xz"], ["1z", "xz "]),
    (r"[\W]{2}", ["!!", "é!"], ["a!", "_!b"]),
    (r"\D\S\w", ["a!b"], ["1!b", "a b"]),
    (r"[$]\$", ["$$"], ["$"]),
    (r"[]$]+\$$", ["]$"], ["]"]),
    (r"a{0}b{2,}?c", ["bbc", "xbbbbc"], ["bc"]),
    (r"a.*b.*c", ["abc", "xaxbxcx"], ["acb", "cba"]),
    (r".*é{1,2}[^é]*$", ["é", "aéb"], ["e"]),
    (r"x(?:a|)(?:b|)y", ["xy", "xaby", "xby"], ["xbay"]),
    (r"^a{2,}$", ["aa", "aaaa"], ["a", "aab"]),
    (r"^(?:a|ab)(?:c|bcd)$", ["ac", "abc", "abcd", "abbcd"], ["abcdd", "ab"]),
    (r"^^a$$", ["a"], ["aa"]),
    (r"$^", [""], ["a"]),
    (r"\A[a-c]+\Z", ["abc"], ["abcd", "a\n"]),
    (r"(?a:^\d)$", ["1"], ["12"]),
]


@pytest.mark.parametrize(("pattern", "text"), REDOS)
def test_no_text_makes_a_pattern_slow(pattern: str, text: str) -> None:
    try:
        matches = compile_pattern(pattern)
    except PatternError:
        return
    start = time.perf_counter()
    matches(text)
    assert time.perf_counter() - start < 0.05


def test_the_corpus_is_answered_rather_than_refused() -> None:
    refused = 0
    for pattern, _ in REDOS:
        try:
            compile_pattern(pattern)
        except PatternError:
            refused += 1
    assert len(REDOS) >= 30
    assert refused <= 8


@pytest.mark.parametrize(("pattern", "mistake"), REFUSED)
def test_what_cannot_be_promised_is_refused_with_a_reason(pattern: str, mistake: str) -> None:
    with pytest.raises(PatternError, match=mistake):
        compile_pattern(pattern)


@pytest.mark.parametrize(("pattern", "found", "missing"), ORDINARY)
@pytest.mark.parametrize("bounded", [True, False])
def test_ordinary_patterns_work(
    pattern: str, found: list[str], missing: list[str], bounded: bool
) -> None:
    matches = compile_pattern(pattern, bounded)
    assert [text for text in found if not matches(text)] == []
    assert [text for text in missing if matches(text)] == []


def test_common_patterns_are_left_to_re() -> None:
    plain = [r"^[a-z0-9]+(?:-[a-z0-9]+)*$", r"^\d{4}\d{2}$", r"^.{1,5000}$", r"foo|bar", r"\bcat\b"]
    assert [pattern for pattern in plain if not is_plain(pattern)] == []
    loose = [r"[a-z]+@", r"^(a+)+$", r"^.*a", r"^(?=a)a", r"^(?:a?)*$", r"^(?:a?)?$", r"(?:|)a+"]
    assert [pattern for pattern in loose if is_plain(pattern)] == []


def test_unbounded_patterns_may_be_anything_that_python_reads() -> None:
    assert compile_pattern(r"(a)\1", bounded=False)("xaa")
    assert compile_pattern(r"(?i)abc$", bounded=False)("xABC")
    assert not compile_pattern(r"(?i)abc$", bounded=False)("ABC\n")
    with pytest.raises(PatternError):
        compile_pattern(r"\p{L}", bounded=False)


def test_the_end_is_the_end() -> None:
    assert to_python(r"^a$") == r"(?a:^a\Z)"
    assert to_python(r"[$]\$$") == r"(?a:[$]\$\Z)"
    assert to_python(to_python(r"a$")) == to_python(r"a$")


def test_many_different_characters_do_not_fill_the_memory() -> None:
    matches = compile_pattern(r".*x.*y")
    text = "".join(map(chr, range(0x4E00, 0x9000)))
    assert not matches(text)
    assert matches(f"{text}x{text}y")


_PIECES = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", "^", "$", ""]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=7,
)


@given(pattern=_PIECES, texts=st.lists(st.text("ab1\n!", max_size=8), min_size=1))
def test_agrees_with_re(pattern: str, texts: list[str]) -> None:
    try:
        matches = compile_pattern(pattern)
    except PatternError:
        return
    # Short patterns and texts: `re` is quick enough for a judge.
    expected = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
    for text in texts:
        assert matches(text) is (expected.search(text) is not None), (pattern, text)
