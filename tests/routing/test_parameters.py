"""Which parameter gets what: by annotation wherever it stands, else by position."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from asgi_ws_gateway import BlockingPeer, ConnectionRequest, Peer
from asgi_ws_gateway.routing.parameters import Binding, bind

if TYPE_CHECKING:
    from decimal import Decimal  # known to the type checker only

HANDLER = ("data", "peer")
FALLBACK = ("event", "data", "peer")
ATTEMPT = ("params", "request")
ERROR = ("error", "peer", "event")


class User(dict[str, Any]):
    pass


class ChatPeer(Peer[User]):
    pass


class FakePeer:
    request = "request of peer"


PEER = FakePeer()


def made(function: Callable[..., Any], slots: tuple[str, ...] = HANDLER) -> Binding:
    cls = type("Gateway", (), {"method": function})
    return bind(cls().method, function, cls, slots)


def call(function: Callable[..., Any], slots: tuple[str, ...] = HANDLER) -> Any:
    """What the function returns when it is called with every slot's own name, or a peer."""
    binding = made(function, slots)
    assert binding.mistakes == ()
    return binding.call(*(PEER if slot == "peer" else slot for slot in slots))


def mistakes(function: Callable[..., Any], slots: tuple[str, ...] = HANDLER) -> str:
    binding = made(function, slots)
    assert binding.mistakes
    return "\n".join(binding.mistakes)


class Plain:
    """Plain functions: their peer is a `BlockingPeer`."""

    def nothing(self):
        return []

    def data(self, data):
        return [data]

    def other_name(self, payload):
        return [payload]

    def both(self, data, peer):
        return [data, peer]

    def other_names(self, x, y):
        return [x, y]

    def annotated(self, data: dict[str, Any], peer: BlockingPeer):
        return [data, peer]

    def any_annotated(self, data: Any, peer: Any):
        return [data, peer]

    def model(self, data: User):
        return [data]

    def only_peer(self, peer: BlockingPeer):
        return [peer]

    def peer_first(self, peer: BlockingPeer[User], data):
        return [peer, data]

    def odd_name(self, sender: BlockingPeer, data):
        return [sender, data]

    def request_only(self, request: ConnectionRequest):
        return [request]

    def request_first(self, r: ConnectionRequest, data, peer):
        return [r, data, peer]

    def request_between(self, data, r: ConnectionRequest, peer):
        return [data, r, peer]

    def all_three(self, peer: BlockingPeer, r: ConnectionRequest, data: User):
        return [peer, r, data]

    def peer_twice(self, a: BlockingPeer, b: BlockingPeer):
        return [a, b]

    def positional_only(self, data, peer, /):
        return [data, peer]

    def keyword_only(self, *, peer, data):
        return [peer, data]

    def keyword_peer(self, data, *, peer: BlockingPeer):
        return [data, peer]

    def keyword_other_name(self, *, payload: User):
        return [payload]

    def keyword_request(self, *, r: ConnectionRequest):
        return [r]

    def default_data(self, data=None):
        return [data]

    def default_peer(self, data, peer=None):
        return [data, peer]

    def default_third(self, data, peer, extra=3):
        return [data, peer, extra]

    def default_typed(self, data: Any, limit: int = 3):
        return [data, limit]

    def default_before_peer(self, data, limit: int = 3, peer: BlockingPeer = None):
        return [data, limit, peer]

    def default_keyword(self, data, *, flag=False):
        return [data, flag]

    def keywords(self, data, **rest):
        return [data, rest]

    def arguments(self, *rest):
        return list(rest)

    def data_and_arguments(self, data, *rest):
        return [data, *rest]

    def peer_and_arguments(self, peer: BlockingPeer, *rest):
        return [peer, *rest]


R = "request of peer"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("nothing", []),
        ("data", ["data"]),
        ("other_name", ["data"]),
        ("both", ["data", PEER]),
        ("other_names", ["data", PEER]),
        ("annotated", ["data", PEER]),
        ("any_annotated", ["data", PEER]),
        ("model", ["data"]),
        ("only_peer", [PEER]),
        ("peer_first", [PEER, "data"]),
        ("odd_name", [PEER, "data"]),
        ("request_only", [R]),
        ("request_first", [R, "data", PEER]),
        ("request_between", ["data", R, PEER]),
        ("all_three", [PEER, R, "data"]),
        ("peer_twice", [PEER, PEER]),
        ("positional_only", ["data", PEER]),
        ("keyword_only", [PEER, "data"]),
        ("keyword_peer", ["data", PEER]),
        ("keyword_other_name", ["data"]),
        ("keyword_request", [R]),
        ("default_data", ["data"]),
        ("default_peer", ["data", PEER]),
        ("default_third", ["data", PEER, 3]),
        ("default_typed", ["data", 3]),
        ("default_before_peer", ["data", 3, PEER]),
        ("default_keyword", ["data", False]),
        ("keywords", ["data", {}]),
        ("arguments", ["data", PEER]),
        ("data_and_arguments", ["data", PEER]),
        ("peer_and_arguments", [PEER, "data"]),
    ],
)
def test_a_handler_is_given_what_it_asks_for(name: str, given: list[Any]) -> None:
    assert call(vars(Plain)[name]) == given


def test_every_shape_above_is_tried() -> None:
    [mark] = test_a_handler_is_given_what_it_asks_for.pytestmark
    assert {name for name, _ in mark.args[1]} == {
        name for name, each in vars(Plain).items() if callable(each)
    }


def test_a_method_that_takes_the_whole_tuple_is_called_with_nothing_in_between() -> None:
    def both(self, data, peer): ...

    cls = type("Gateway", (), {"method": both})
    method = cls().method
    assert bind(method, both, cls, HANDLER).call is method


def test_coroutines_and_async_generators_take_a_peer() -> None:
    async def coroutine(self, peer: Peer): ...

    async def typed(self, sender: Peer[User], data: Any): ...

    async def own(self, sender: ChatPeer): ...

    async def stream(self, peer: Peer):
        yield 1

    for function in (coroutine, typed, own, stream):
        assert made(function).mistakes == ()


def test_each_kind_of_hook_has_a_tuple_of_its_own() -> None:
    def attempt(self, params, request):
        return [params, request]

    def attempt_request(self, r: ConnectionRequest):
        return [r]

    def attempt_swapped(self, r: ConnectionRequest, params):
        return [r, params]

    def unknown(self, event, data, peer):
        return [event, data, peer]

    def unknown_request(self, event, r: ConnectionRequest):
        return [event, r]

    def failed(self, error, peer, event):
        return [error, peer, event]

    def failed_event(self, error, p: BlockingPeer, event):
        return [error, p, event]

    assert call(attempt, ATTEMPT) == ["params", "request"]
    assert call(attempt_request, ATTEMPT) == ["request"]
    assert call(attempt_swapped, ATTEMPT) == ["request", "params"]
    assert call(unknown, FALLBACK) == ["event", "data", PEER]
    assert call(unknown_request, FALLBACK) == ["event", R]
    assert call(failed, ERROR) == ["error", PEER, "event"]
    assert call(failed_event, ERROR) == ["error", PEER, "event"]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [("User", User), ("dict[str, Any]", dict[str, Any]), ("Any", Any), ("'User'", User)],
)
def test_the_annotation_of_data_is_known_when_written_as_text(
    annotation: str, expected: Any
) -> None:
    def handle(self, data): ...

    handle.__annotations__["data"] = annotation
    assert made(handle).data_annotation == expected


def test_without_data_or_annotation_anything_is_taken() -> None:
    def bare(self, data): ...

    def nothing(self): ...

    assert made(bare).data_annotation is Any
    assert made(nothing).data_annotation is Any


def test_an_annotation_may_name_the_gateway_or_what_it_defines() -> None:
    def handle(self, data: Gateway.Model, other: Model = None): ...  # noqa: F821

    class Model:
        pass

    cls = type("Gateway", (), {"method": handle, "Model": Model})
    binding = bind(cls().method, handle, cls, ("data",))
    assert binding.mistakes == ()
    assert binding.data_annotation is Model


def test_annotations_of_a_wrapped_function_are_resolved_where_it_was_written() -> None:
    import functools
    import types

    def handle(self, data: User):
        return [data]

    def wrapper(self, *args):
        return handle(self, *args)

    elsewhere = types.FunctionType(wrapper.__code__, {}, "wrapper", None, wrapper.__closure__)
    assert call(functools.wraps(handle)(elsewhere)) == ["data"]


class Wrong:
    def too_many(self, data, peer, extra): ...
    def too_many_keywords(self, data, peer, *, extra): ...
    def typed_beyond_data(self, data, other: User): ...
    def peer_as_data(self, peer): ...
    def request_as_data(self, request): ...
    def request_as_peer(self, data, request): ...
    def swapped(self, peer, data): ...
    def wrong_annotation(self, peer: dict[str, Any]): ...
    def wrong_keyword(self, *, peer: dict[str, Any]): ...
    def async_peer(self, data, peer: Peer): ...
    def async_peer_typed(self, data, peer: Peer[User]): ...
    def behind_default(self, data, limit: int = 3, peer: BlockingPeer = None, /): ...
    def unknown_name(self, data: Nowhere): ...  # noqa: F821
    def type_checking_only(self, data: Decimal): ...
    def broken_text(self, data: "1 +"): ...  # noqa: F722
    def failing(self, data: [][0]): ...  # noqa: PLE0643


BEYOND = "it can take (data, peer) or a leading part of that"
UNRESOLVED = "cannot be resolved"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("too_many", ["'extra'", BEYOND]),
        ("too_many_keywords", ["'extra'", BEYOND]),
        ("typed_beyond_data", ["'other'", BEYOND]),
        ("peer_as_data", ["'peer' would be passed 'data': annotate it (Peer)"]),
        ("request_as_data", ["'request' would be passed 'data': annotate it (ConnectionRequest)"]),
        ("request_as_peer", ["'request' would be passed 'peer': annotate it (ConnectionRequest)"]),
        ("swapped", ["'peer' would be passed 'data': annotate it (Peer)"]),
        ("wrong_annotation", ["'peer' would be passed 'data': annotate it (Peer)"]),
        ("wrong_keyword", ["'peer' would be passed 'data': annotate it (Peer)"]),
        ("async_peer", ["runs in a thread: annotate its peer BlockingPeer"]),
        ("async_peer_typed", ["runs in a thread: annotate its peer BlockingPeer"]),
        ("behind_default", ["'peer' stands behind one that keeps its default"]),
        ("unknown_name", ["'Nowhere' of 'data'", UNRESOLVED, "(NameError): import"]),
        ("type_checking_only", ["'Decimal' of 'data'", UNRESOLVED, "import what it names"]),
        ("broken_text", [UNRESOLVED, "(SyntaxError)"]),
        ("failing", [UNRESOLVED, "(IndexError)"]),
    ],
)
def test_a_method_that_cannot_be_called_as_it_is_written_is_a_mistake(
    name: str, parts: list[str]
) -> None:
    found = mistakes(vars(Wrong)[name])
    for part in parts:
        assert part in found


def test_an_async_function_does_not_take_a_blocking_peer() -> None:
    async def coroutine(self, peer: BlockingPeer): ...

    async def stream(self, peer: BlockingPeer[User]):
        yield 1

    for function in (coroutine, stream):
        assert "runs on the event loop: annotate its peer Peer" in mistakes(function)


def test_a_hook_that_has_no_peer_yet_cannot_take_one() -> None:
    async def attempt(self, peer: Peer): ...

    async def second(self, params, peer): ...

    assert "nothing to pass for its parameter 'peer'" in mistakes(attempt, ATTEMPT)
    assert "'peer' would be passed 'request'" in mistakes(second, ATTEMPT)


def test_a_signature_that_cannot_be_read_is_a_mistake() -> None:
    class Odd:
        __signature__ = "none"

        def __call__(self, data): ...

    binding = bind(Odd(), Odd.__call__, Odd, HANDLER)
    [mistake] = binding.mistakes
    assert "signature cannot be read" in mistake


@pytest.mark.parametrize("annotation", [5, None, Peer | None, [Peer], list[int]], ids=count())
def test_an_annotation_that_is_no_class_of_ours_is_one_of_the_data(annotation: Any) -> None:
    def handle(self, data): ...

    handle.__annotations__["data"] = annotation
    assert made(handle).data_annotation == annotation
    assert made(handle).mistakes == ()


def test_annotations_that_are_not_text_are_taken_as_they_are() -> None:
    namespace: dict[str, Any] = {"Peer": Peer, "User": User}
    source = "async def handle(self, data: User, peer: Peer[User]): ..."
    # This module's own annotations are all text.
    exec(compile(source, __file__, "exec", dont_inherit=True), namespace)
    assert namespace["handle"].__annotations__["data"] is User
    assert made(namespace["handle"]).mistakes == ()
    assert made(namespace["handle"]).data_annotation is User
