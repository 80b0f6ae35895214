"""What a class declares, with all its base classes: nothing leaks, nothing is lost in silence."""

from typing import Any

from asgi_ws_gateway import emit, fallback, message, namespace, on_connect
from asgi_ws_gateway.routing.declarations import (
    Declaration,
    declarations,
    lost_decorators,
    namespace_of,
)


def events(cls: type) -> dict[str, list[str | None]]:
    return {each.name: [handler.event for handler in each.handlers] for each in declarations(cls)}


@namespace("/base")
class Base:
    @message("ping")
    def on_ping(self) -> str:
        return "base"

    @on_connect
    def entered(self, peer: Any) -> None: ...


class Left(Base):
    @message("left")
    def on_left(self) -> None: ...


@namespace("/right")
class Right(Base):
    @message("right")
    def on_right(self) -> None: ...


class Grandchild(Left):
    @message("more")
    def on_more(self) -> None: ...


def test_a_subclass_has_the_handlers_of_its_bases_first() -> None:
    assert list(events(Grandchild)) == ["on_ping", "entered", "on_left", "on_more"]


def test_handlers_leak_neither_to_siblings_nor_to_bases() -> None:
    assert list(events(Base)) == ["on_ping", "entered"]
    assert list(events(Left)) == ["on_ping", "entered", "on_left"]
    assert list(events(Right)) == ["on_ping", "entered", "on_right"]


def test_a_namespace_is_inherited_by_those_that_set_none() -> None:
    paths = [mark.path for cls in (Base, Left, Right, Grandchild) if (mark := namespace_of(cls))]
    assert paths == ["/base", "/base", "/right", "/base"]
    assert namespace_of(object) is None


def test_a_label_names_the_class_that_is_registered() -> None:
    labels = [each.label for each in declarations(Left)]
    assert labels == ["Left.on_ping", "Left.entered", "Left.on_left"]


def test_an_override_with_a_decorator_takes_the_place_of_what_it_overrides() -> None:
    class Child(Base):
        @message("pong")
        def on_ping(self) -> str:
            return "child"

    assert events(Child)["on_ping"] == ["pong"]
    [declaration] = [each for each in declarations(Child) if each.name == "on_ping"]
    assert declaration.function is vars(Child)["on_ping"]
    assert list(lost_decorators(Child)) == []
    assert events(Base)["on_ping"] == ["ping"]


def test_an_override_without_a_decorator_has_lost_it() -> None:
    class Child(Base):
        def on_ping(self) -> str:
            return "child"

    class Grandchild(Child):
        @message("more")
        def on_more(self) -> None: ...

    assert list(lost_decorators(Child)) == [("on_ping", Base)]
    assert "on_ping" not in events(Child)
    assert list(lost_decorators(Grandchild)) == [("on_ping", Base)]


def test_a_decorator_that_was_lost_and_found_again_is_no_mistake() -> None:
    class Child(Base):
        def on_ping(self) -> str:
            return "child"

    class Grandchild(Child):
        @message("ping")
        def on_ping(self) -> str:
            return "grandchild"

    assert list(lost_decorators(Grandchild)) == []
    assert events(Grandchild)["on_ping"] == ["ping"]


def test_a_decorator_hidden_by_a_second_base_class_is_lost_too() -> None:
    class Mixin:
        def entered(self) -> None: ...

    class Child(Mixin, Base):
        pass

    assert list(lost_decorators(Child)) == [("entered", Base)]


def test_a_mixin_without_a_namespace_lends_its_handlers() -> None:
    class Heartbeat:
        @message("beat")
        def on_beat(self) -> None: ...

    class Chat(Heartbeat, Base):
        pass

    assert list(events(Chat)) == ["on_ping", "entered", "on_beat"]
    mark = namespace_of(Chat)
    assert mark is not None
    assert mark.path == "/base"


def test_marks_of_one_method_are_told_apart() -> None:
    class Gateway:
        @emit("sent")
        @message("one")
        @message("two")
        @fallback
        @on_connect
        def both(self) -> None: ...

    [declaration] = declarations(Gateway)
    assert isinstance(declaration, Declaration)
    assert [each.event for each in declaration.handlers] == [None, "two", "one"]
    assert [each.kind for each in declaration.hooks] == ["on_connect"]
    assert len(declaration.emitters) == 1


def test_attributes_that_are_no_methods_are_passed_over() -> None:
    class Anything:
        def __getattr__(self, name: str) -> Any:
            return name

    class Gateway(Base):
        helper = Anything()
        number = 5
        nested = type("Nested", (), {"f": message("nested")(lambda self: None)})

        @property
        def value(self) -> int:
            raise AssertionError("read")

    assert list(events(Gateway)) == ["on_ping", "entered"]
    assert list(lost_decorators(Gateway)) == []
