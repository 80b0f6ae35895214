"""Decorators mark and nothing else; a slip of the pen is a `TypeError` at once."""

import inspect
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

import asgi_ws_gateway as ws
from asgi_ws_gateway.limits import Limits
from asgi_ws_gateway.protocol.audience import Delivery
from asgi_ws_gateway.protocol.codec import JSONCodec
from asgi_ws_gateway.routing.compile import Defaults, compile_gateway
from asgi_ws_gateway.routing.table import Namespace


class Strategy:
    def plan(self, result: Any, data: Any, peer: Any) -> Delivery | None:
        return None


DECORATORS: dict[str, Callable[..., Any]] = {
    "message": ws.message("e"),
    "fallback": ws.fallback,
    "emit": ws.emit("e"),
    "broadcast": ws.broadcast("e"),
    "broadcast_others": ws.broadcast_others("e"),
    "emit_with": ws.emit_with(Strategy()),
    "on_connection_attempt": ws.on_connection_attempt,
    "on_connect": ws.on_connect,
    "on_disconnect": ws.on_disconnect,
    "on_error": ws.on_error,
}


def compiled(gateway: object) -> Namespace:
    namespace, mistakes = compile_gateway(gateway, Defaults(Limits(), JSONCodec(), "same-origin"))
    assert mistakes == []
    assert namespace is not None
    return namespace


@pytest.mark.parametrize("name", DECORATORS)
def test_a_decorator_returns_the_same_function_which_works_as_before(name: str) -> None:
    def method(self: Any, data: int) -> int:
        return data + 1

    before = inspect.signature(method)
    assert DECORATORS[name](method) is method
    assert inspect.signature(method) == before
    assert method(None, 1) == 2


def test_a_namespace_returns_the_same_class() -> None:
    class Gateway:
        pass

    assert ws.namespace("/chat")(Gateway) is Gateway


def test_calling_a_decorated_method_returns_its_value_and_nothing_more() -> None:
    @ws.namespace("/chat")
    class Gateway:
        @ws.message("send")
        @ws.emit("sent")
        @ws.broadcast("new")
        def on_send(self, data: dict[str, Any]) -> str:
            return str(data["text"])

    assert Gateway().on_send({"text": "hi"}) == "hi"


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_the_order_of_decorators_decides_nothing_but_which_emitter_fires_first(
    order: tuple[int, ...],
) -> None:
    def on_send(self: Any, data: Any) -> Any:
        return data

    decorators = [
        ws.message("send", timeout=7, concurrent=True),
        ws.emit("sent"),
        ws.broadcast("new"),
        ws.broadcast_others("others"),
    ]
    for index in order:  # nearest to the function first
        decorators[index](on_send)
    gateway = ws.namespace("/chat")(type("Gateway", (), {"on_send": on_send}))()
    route = compiled(gateway).routes["send"]
    assert (route.timeout, route.concurrent) == (7, True)
    events = [None, "sent", "new", "others"]
    fired: list[Any] = [emitter.strategy for emitter in route.emitters]
    assert [strategy.event for strategy in fired] == [events[index] for index in order if index]
    assert [emitter.answers for emitter in route.emitters] == [
        index == 1 for index in order if index
    ]


def test_emitters_fire_nearest_to_the_function_first() -> None:
    strategy = Strategy()

    @ws.namespace("/chat")
    class Gateway:
        @ws.broadcast("third")
        @ws.message("send")
        @ws.emit_with(strategy)
        @ws.emit("first")
        async def on_send(self) -> None: ...

    first, second, third = [each.strategy for each in compiled(Gateway()).routes["send"].emitters]
    assert getattr(first, "event", None) == "first"
    assert second is strategy
    assert getattr(third, "event", None) == "third"


def test_one_kind_of_broadcast_may_stand_several_times() -> None:
    @ws.namespace("/chat")
    class Gateway:
        @ws.message("send")
        @ws.broadcast("b", room="2")
        @ws.broadcast("a", room="1")
        async def on_send(self) -> None: ...

    fired: list[Any] = [each.strategy for each in compiled(Gateway()).routes["send"].emitters]
    assert [(each.event, each.room) for each in fired] == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize("static", [staticmethod, classmethod])
def test_decorators_may_stand_on_both_sides_of_a_static_or_class_method(static: Any) -> None:
    def on_send(*args: Any) -> str:
        return "done"

    method = ws.emit("sent")(static(ws.message("send")(ws.broadcast("new")(on_send))))
    gateway = ws.namespace("/chat")(type("Gateway", (), {"on_send": method}))()
    fired: list[Any] = [each.strategy for each in compiled(gateway).routes["send"].emitters]
    assert [each.event for each in fired] == ["new", "sent"]


def test_a_function_that_a_second_class_uses_too_is_not_marked_for_the_first_again() -> None:
    import functools

    @ws.message("one")
    def original(self: Any) -> None: ...

    @ws.message("two")
    @functools.wraps(original)
    def copy(self: Any) -> None: ...

    first = ws.namespace("/1")(type("First", (), {"handle": original}))()
    second = ws.namespace("/2")(type("Second", (), {"handle": copy}))()
    assert compiled(first).routes.keys() == {"one"}
    assert compiled(second).routes.keys() == {"one", "two"}


@pytest.mark.parametrize("name", ["message", "emit", "broadcast", "broadcast_others"])
def test_a_decorator_that_needs_an_event_refuses_to_stand_without_parentheses(name: str) -> None:
    def method(self: Any) -> None: ...

    with pytest.raises(TypeError, match=rf'@{name} needs an event name: write @{name}\("..."\)'):
        getattr(ws, name)(method)


@pytest.mark.parametrize("name", ["message", "emit", "broadcast", "broadcast_others"])
@pytest.mark.parametrize("event", [None, 5, b"send", ["send"]], ids=repr)
def test_an_event_is_text(name: str, event: Any) -> None:
    with pytest.raises(TypeError, match=f"@{name}: an event name is a str, not "):
        getattr(ws, name)(event)


@pytest.mark.parametrize(
    "name", ["fallback", "on_connection_attempt", "on_connect", "on_disconnect", "on_error"]
)
def test_a_decorator_without_arguments_refuses_parentheses(name: str) -> None:
    decorator = getattr(ws, name)
    with pytest.raises(TypeError):
        decorator()
    with pytest.raises(TypeError, match=f"@{name} takes no argument.*without parentheses"):
        decorator("event")


def test_a_namespace_needs_a_path_and_a_class() -> None:
    class Gateway:
        pass

    bare: Any = ws.namespace
    with pytest.raises(TypeError, match=r'@namespace needs a path: write @namespace\("/chat"\)'):
        bare(Gateway)
    with pytest.raises(TypeError, match="@namespace needs a path"):
        bare(None)
    with pytest.raises(TypeError, match="@namespace goes on a class"):
        bare("/chat")(Gateway())


@pytest.mark.parametrize("strategy", [Strategy, object(), len, "plan"], ids=repr)
def test_emit_with_needs_an_object_with_a_plan(strategy: Any) -> None:
    with pytest.raises(TypeError, match=r"@emit_with needs an object with a plan\(\) method"):
        ws.emit_with(strategy)
