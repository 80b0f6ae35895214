"""A gateway, checked and compiled for use. The only module that looks at methods closely.

Every mistake is collected, so that one start shows all of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from ..emitters import ToAll, ToSender
from ..errors import ConfigurationError
from ..limits import DEFAULT, SERVICE_WIDE, Limits
from ..protocol.audience import Everyone
from ..protocol.codec import Codec
from ..protocol.messages import MAX_EVENT_LENGTH, RESERVED_EVENTS
from ..protocol.paths import Pattern
from ..validation import JSONSchemaValidator, Validator
from .declarations import Declaration, declarations, lost_decorators, namespace_of
from .decorators import EmitterMark, HandlerMark, HookKind, NamespaceMark
from .parameters import bind
from .table import Emitter, Hook, Kind, Namespace, Route

__all__ = ["Defaults", "compile_gateway"]

_SLOTS: Final[dict[HookKind, tuple[str, ...]]] = {
    "on_connection_attempt": ("params", "request"),
    "on_connect": ("peer",),
    "on_disconnect": ("peer", "code", "reason"),
    "on_error": ("error", "peer", "event"),
}
_HANDLER_SLOTS: Final = ("data", "peer")
_FALLBACK_SLOTS: Final = ("event", "data", "peer")


@dataclass(frozen=True, slots=True)
class Defaults:
    """The service's options, for a namespace that has none of its own."""

    limits: Limits
    codec: Codec
    allowed_origins: Sequence[str] | str


def compile_gateway(gateway: object, defaults: Defaults) -> tuple[Namespace | None, list[str]]:
    """The namespace a gateway serves, or every mistake in it."""
    if isinstance(gateway, type):
        name = gateway.__name__
        return None, [f"{name}: register an instance, {name}(...), not the class"]
    compiler = _Compiler(gateway, defaults)
    namespace = compiler.compile()
    return (None if compiler.mistakes else namespace), compiler.mistakes


class _Compiler:
    def __init__(self, gateway: object, defaults: Defaults) -> None:
        self.gateway = gateway
        self.defaults = defaults
        self.cls = type(gateway)
        self.mistakes: list[str] = []
        self.routes: dict[str, Route] = {}
        self.fallback: Route | None = None
        self.hooks: dict[HookKind, Hook] = {}

    def compile(self) -> Namespace | None:
        name = self.cls.__name__
        for method, base in lost_decorators(self.cls):
            self._mistake(
                f"{name}.{method}",
                f"it overrides {base.__name__}.{method} but lost its decorator: decorate it again",
            )
        for declaration in declarations(self.cls):
            self._read(declaration)
        mark = namespace_of(self.cls)
        if mark is None:
            self._mistake(name, 'it has no @namespace: write @namespace("/path") above the class')
            return None
        pattern = self._pattern(mark)
        self._check_options(mark)
        if pattern is None:
            return None
        return Namespace(
            pattern=pattern,
            label=name,
            gateway=self.gateway,
            limits=mark.limits or self.defaults.limits,
            codec=mark.codec or self.defaults.codec,
            allowed_origins=(
                self.defaults.allowed_origins
                if mark.allowed_origins is None
                else mark.allowed_origins
            ),
            routes=self.routes,
            fallback=self.fallback,
            **{kind: self.hooks.get(kind) for kind in _SLOTS},
        )

    def _mistake(self, label: str, text: str) -> None:
        mistake = f"{label}: {text}"
        if mistake not in self.mistakes:  # a method with two events is read twice
            self.mistakes.append(mistake)

    def _pattern(self, mark: NamespaceMark) -> Pattern | None:
        try:
            return Pattern(mark.path)
        except ValueError as error:
            self._mistake(self.cls.__name__, f"@namespace: {error}")
            return None

    def _check_options(self, mark: NamespaceMark) -> None:
        name = self.cls.__name__
        codec: object = mark.codec
        if codec is not None and (isinstance(codec, type) or not isinstance(codec, Codec)):
            self._mistake(
                name, f"@namespace(codec=...): {codec!r} is not a Codec: give it an instance of one"
            )
        origins: object = mark.allowed_origins
        if not isinstance(origins, str | Sequence | Set | None) or not all(
            isinstance(origin, str)
            for origin in origins or ()  # pyright: ignore[reportUnknownVariableType]
        ):
            self._mistake(
                name,
                f"@namespace(allowed_origins=...): {origins!r} is neither a list of origins such "
                'as "https://example.com" nor "same-origin" nor "*"',
            )
        limits: object = mark.limits
        if limits is None:
            return
        if not isinstance(limits, Limits):
            self._mistake(
                name, f"@namespace(limits=...): {limits!r} is not a Limits: write Limits(...)"
            )
            return
        for field in sorted(SERVICE_WIDE):
            known = (getattr(Limits(), field), getattr(self.defaults.limits, field))
            if getattr(limits, field) not in known:
                self._mistake(
                    name, f"@namespace(limits=...): {field} is for the whole service: set it there"
                )

    def _read(self, declaration: Declaration) -> None:
        label = declaration.label
        if declaration.hooks and (declaration.handlers or declaration.emitters):
            self._mistake(label, "a hook is no handler: move @message and emitters elsewhere")
        elif declaration.emitters and not declaration.handlers:
            self._mistake(label, "an emitter without @message or @fallback never fires: add one")
        for hook in declaration.hooks:
            self._read_hook(declaration, hook.kind)
        for handler in declaration.handlers:
            self._read_handler(declaration, handler)

    def _read_hook(self, declaration: Declaration, kind: HookKind) -> None:
        if kind in self.hooks:
            self._mistake(
                declaration.label, f"a second @{kind} beside {self.hooks[kind].label}: keep one"
            )
            return
        run = _kind(declaration.function)
        if run.streams:
            self._mistake(
                declaration.label, "a hook cannot be a generator: let it send, and return"
            )
        call, _ = self._bind(declaration, _SLOTS[kind])
        self.hooks[kind] = Hook(declaration.label, run, call)

    def _read_handler(self, declaration: Declaration, mark: HandlerMark) -> None:
        label = declaration.label
        slots = _FALLBACK_SLOTS if mark.event is None else _HANDLER_SLOTS
        call, annotation = self._bind(declaration, slots)
        if mark.event is None:
            call = _taking_message(call)
        emitters = self._emitters(declaration)
        route = Route(
            label=label,
            event=mark.event,
            kind=_kind(declaration.function),
            call=call,
            validator=self._validator(label, "schema", mark.schema),
            emitters=emitters,
            answer=_answer(emitters),
            timeout=mark.timeout,
            concurrent=mark.concurrent,
            cancel_on_disconnect=mark.cancel_on_disconnect,
        )
        if mark.schema is None and not _unvalidated(annotation):
            self._mistake(
                label,
                f"no schema can be derived from the annotation of its data, {annotation!r}: "
                "give @message(schema=...), or annotate it dict[str, Any] or Any",
            )
        if not (mark.timeout is DEFAULT or mark.timeout is None or _positive(mark.timeout)):
            self._mistake(label, f"timeout must be seconds above zero or None: {mark.timeout!r}")
        if mark.event is None:
            if self.fallback is not None:
                self._mistake(label, f"a second @fallback beside {self.fallback.label}: keep one")
            self.fallback = route
            return
        self._check_event(label, "message", mark.event)
        rival = self.routes.setdefault(mark.event, route)
        if rival is not route:
            self._mistake(label, f"{mark.event!r} is handled by {rival.label} already: keep one")

    def _bind(
        self, declaration: Declaration, slots: tuple[str, ...]
    ) -> tuple[Callable[..., Any], Any]:
        method = getattr(self.gateway, declaration.name)
        binding = bind(method, declaration.function, self.cls, slots)
        for mistake in binding.mistakes:
            self._mistake(declaration.label, mistake)
        return binding.call, binding.data_annotation

    def _emitters(self, declaration: Declaration) -> tuple[Emitter, ...]:
        if sum(isinstance(mark.strategy, ToSender) for mark in declaration.emitters) > 1:
            self._mistake(declaration.label, "two @emit: a message has one answer, so keep one")
        return tuple(self._emitter(declaration.label, mark) for mark in declaration.emitters)

    def _emitter(self, label: str, mark: EmitterMark) -> Emitter:
        strategy = mark.strategy
        if isinstance(strategy, ToSender | ToAll):
            self._check_event(label, "emitter", strategy.event)
        if isinstance(strategy, ToAll):
            if isinstance(strategy.room, str) and not strategy.room:
                self._mistake(label, "room= is empty: name one, or leave it out for everyone")
            self._check_choice(label, "room", strategy.room, str | Everyone | None)
            self._check_choice(label, "latest", strategy.latest, str | None)
        validator = self._validator(label, "an emitter's schema", mark.schema)
        return Emitter(strategy, isinstance(strategy, ToSender), validator)

    def _check_choice(self, label: str, option: str, choice: object, fixed: Any) -> None:
        if inspect.iscoroutinefunction(choice):
            self._mistake(label, f"{option}= is called, not awaited: make it a plain function")
        elif not (callable(choice) or isinstance(choice, fixed)):
            self._mistake(label, f"{option}= is a str or a callable (data, peer), not {choice!r}")

    def _check_event(self, label: str, where: str, event: str) -> None:
        if event in RESERVED_EVENTS:
            self._mistake(label, f"{event!r} is a reserved event ({where}): choose another name")
        elif not 0 < len(event) <= MAX_EVENT_LENGTH:
            self._mistake(
                label, f"an event's name has 1 to {MAX_EVENT_LENGTH} characters: {event[:32]!r}"
            )

    def _validator(self, label: str, where: str, schema: Any) -> Validator | None:
        if schema is None:
            return None
        if isinstance(schema, dict | bool):
            try:
                return JSONSchemaValidator(schema)  # pyright: ignore[reportUnknownArgumentType]
            except ConfigurationError as error:
                for mistake in error.mistakes:
                    self._mistake(label, f"{where}: {mistake}")
                return None
        if isinstance(schema, Validator) and not isinstance(schema, type):
            return schema
        self._mistake(
            label, f"{where}: {schema!r} is neither a JSON Schema (dict or bool) nor a Validator"
        )
        return None


def _answer(emitters: tuple[Emitter, ...]) -> str | None:
    match emitters:
        case ():
            return "ack"
        case (Emitter(ToSender() as strategy, _, None),) if type(strategy) is ToSender:
            return strategy.event
        case _:
            return None


def _taking_message(method: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def call(message: Any, peer: Any) -> Any:
        return method(message.event, message.data, peer)

    return call


def _kind(function: Callable[..., Any]) -> Kind:
    if inspect.isasyncgenfunction(function):
        return Kind.STREAM
    if inspect.iscoroutinefunction(function):
        return Kind.COROUTINE
    return Kind.THREAD_STREAM if inspect.isgeneratorfunction(function) else Kind.THREAD


def _unvalidated(annotation: Any) -> bool:
    if annotation in (Any, object, dict):
        return True
    return get_origin(annotation) is dict and get_args(annotation) == (str, Any)


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
