"""Rich Python values as plain JSON values, alike for every codec.

Standard library only: pydantic models and msgspec Structs are recognised by what they offer, so
neither package is imported.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

__all__ = ["UnknownType", "check_json", "check_keys", "is_json", "to_json", "to_plain"]

_SCALARS = frozenset({str, int, float, bool, type(None)})
_EXACT = _SCALARS - {float}
_TEXT = frozenset({str})
_ARRAYS = (list, tuple)  # as a union, made anew at every look, it takes three times as long


class UnknownType(TypeError):
    """Nothing is known of a value's type."""


def to_plain(value: Any) -> Any:
    """One step from a rich value towards JSON; what is inside may need further steps.

    Raises:
        UnknownType: What `default=` of a codec is for.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]
    if is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in fields(kind)}
    if hasattr(kind, "__pydantic_serializer__"):
        return value.model_dump(mode="json")
    if hasattr(kind, "__struct_fields__"):
        # msgspec knows its renamed and omitted fields better than we could.
        return sys.modules["msgspec"].to_builtins(value, order=None)
    raise UnknownType(f"a {kind.__name__} cannot be put on the wire")


def check_keys(value: Any) -> Any:
    """Returns `value` if every key in it is text.

    The standard encoder turns keys such as `1` and `None` into text silently, so that what is
    received is not what was sent.

    Raises:
        TypeError: A key is not text.
    """
    inner: Collection[Any]
    if isinstance(value, dict):
        items: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        if not _TEXT.issuperset(map(type, items)):
            _check_each_key(items)
        inner = items.values()
    elif isinstance(value, _ARRAYS):
        inner = cast("Collection[Any]", value)
    else:
        return value
    # One pass in C finds most objects and arrays flat, with nothing inside to look at.
    if not _SCALARS.issuperset(map(type, inner)):
        for item in inner:
            check_keys(item)
    return value  # pyright: ignore[reportUnknownVariableType]


def _check_each_key(items: dict[Any, Any]) -> None:
    if not all(isinstance(key, str) for key in items):
        raise TypeError("an object's keys must be text")


def is_json(value: Any) -> bool:
    """Whether a value is made of nothing but JSON's own types, and no subclasses of them."""
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _EXACT:
        return True
    if kind is float:
        return math.isfinite(value)
    inner: Collection[Any]
    if kind is dict:
        if not _TEXT.issuperset(map(type, value)):
            return False
        inner = value.values()
    elif kind is list:
        inner = value
    else:
        return False
    return _EXACT.issuperset(map(type, inner)) or all(map(is_json, inner))


def to_json(value: Any, convert: Callable[[Any], Any]) -> Any:
    """The same made of nothing but JSON's own types, for codecs that would take others too.

    Args:
        value: Anything.
        convert: Takes one step with what is of no JSON type, as `to_plain`.

    Raises:
        TypeError: A key is not text, or `convert` knows no step.
        ValueError: A number is not finite.
    """
    if type(value) in _EXACT:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number is not finite")
        return float(value)
    if isinstance(value, dict):
        items: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        _check_each_key(items)
        return {str.__str__(key): to_json(item, convert) for key, item in items.items()}
    if isinstance(value, _ARRAYS):
        values: list[Any] | tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType]
        return [to_json(item, convert) for item in values]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    return to_json(convert(value), convert)


def check_json(value: Any, max_depth: int | None) -> None:
    """Raises `ValueError` for a decoded value that JSON has not, or that nests deeper."""
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _EXACT:
        return
    if kind is float:
        if not math.isfinite(value):
            raise ValueError("a number is not finite")
        return
    inner: Collection[Any]
    if kind is dict:
        if not _TEXT.issuperset(map(type, value)):
            raise ValueError("an object's keys must be text")
        inner = value.values()
    elif kind is list:
        inner = value
    else:
        raise ValueError(f"JSON has no {kind.__name__}")
    if max_depth is not None:
        if max_depth == 0:
            raise ValueError("nested too deep")
        max_depth -= 1
    if not _EXACT.issuperset(map(type, inner)):
        for item in inner:
            check_json(item, max_depth)
