"""Parsed patterns as automata: which character may follow which, and the table made of that.

Everything a pattern can do is determined in advance, so that a text costs one step a character.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

__all__ = [
    "BEGIN",
    "Matcher",
    "PatternError",
    "Positions",
    "TooLarge",
    "build_table",
    "name_of",
    "parser",
]

Matcher = Callable[[str], bool]
"""Whether the pattern is found in a text."""

_Charset = tuple[tuple[int, int], ...]  # ranges of code points, sorted, inclusive

# Reading a pattern is the one thing worth taking from the standard library's own compiler: any
# other parser would disagree with it somewhere. typeshed does not describe the module.
parser: Any = import_module("re._parser")

_GREATEST: Final = 0x10FFFF
BEGIN: Final[_Charset] = ((-2, -2),)  # `^` and `$` are characters around the text
_END: Final[_Charset] = ((-1, -1),)
_MAX_POSITIONS: Final = 1_000
_MAX_CELLS: Final = 60_000  # of one table: half a megabyte

_CATEGORIES: Final[dict[str, _Charset]] = {
    "DIGIT": ((48, 57),),
    "SPACE": ((9, 13), (32, 32)),
    "WORD": ((48, 57), (65, 90), (95, 95), (97, 122)),
}


class PatternError(ValueError):
    """The pattern cannot be used; the text says why and what to write instead."""


class TooLarge(Exception):
    """The pattern has too many positions when its repetitions are written out."""


def name_of(node: Any) -> str:
    """What a node of the parser is; for an anchor, which one."""
    return str(node[1] if str(node[0]) == "AT" else node[0])


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a pattern: whether it can be empty, where it starts and where it ends."""

    nullable: bool
    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()


_NOTHING: Final = _Part(nullable=True)


@dataclass(slots=True)
class Positions:
    """Glushkov's construction: the pattern's characters as positions, and what may follow each."""

    written_out: bool
    charsets: list[_Charset] = field(default_factory=list[_Charset])
    follow: list[set[int]] = field(default_factory=list[set[int]])
    # Two ways to the same place: harmless for the table, and what makes `re` exponential.
    ambiguous: bool = False
    boundaries: bool = False

    def sequence(self, nodes: Iterable[Any]) -> _Part:
        """The positions of parsed nodes that follow one another.

        Raises:
            PatternError: A node is not something that an automaton can do.
            TooLarge: There are too many positions.
        """
        part = _NOTHING
        for node in nodes:
            part = self._then(part, self._node(node))
        return part

    def _node(self, node: Any) -> _Part:
        value = node[1]
        match name_of(node):
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                return self._position(_charset(node))
            case "AT_BEGINNING" | "AT_BEGINNING_STRING":
                return self._position(BEGIN)
            case "AT_END" | "AT_END_STRING":
                return self._position(_END)
            case "AT_BOUNDARY" | "AT_NON_BOUNDARY":
                self.boundaries = True
                return _NOTHING
            case "SUBPATTERN":
                _, add, remove, body = value
                if (add | remove) & ~re.ASCII:
                    raise PatternError("uses inline flags such as (?i:...): spell both cases")
                return self.sequence(body)
            case "BRANCH":
                return self._either([self.sequence(branch) for branch in value[1]])
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(*value)
            case "ASSERT" | "ASSERT_NOT":
                raise PatternError(
                    "looks around: only look-ahead right after a leading ^ takes linear time"
                )
            case "GROUPREF" | "GROUPREF_EXISTS":
                raise PatternError("refers back to a group, which cannot be matched in linear time")
            case other:
                raise PatternError(f"uses {other.lower()}, which is not part of JSON Schema")

    def _position(self, charset: _Charset) -> _Part:
        if len(self.charsets) >= _MAX_POSITIONS:
            raise TooLarge
        self.charsets.append(charset)
        self.follow.append(set())
        here = (len(self.charsets) - 1,)
        return _Part(nullable=False, first=here, last=here)

    def _link(self, before: _Part, after: _Part) -> None:
        for position in before.last:
            follow = self.follow[position]
            known = len(follow)
            follow.update(after.first)
            self.ambiguous |= len(follow) != known + len(after.first)

    def _then(self, one: _Part, two: _Part) -> _Part:
        self._link(one, two)
        return _Part(
            one.nullable and two.nullable,
            one.first + two.first if one.nullable else one.first,
            one.last + two.last if two.nullable else two.last,
        )

    def _either(self, parts: list[_Part]) -> _Part:
        nullable = [part.nullable for part in parts]
        self.ambiguous |= sum(nullable) > 1
        return _Part(
            any(nullable),
            tuple(first for part in parts for first in part.first),
            tuple(last for part in parts for last in part.last),
        )

    def _optional(self, part: _Part) -> _Part:
        self.ambiguous |= part.nullable
        return _Part(True, part.first, part.last)

    def _loop(self, part: _Part) -> _Part:
        self.ambiguous |= part.nullable
        self._link(part, part)
        return part

    def _repeat(self, least: int, most: int, body: Any) -> _Part:
        if most == 0:
            return _NOTHING
        endless = most == parser.MAXREPEAT
        if not self.written_out and most > 1:
            part = self._loop(self.sequence(body))
            return self._optional(part) if least == 0 else part
        part, tail = _NOTHING, _NOTHING
        for _ in range(least):
            part = self._then(part, self.sequence(body))
        if endless:
            tail = self._optional(self._loop(self.sequence(body)))
        else:
            # Inside out, x(x(x)?)?: each copy follows one other, not all before it.
            for _ in range(most - least):
                tail = self._optional(self._then(self.sequence(body), tail))
        return self._then(part, tail)

    def is_deterministic(self, whole: _Part) -> bool:
        """Whether each character leaves one way on at most."""
        choices = [set(whole.first), *self.follow]
        return not self.ambiguous and all(map(self._are_disjoint, choices))

    def _are_disjoint(self, positions: set[int]) -> bool:
        ranges = sorted(span for position in positions for span in self.charsets[position])
        return all(one[1] < two[0] for one, two in pairwise(ranges))


def _charset(node: Any) -> _Charset:
    kind, value = str(node[0]), node[1]
    match kind:
        case "LITERAL":
            return ((value, value),)
        case "NOT_LITERAL":
            return _all_but([(value, value)])
        case "ANY":
            return _all_but([(10, 10)])
        case "RANGE":
            return (tuple(value),)
        case "CATEGORY":
            charset = _CATEGORIES[str(value).rpartition("_")[2]]
            return _all_but(charset) if "_NOT_" in str(value) else charset
        case _:
            negated = str(value[0][0]) == "NEGATE"
            spans = [span for item in value[negated:] for span in _charset(item)]
            return _all_but(spans) if negated else _merged(spans)


def _merged(spans: Iterable[tuple[int, int]]) -> _Charset:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _all_but(spans: Iterable[tuple[int, int]]) -> _Charset:
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in _merged(spans):
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    return (*gaps, (start, _GREATEST)) if start <= _GREATEST else tuple(gaps)


class _Classes(dict[str, int]):
    """Character to column of the table. Remembers the common ones; the others are searched for."""

    def __init__(self, bounds: list[int]) -> None:
        super().__init__()
        self._bounds = bounds

    def __missing__(self, character: str) -> int:
        column = bisect_right(self._bounds, ord(character)) - 1
        if len(self) < 512:  # a client chooses the characters, so not all of them are kept
            self[character] = column
        return column


def build_table(nodes: Iterable[Any]) -> Matcher:
    """All states of the automaton, determined in advance: no text can make it grow.

    Raises:
        PatternError: It would be too large, or has what an automaton cannot do.
    """
    positions = Positions(written_out=True)
    try:
        whole = positions.sequence(nodes)
    except TooLarge:
        raise PatternError(_TOO_COMPLEX) from None
    charsets, follow = positions.charsets, positions.follow
    if positions.boundaries:
        raise PatternError(r"combines \b with what needs an automaton: name the characters instead")
    begins = {at for at, charset in enumerate(charsets) if charset == BEGIN}
    ends = {at for at, charset in enumerate(charsets) if charset == _END}
    if any(follow[at] & begins for at in begins | ends) or any(follow[at] & ends for at in ends):
        raise PatternError("has ^ or $ twice in a row: write it once")
    if whole.nullable:
        return lambda text: True

    first, last = frozenset(whole.first), frozenset(whole.last)
    bounds = sorted(
        {0}.union(*({low, high + 1} for charset in charsets for low, high in charset if low >= 0))
    )
    members: list[frozenset[int]] = [
        frozenset(
            at
            for at, charset in enumerate(charsets)
            if any(low <= bound <= high for low, high in charset)
        )
        for bound in bounds
    ]
    # A row is the next row for each class of characters, then whether the text may end here.
    rows: dict[frozenset[int], list[Any]] = {}
    found: list[Any] = []
    found += [found] * len(bounds) + [True]

    def row_of(state: frozenset[int]) -> list[Any]:
        if state & last:
            return found
        if state not in rows:
            if (len(rows) + 1) * len(bounds) > _MAX_CELLS:
                raise PatternError(_TOO_COMPLEX)
            rows[state] = []
            pending.append(state)
        return rows[state]

    pending: list[frozenset[int]] = []
    start = row_of(first & begins)
    while pending:
        state = pending.pop()
        reachable = first.union(*(follow[at] for at in state))
        rows[state] += [row_of(reachable & member) for member in members]
        rows[state].append(bool(reachable & ends & last))

    classes = _Classes(bounds)

    def matches(text: str) -> bool:
        row = start
        for character in text:
            row = row[classes[character]]
        return bool(row[-1])

    return matches


_TOO_COMPLEX: Final = "is too complex to be matched in linear time: shorten its repetitions"
