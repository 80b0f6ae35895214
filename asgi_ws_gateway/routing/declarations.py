"""What a gateway class declares: its marked methods, found along the inheritance chain.

It reads marks; signatures and schemas are `compile`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .decorators import MARKS, NAMESPACE, EmitterMark, HandlerMark, HookMark, NamespaceMark

__all__ = ["Declaration", "declarations", "lost_decorators", "namespace_of"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """One marked method."""

    name: str
    label: str
    function: Callable[..., Any]
    handlers: tuple[HandlerMark, ...]
    emitters: tuple[EmitterMark, ...]
    hooks: tuple[HookMark, ...]


def namespace_of(cls: type) -> NamespaceMark | None:
    """The class's own mark, or the one it inherits."""
    return getattr(cls, NAMESPACE, None)


def declarations(cls: type) -> Iterator[Declaration]:
    """The marked methods, those of base classes first, each as its most derived class has it."""
    for name in _names(cls):
        definition = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
        marks = _marks(definition)
        if marks:
            yield Declaration(
                name,
                f"{cls.__name__}.{name}",
                getattr(definition, "__func__", definition),
                tuple(mark for mark in marks if isinstance(mark, HandlerMark)),
                tuple(mark for mark in marks if isinstance(mark, EmitterMark)),
                tuple(mark for mark in marks if isinstance(mark, HookMark)),
            )


def lost_decorators(cls: type) -> Iterator[tuple[str, type]]:
    """Methods without a mark that override a marked one, and the class whose method that is."""
    for name in _names(cls):
        owners = [base for base in cls.__mro__ if name in vars(base)]
        if not _marks(vars(owners[0])[name]):
            for base in owners[1:]:
                if _marks(vars(base)[name]):
                    yield name, base
                    break


def _names(cls: type) -> list[str]:
    return list(dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base)))


def _marks(definition: Any) -> tuple[Any, ...]:
    function = getattr(definition, "__func__", definition)
    marks = _own_marks(function)
    # Decorators stand above `@staticmethod` as well as below it.
    return marks if function is definition else (*marks, *_own_marks(definition))


def _own_marks(definition: Any) -> tuple[Any, ...]:
    marks: Any = getattr(definition, MARKS, ())
    # An attribute may be any object, one that answers every `getattr` included.
    return marks if isinstance(marks, tuple) else ()  # pyright: ignore[reportUnknownVariableType]
