"""When JSON Schema calls two values equal, and one number a multiple of another."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import isfinite
from typing import Any

from .descent import is_array, is_object

__all__ = ["equality_key", "has_duplicates", "is_no_multiple", "is_not_one_of", "is_number"]


def is_number(data: Any) -> bool:
    """Whether it is a number."""
    return isinstance(data, int | float) and not isinstance(data, bool)


def equality_key(value: Any) -> Any:
    """Something hashable that is equal for two values when JSON Schema calls them equal.

    `1` and `1.0` are equal, `1` and `True` are not. Numbers become bytes because the hash of
    bytes is random: integers that all hash alike are easily chosen, and then a set is quadratic.
    """
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int):
        return b"%x" % value
    if isinstance(value, float):
        return b"%x" % int(value) if value.is_integer() else value.hex().encode()
    if is_object(value):
        return frozenset((key, equality_key(item)) for key, item in value.items())
    if is_array(value):
        return tuple(map(equality_key, value))
    return value


_TRUE, _FALSE = object(), object()


def has_duplicates(wanted: bool, data: Any) -> bool:
    """Whether two items are equal though `uniqueItems` is `wanted`."""
    if not wanted or not is_array(data):
        return False
    seen: set[Any] = set()
    for item in data:
        key = equality_key(item)
        if key in seen:
            return True
        seen.add(key)
    return False


def is_not_one_of(values: list[Any], data: Any) -> bool:
    """Whether none of the values is equal."""
    if isinstance(data, str):
        return data not in values
    key = equality_key(data)
    return all(equality_key(value) != key for value in values)


def _exactly(number: float) -> Fraction:
    return Fraction(number if isinstance(number, int) else repr(number))


_divisor = cache(_exactly)  # schemas are few


def is_no_multiple(divisor: float, data: Any) -> bool:
    """19.99 is a multiple of 0.01: decimals are meant as they are written.

    jsonschema divides binary fractions and refuses prices, and fails on what is not finite.
    """
    if not is_number(data):
        return False
    if isinstance(data, int) and isinstance(divisor, int):
        return data % divisor != 0
    if isinstance(data, float) and not isfinite(data):
        return True
    return (_exactly(data) / _divisor(divisor)).denominator != 1
