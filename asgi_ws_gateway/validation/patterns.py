r"""A schema's `pattern` to a test of texts that takes linear time, whatever the text.

Python's `re` backtracks: `^(a+)+$` on thirty characters takes minutes, and the event loop with it.
So `re` runs only those patterns in which each character leaves one way on; all others become the
table of a deterministic automaton, once. It knows nothing of schemas, messages or issues.

The syntax is Python's, read as JSON Schema means it: `$` is the very end (`re` would let a newline
follow), and `\d`, `\w`, `\s` are ASCII.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from .automaton import (
    BEGIN,
    Matcher,
    PatternError,
    Positions,
    TooLarge,
    build_table,
    name_of,
    parser,
)

__all__ = ["PatternError", "compile_pattern", "is_plain", "to_python"]

_MAX_WIDTH: Final = 16  # how far `re` may read on from each place of a text


@cache
def compile_pattern(pattern: str, bounded: bool = True) -> Matcher:
    """A test whether `pattern` is found anywhere in a text, in time linear in that text.

    Args:
        pattern: As the schema has it.
        bounded: `False` leaves every pattern to `re`, whatever time it takes.

    Raises:
        PatternError: It is no regular expression, or one for which linear time cannot be promised:
            back-references, look-behind, look-ahead anywhere but at the start, huge repetitions.
    """
    try:
        tree = parser.parse(pattern, re.ASCII)
        compiled = re.compile(to_python(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(_syntax_mistake(pattern, error)) from None
    if bounded and tree.state.flags & ~(re.ASCII | re.UNICODE):
        raise PatternError("uses inline flags such as (?i): spell both cases, as in [Aa]")
    if not bounded or _is_linear(tree):
        search = compiled.search
        return lambda text: search(text) is not None
    ahead, rest = _leading_lookaheads(list(tree))
    if not ahead:
        return build_table(rest)
    # `^(?=A)(?!B)C` is three questions about one text, each of them linear.
    tests = [(wanted, build_table([*rest[:1], *body])) for wanted, body in ahead]
    tests.append((True, build_table(rest)))
    return lambda text: all(matches(text) is wanted for wanted, matches in tests)


@cache
def is_plain(pattern: str) -> bool:
    """Whether `re` itself takes linear time for it."""
    return _is_linear(parser.parse(pattern, re.ASCII))


@cache
def to_python(pattern: str) -> str:
    r"""The pattern with JSON Schema's `$`, `\d`, `\w` and `\s`, for `re` without flags."""
    if pattern.startswith("(?a:"):
        return pattern
    translated = _DOLLAR.sub(lambda found: r"\Z" if found[0] == "$" else found[0], pattern)
    # Flags at the very start cannot be wrapped; such a pattern keeps them and has ASCII added.
    return f"(?a){translated}" if _GLOBAL_FLAGS.match(pattern) else f"(?a:{translated})"


_DOLLAR: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
_GLOBAL_FLAGS: Final = re.compile(r"\(\?[aiLmsux]+\)")


def _syntax_mistake(pattern: str, error: Exception) -> str:
    if re.search(r"\\[pP]\{", pattern):
        return r"uses \p{...}, which Python cannot match: list the ranges, as in [A-Za-z]"
    if re.search(r"\(\?<[A-Za-z_]", pattern):
        return "names a group (?<name>...): write (?:...) instead"
    return f"is not a regular expression that Python reads: {error}"


def _leading_lookaheads(nodes: list[Any]) -> tuple[list[tuple[bool, list[Any]]], list[Any]]:
    """Splits `^(?=A)(?!B)C` into its look-aheads and `^C`."""
    ahead: list[tuple[bool, list[Any]]] = []
    if nodes and name_of(nodes[0]) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}:
        while len(nodes) > 1 and name_of(nodes[1]) in {"ASSERT", "ASSERT_NOT"}:
            direction, body = nodes[1][1]
            if direction < 0:
                break
            ahead.append((name_of(nodes[1]) == "ASSERT", list(body)))
            nodes = [nodes[0], *nodes[2:]]
    return ahead, nodes


def _is_linear(tree: Any) -> bool:
    """Whether a backtracking engine has one way on for each character, from one start or few."""
    # First with every repetition read as a loop, which is right for any count however large;
    # then, as `[0-9]{4}[0-9]{2}` needs it, with repetitions written out.
    for written_out in (False, True):
        positions = Positions(written_out)
        try:
            whole = positions.sequence(tree)
        except (TooLarge, PatternError):
            return False
        if positions.is_deterministic(whole):
            anchored = not whole.nullable and all(
                positions.charsets[first] == BEGIN for first in whole.first
            )
            return anchored or tree.getwidth()[1] <= _MAX_WIDTH
    return False
