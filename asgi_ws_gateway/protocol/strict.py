"""What JSON of strangers has to be beyond what parsers ask of it, and what parsing it may cost."""

from __future__ import annotations

import gc
import math
import re
from array import array
from collections.abc import Generator
from contextlib import contextmanager
from itertools import accumulate
from typing import Final, NoReturn

__all__ = [
    "LARGE",
    "check_depth",
    "collector_off",
    "finite",
    "refuse_constant",
    "refuse_surrogates",
]

LARGE: Final = 64 * 1024
"""Bytes from which on the collector is worth turning off."""


def refuse_constant(name: str) -> NoReturn:
    """For `parse_constant`: the standard decoder takes NaN."""
    raise ValueError(f"{name} is not JSON")


def finite(text: str) -> float:
    """For `parse_float`: what is too large would be infinite."""
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is out of range")
    return value


@contextmanager
def collector_off(size: int) -> Generator[None]:
    """For the parsing of so many bytes, if they are many.

    For every 700 objects that a parser makes, the collector looks for cycles, in vain: it makes
    none. 1 MiB of nested arrays takes 0.8 s with it, and 0.1 s without.
    """
    if size <= LARGE or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# A high half with no low one behind it, or a low half with no high one before it.
_HALF: Final = re.compile(
    r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])"
)


def refuse_surrogates(payload: str) -> None:
    """Raises `ValueError` for half a surrogate, written as it is or escaped."""
    payload.encode()
    # The decoded value does not tell: a later member of the same name may have taken its place.
    if ("\\ud" in payload or "\\uD" in payload) and _HALF.search(payload.replace(r"\\", "/")):
        raise ValueError("surrogates not allowed")


_BRACKETS: Final = bytes.maketrans(b"[{]}", b"(())")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))
_STEPS: Final = bytes.maketrans(b"()", bytes([1, 255]))
_MOST_PASSES: Final = 16


def check_depth(text: str, max_depth: int) -> None:
    """Raises `ValueError` for JSON that nests deeper, and for some that is none.

    Each step is one of C's over the whole text: a scan in Python takes longer than the parsing.
    """
    if text.count("[") + text.count("{") <= max_depth:
        return
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    outside = "".join(text.split('"')[::2]).encode("ascii", "replace")
    brackets = outside.translate(_BRACKETS, _NO_BRACKETS)
    # The innermost pairs are taken out, level by level: most messages have few. What is left of
    # others is counted.
    levels = 0
    while brackets and levels < _MOST_PASSES:
        rest = brackets.replace(b"()", b"")
        if len(rest) == len(brackets):
            break
        brackets = rest
        levels += 1
    steps = array("b", brackets.translate(_STEPS))
    if levels + max(accumulate(steps, initial=0)) > max_depth:
        raise ValueError("nested too deep")
