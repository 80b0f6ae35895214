"""Paths and patterns. The one place that normalises a path.

A path is compared as the server decoded it: no further decoding, no case folding, no dot segments.
Only one trailing slash is ignored.
"""

from __future__ import annotations

import re
from typing import Final, Generic, NamedTuple, TypeVar

__all__ = ["Match", "PathTable", "Pattern", "normalise", "strip_root"]

T = TypeVar("T")

_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def normalise(path: str) -> str:
    """With a leading slash, and without one trailing slash."""
    if not path.startswith("/"):
        path = f"/{path}"
    return path[:-1] if path.endswith("/") and path != "/" else path


def strip_root(path: str, root: str) -> str:
    """The path below a mount point, if `root` is a whole-segment prefix of it, else the path.

    Servers disagree on whether `path` holds `root_path`; the prefix itself tells.
    """
    root = root.rstrip("/")
    if root and path.startswith(root) and (len(path) == len(root) or path[len(root)] == "/"):
        return path[len(root) :] or "/"
    return path


class Pattern:
    """A path in which `{name}` stands for one segment.

    Raises:
        ValueError: It is empty, a name is not an identifier or stands twice, or a brace is left.
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError('the path is empty; the root is "/"')
        self.text = normalise(text)
        self.segments = self.text[1:].split("/")
        names: list[str] = []
        shape: list[str | None] = []
        for segment in self.segments:
            parameter = _PARAMETER.fullmatch(segment)
            if parameter is None and ("{" in segment or "}" in segment):
                raise ValueError(
                    f"{segment!r} in {self.text!r}: a parameter is a whole segment, like {{name}}"
                )
            if parameter is not None:
                names.append(parameter[1])
            shape.append(None if parameter else segment)
        if len(set(names)) != len(names):
            raise ValueError(f"a parameter's name stands twice in {self.text!r}")
        self.names = tuple(names)
        self.shape = tuple(shape)
        """Its segments, with `None` for each parameter: equal shapes match the same paths."""

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The parameters' values, or `None`; a parameter never matches an empty segment."""
        values: list[str] = []
        for wanted, segment in zip(self.shape, segments, strict=True):
            if wanted is None:
                if not segment:
                    return None
                values.append(segment)
            elif wanted != segment:
                return None
        return dict(zip(self.names, values, strict=True))


class Match(NamedTuple, Generic[T]):
    """What a path leads to.

    Attributes:
        path: The concrete path in its one normal form.
        params: The values of its parameters.
        target: What was added under the pattern.
    """

    path: str
    params: dict[str, str]
    target: T


class PathTable(Generic[T]):
    """Patterns and what they lead to. An exact path beats a pattern.

    Of two patterns that match, the one with a literal segment further left wins.
    """

    def __init__(self) -> None:
        self._exact: dict[str, T] = {}
        self._patterns: dict[int, list[tuple[Pattern, T]]] = {}
        self._by_shape: dict[tuple[str | None, ...], T] = {}

    def add(self, pattern: Pattern, target: T) -> T | None:
        """Adds it, or returns what is already there under a pattern of the same shape."""
        if pattern.shape in self._by_shape:
            return self._by_shape[pattern.shape]
        self._by_shape[pattern.shape] = target
        if not pattern.names:
            self._exact[pattern.text] = target
            return None
        rivals = self._patterns.setdefault(len(pattern.shape), [])
        rivals.append((pattern, target))
        rivals.sort(key=lambda rival: [segment is None for segment in rival[0].shape])
        return None

    def find(self, path: str) -> Match[T] | None:
        """The match for a path as the server decoded it."""
        if not path.startswith("/"):
            return None
        path = normalise(path)
        if (target := self._exact.get(path)) is not None:
            return Match(path, {}, target)
        if not self._patterns:
            return None
        segments = path[1:].split("/")
        for pattern, target in self._patterns.get(len(segments), ()):
            params = pattern.match(segments)
            if params is not None:
                # A pattern's own text is no concrete path, though its braces would match
                # themselves, and those of a wider pattern too.
                return None if path == pattern.text else Match(path, params, target)
        return None
