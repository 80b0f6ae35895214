"""Which parameter of a method gets what: decided once, by annotation and position."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ..peer import BlockingPeer, Peer
from ..request import ConnectionRequest

__all__ = ["Binding", "bind"]

_OBJECTS: Final = {"peer", "request"}


@dataclass(frozen=True, slots=True)
class Binding:
    """A method made callable with the whole tuple of its kind.

    Attributes:
        call: Takes every slot by position and passes on what the method asks for.
        data_annotation: What its `data` is annotated with; `Any` without an annotation.
        mistakes: What is wrong, without the method's name.
    """

    call: Callable[..., Any]
    data_annotation: Any
    mistakes: tuple[str, ...]


def bind(
    method: Callable[..., Any], function: Callable[..., Any], cls: type, slots: tuple[str, ...]
) -> Binding:
    """Binds a method's parameters to `slots`, such as `("data", "peer")`.

    Args:
        method: Bound to its gateway.
        function: What it was made of; annotations are resolved where this was written.
        cls: The gateway's class.
        slots: What there is to pass, in order.
    """
    try:
        parameters = list(inspect.signature(method).parameters.values())
    except (NameError, TypeError, ValueError) as error:
        return Binding(method, Any, (f"its signature cannot be read ({error})",))
    reader = _Reader(function, cls, slots)
    for parameter in parameters:
        reader.read(parameter)
    reader.place()
    call = _adapter(method, slots, reader.positional, reader.keywords)
    return Binding(call, reader.data_annotation, tuple(reader.mistakes))


class _Reader:
    def __init__(self, function: Callable[..., Any], cls: type, slots: tuple[str, ...]) -> None:
        self.function = function
        self.cls = cls
        self.slots = slots
        self.mistakes: list[str] = []
        self.data_annotation: Any = Any
        self.keywords: dict[str, str] = {}
        # A parameter whose slot is decided by its annotation has it; the others have None.
        self._wanted: list[tuple[inspect.Parameter, Any, str | None]] = []
        self.positional: list[str] = []
        self._takes_rest = False

    def read(self, parameter: inspect.Parameter) -> None:
        if parameter.kind is parameter.VAR_KEYWORD:
            return
        if parameter.kind is parameter.VAR_POSITIONAL:
            self._takes_rest = True
            return
        annotation = self._resolve(parameter)
        self._wanted.append((parameter, annotation, self._object_slot(annotation)))

    def place(self) -> None:
        claimed = {slot for _, _, slot in self._wanted if slot is not None}
        free = [slot for slot in self.slots if slot not in claimed]
        skipped = False
        for parameter, annotation, slot in self._wanted:
            if slot is None:
                slot = self._next_free(parameter, annotation, free)
                if slot is not None:
                    self._check_name(parameter, slot)
            if slot is None or not self._available(slot):
                if parameter.default is parameter.empty:
                    self.mistakes.append(
                        f"nothing to pass for its parameter {parameter.name!r}: "
                        f"it can take ({', '.join(self.slots)}) or a leading part of that"
                    )
                skipped = True
                continue
            if slot == "data":
                self.data_annotation = annotation
            if parameter.kind is parameter.KEYWORD_ONLY or (
                skipped and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            ):
                self.keywords[parameter.name] = slot
            elif skipped:
                self.mistakes.append(
                    f"its parameter {parameter.name!r} stands behind one that keeps its default: "
                    "put it in front"
                )
            else:
                self.positional.append(slot)
        if self._takes_rest and not skipped:
            self.positional += free

    def _available(self, slot: str) -> bool:
        return slot in self.slots or (slot == "request" and "peer" in self.slots)

    def _next_free(
        self, parameter: inspect.Parameter, annotation: Any, free: list[str]
    ) -> str | None:
        annotated = parameter.annotation is not parameter.empty and annotation is not Any
        if parameter.kind is parameter.KEYWORD_ONLY:
            # It has a name rather than a position.
            if parameter.name in free and not (annotated and parameter.name in _OBJECTS):
                free.remove(parameter.name)
                return parameter.name
            if parameter.default is not parameter.empty:
                return None
        for slot in free:
            if annotated and slot in _OBJECTS:
                continue
            free.remove(slot)
            return slot
        return None

    def _check_name(self, parameter: inspect.Parameter, slot: str) -> None:
        if parameter.name in _OBJECTS and parameter.name != slot:
            kind = "Peer" if parameter.name == "peer" else "ConnectionRequest"
            self.mistakes.append(
                f"its parameter {parameter.name!r} would be passed {slot!r}: annotate it ({kind})"
            )

    def _resolve(self, parameter: inspect.Parameter) -> Any:
        annotation = parameter.annotation
        if annotation is parameter.empty:
            return Any
        if not isinstance(annotation, str):
            return annotation
        function = inspect.unwrap(self.function)
        namespace = {self.cls.__name__: self.cls, **vars(self.cls)}
        try:
            holder = type("Holder", (), {"__annotations__": {"it": annotation}})
            return typing.get_type_hints(
                holder, getattr(function, "__globals__", {}), namespace, include_extras=True
            )["it"]
        except Exception as error:  # an annotation is arbitrary code
            self.mistakes.append(
                f"the annotation {annotation!r} of {parameter.name!r} cannot be resolved "
                f"({type(error).__name__}): import what it names at run time"
            )
            return Any

    def _object_slot(self, annotation: Any) -> str | None:
        kind = typing.get_origin(annotation) or annotation
        if not isinstance(kind, type):
            return None
        threaded = not (
            inspect.iscoroutinefunction(self.function) or inspect.isasyncgenfunction(self.function)
        )
        if issubclass(kind, Peer):
            if threaded:
                self.mistakes.append(
                    "a plain def runs in a thread: annotate its peer BlockingPeer, "
                    "or make it an async def"
                )
            return "peer"
        if issubclass(kind, BlockingPeer):
            if not threaded:
                self.mistakes.append("an async def runs on the event loop: annotate its peer Peer")
            return "peer"
        if issubclass(kind, ConnectionRequest):
            return "request"
        return None


def _adapter(
    method: Callable[..., Any],
    slots: tuple[str, ...],
    positional: list[str],
    keywords: dict[str, str],
) -> Callable[..., Any]:
    """A call with all of `slots`, with no introspection left for later."""
    if not keywords and tuple(positional) == slots:
        return method
    request_from_peer = "request" not in slots
    indexes = {slot: index for index, slot in enumerate(slots)}

    def value(slot: str, given: tuple[Any, ...]) -> Any:
        if slot == "request" and request_from_peer:
            return given[indexes["peer"]].request
        return given[indexes[slot]]

    if not keywords and slots == ("data", "peer"):
        # The two usual shapes of a handler are on the hot path.
        if not positional:
            return lambda *_: method()
        if positional == ["data"]:
            return lambda *given: method(given[0])

    def call(*given: Any) -> Any:
        return method(
            *(value(slot, given) for slot in positional),
            **{name: value(slot, given) for name, slot in keywords.items()},
        )

    return call
