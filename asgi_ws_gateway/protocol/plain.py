"""Rich Python values as plain JSON values, alike for every codec.

Standard library only: pydantic models and msgspec Structs are recognised by what they offer, so
neither package is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

__all__ = ["UnknownType", "check_keys", "to_plain"]

_SCALARS = frozenset({str, int, float, bool, type(None)})
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
        if not _TEXT.issuperset(map(type, items)) and not all(
            isinstance(key, str) for key in items
        ):
            raise TypeError("an object's keys must be text")
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
