"""Registration: what a gateway becomes, and every mistake, named and with what to do."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import FunctionType
from typing import Any

import pytest

from asgi_ws_gateway import (
    ALL,
    DEFAULT,
    BlockingPeer,
    ConfigurationError,
    JSONCodec,
    Limits,
    Peer,
    WebSocketService,
    broadcast,
    broadcast_others,
    emit,
    emit_with,
    fallback,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
    on_error,
)
from asgi_ws_gateway.protocol.audience import Delivery
from asgi_ws_gateway.routing.compile import Defaults, compile_gateway
from asgi_ws_gateway.routing.table import Kind, Namespace


class Strategy:
    def plan(self, result: Any, data: Any, peer: Any) -> Delivery | None:
        return None


class Numbers:
    """A validator of one's own."""

    schema: bool = True

    def validate(self, data: Any) -> Any:
        return int(data)


def registered(gateway: object, **options: Any) -> Namespace:
    defaults = Defaults(Limits(), JSONCodec(), "same-origin")
    served, found = compile_gateway(gateway, replace(defaults, **options))
    assert found == []
    assert served is not None
    return served


def label_at(service: WebSocketService, path: str) -> str | None:
    match = service.find(path)
    return None if match is None else match.target.label


def mistakes(*gateways: object, **options: Any) -> tuple[str, ...]:
    service = WebSocketService(**options)
    with pytest.raises(ConfigurationError) as caught:
        service.register(*gateways)
    assert label_at(service, "/chat") is None  # all of them or none
    return caught.value.mistakes


def gateway(*methods: Callable[..., Any], path: str = "/chat", **options: Any) -> object:
    """An instance of a class `Chat` with these methods."""
    body = {method.__name__: method for method in methods}
    return namespace(path, **options)(type("Chat", (), body))()


def handler(*decorators: Any, name: str = "handle") -> Callable[..., Any]:
    async def method(self: Any, data: Any) -> None: ...

    method.__name__ = name
    for decorator in decorators:
        method = decorator(method)
    return method


def marked(function: Callable[..., Any], *decorators: Any) -> Callable[..., Any]:
    """A copy of a function, so that each use of it has marks of its own."""
    copy = FunctionType(function.__code__, function.__globals__, function.__name__)
    copy.__annotations__ = dict(function.__annotations__)
    for decorator in decorators:
        decorator(copy)
    return copy


# What becomes of a gateway without mistakes.


def test_a_gateway_becomes_what_it_declares() -> None:
    @namespace("chat/")
    class Chat:
        @on_connection_attempt
        async def attempt(self, params: Any, request: Any) -> bool:
            return True

        @on_connect
        async def entered(self, peer: Peer) -> None: ...

        @on_disconnect
        def left(self, peer: BlockingPeer, code: int, reason: str) -> None: ...

        @on_error
        async def failed(self, error: Exception) -> None: ...

        @message("send", timeout=None, cancel_on_disconnect=True)
        @emit("sent")
        async def on_send(self, data: dict[str, Any]) -> None: ...

        @message("ping")
        def on_ping(self) -> None: ...

        @fallback
        async def rest(self, event: str, data: Any) -> tuple[str, Any]:
            return event, data

    chat = Chat()
    served = registered(chat)
    assert served.gateway is chat
    assert (served.label, served.pattern.text) == ("Chat", "/chat")
    assert served.routes.keys() == {"send", "ping"}
    send = served.routes["send"]
    assert (send.label, send.event, send.kind) == ("Chat.on_send", "send", Kind.COROUTINE)
    assert (send.timeout, send.concurrent, send.cancel_on_disconnect) == (None, False, True)
    assert [emitter.answers for emitter in send.emitters] == [True]
    ping = served.routes["ping"]
    assert (ping.kind, ping.timeout, ping.validator) == (Kind.THREAD, DEFAULT, None)
    assert served.fallback is not None
    assert served.fallback.event is None
    hooks = {
        "on_connection_attempt": ("Chat.attempt", Kind.COROUTINE),
        "on_connect": ("Chat.entered", Kind.COROUTINE),
        "on_disconnect": ("Chat.left", Kind.THREAD),
        "on_error": ("Chat.failed", Kind.COROUTINE),
    }
    for kind, (label, run) in hooks.items():
        hook = getattr(served, kind)
        assert (hook.label, hook.kind) == (label, run)


def test_a_gateway_without_handlers_serves_its_namespace() -> None:
    served = registered(gateway())
    assert served.routes == {}
    assert (served.fallback, served.on_connect, served.on_connection_attempt) == (None, None, None)


def test_the_four_ways_to_write_a_handler_are_told_apart() -> None:
    async def coroutine(self: Any) -> None: ...

    def thread(self: Any) -> None: ...

    async def stream(self: Any) -> Any:
        yield 1

    def thread_stream(self: Any) -> Any:
        yield 1

    methods = [coroutine, thread, stream, thread_stream]
    served = registered(gateway(*(message(each.__name__)(each) for each in methods)))
    kinds = {event: route.kind for event, route in served.routes.items()}
    assert kinds == {
        "coroutine": Kind.COROUTINE,
        "thread": Kind.THREAD,
        "stream": Kind.STREAM,
        "thread_stream": Kind.THREAD_STREAM,
    }
    assert {name: (kind.threaded, kind.streams) for name, kind in kinds.items()} == {
        "coroutine": (False, False),
        "thread": (True, False),
        "stream": (False, True),
        "thread_stream": (True, True),
    }


def test_one_method_may_handle_several_events_and_be_several_hooks() -> None:
    def both(self: Any) -> None: ...

    served = registered(
        gateway(handler(message("a"), message("b")), on_connect(on_disconnect(both)))
    )
    assert served.routes["a"].label == served.routes["b"].label == "Chat.handle"
    assert served.on_connect is not None
    assert served.on_disconnect is not None


def test_a_fallback_is_given_the_event_the_data_and_the_peer() -> None:
    from asgi_ws_gateway.protocol.messages import Message

    def rest(self: Any, event: Any, data: Any, peer: Any) -> list[Any]:
        return [event, data, peer]

    served = registered(gateway(fallback(rest)))
    assert served.fallback is not None
    peer = object()
    assert served.fallback.call(Message("unknown", 5), peer) == ["unknown", 5, peer]


def test_a_handler_reaches_the_instance_that_was_registered() -> None:
    @namespace("/chat")
    class Chat:
        def __init__(self, name: str) -> None:
            self.name = name

        @message("name")
        def on_name(self) -> str:
            return self.name

    assert registered(Chat("Ada")).routes["name"].call(None, None) == "Ada"


def test_what_a_namespace_has_not_of_its_own_is_the_services() -> None:
    limits, codec = Limits(rate=3), JSONCodec()
    service = {"limits": limits, "codec": codec, "allowed_origins": ["https://a.example"]}
    served = registered(gateway(), **service)
    assert served.limits is limits
    assert served.codec is codec
    assert served.allowed_origins == ["https://a.example"]
    own_limits, own_codec = Limits(rate=5), JSONCodec()
    served = registered(gateway(limits=own_limits, codec=own_codec, allowed_origins="*"), **service)
    assert served.limits is own_limits
    assert served.codec is own_codec
    assert served.allowed_origins == "*"
    assert registered(gateway(allowed_origins=()), **service).allowed_origins == ()


def test_a_subclass_is_served_at_the_path_it_inherits_or_at_its_own() -> None:
    @namespace("/base")
    class Base:
        @message("ping")
        def on_ping(self) -> str:
            return "base"

    class Inheriting(Base):
        @message("ping")
        def on_ping(self) -> str:
            return "inheriting"

    @namespace("/own")
    class Own(Inheriting):
        @message("more")
        def on_more(self) -> None: ...

    found = {served.pattern.text: served for served in map(registered, (Inheriting(), Own()))}
    assert found["/base"].routes.keys() == {"ping"}
    assert found["/own"].routes.keys() == {"ping", "more"}
    assert found["/own"].routes["ping"].call(None, None) == "inheriting"
    assert found["/own"].routes["ping"].label == "Own.on_ping"
    assert registered(Base()).routes["ping"].call(None, None) == "base"


def test_schemas_are_compiled_and_validators_taken_as_they_are() -> None:
    numbers = Numbers()
    served = registered(
        gateway(
            handler(message("own", schema=numbers), name="own"),
            handler(message("yes", schema=True), emit("e", schema={"type": "null"}), name="yes"),
            handler(message("no"), emit("e"), name="no"),
        )
    )
    assert served.routes["own"].validator is numbers
    yes = served.routes["yes"]
    assert yes.validator is not None
    assert yes.validator.schema is True
    [emitter] = yes.emitters
    assert emitter.validator is not None
    assert emitter.validator.schema == {"type": "null"}
    assert served.routes["no"].validator is None
    assert served.routes["no"].emitters[0].validator is None


@pytest.mark.parametrize(
    "annotation", [Any, object, dict, dict[str, Any], "dict[str, Any]", "Any"], ids=str
)
def test_these_annotations_of_data_mean_unvalidated(annotation: Any) -> None:
    method = handler(message("send"))
    method.__annotations__["data"] = annotation
    assert registered(gateway(method)).routes["send"].validator is None


@pytest.mark.parametrize("timeout", [None, 1, 0.5, float("inf")])
def test_a_timeout_is_seconds_or_none(timeout: Any) -> None:
    method = handler(message("send", timeout=timeout))
    assert registered(gateway(method)).routes["send"].timeout == timeout


@pytest.mark.parametrize(
    "event", ["x", "x" * 128, "é" * 128, "__proto__", "a b\n", "Ack", "connect"]
)
def test_any_text_of_up_to_128_characters_is_an_event(event: str) -> None:
    assert event in registered(gateway(handler(message(event), emit(event)))).routes


def test_a_limit_of_the_whole_service_may_be_repeated_in_a_namespace() -> None:
    limits = Limits(threads=80, max_connections=5)
    own = replace(limits, rate=3)
    assert registered(gateway(limits=own), limits=limits).limits is own


@pytest.mark.parametrize("room", ["lobby", ALL, None, lambda data, peer: None], ids=repr)
@pytest.mark.parametrize("emitter", [broadcast, broadcast_others])
def test_a_room_is_a_text_everyone_nobody_or_a_callable(emitter: Any, room: Any) -> None:
    served = registered(gateway(handler(message("send"), emitter("new", room=room))))
    strategy: Any = served.routes["send"].emitters[0].strategy
    assert strategy.room is room


# Mistakes. Each is found alone, names its place, and says what to do.


def thread_with_peer(self: Any, peer: Peer) -> None: ...


async def async_with_blocking_peer(self: Any, peer: BlockingPeer) -> None: ...


async def too_many(self: Any, data: Any, peer: Any, more: Any) -> None: ...


async def peer_first(self: Any, peer) -> None: ...  # type: ignore[no-untyped-def]


async def request_second(self: Any, data: Any, request) -> None: ...  # type: ignore[no-untyped-def]


async def unresolved(self: Any, data: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


async def not_understood(self: Any, data: complex) -> None: ...


async def attempt_with_peer(self: Any, peer: Peer) -> bool:
    return True


async def streaming_hook(self: Any, peer: Peer) -> Any:
    yield 1


async def async_room(data: Any, peer: Any) -> str:
    return "lobby"


def second(decorator: Any) -> Iterable[Callable[..., Any]]:
    def one(self: Any) -> None: ...

    def two(self: Any) -> None: ...

    return decorator(one), decorator(two)


SEND = message("send")

MISTAKES: dict[str, tuple[object, str, str]] = {
    "empty path": (gateway(path=""), "Chat:", 'the path is empty; the root is "/"'),
    "bad pattern": (gateway(path="/x{id}"), "Chat:", "a parameter is a whole segment"),
    "class": (type(gateway()), "Chat:", "register an instance, Chat(...), not the class"),
    "no namespace": (type("Bare", (), {})(), "Bare:", '@namespace: write @namespace("/path")'),
    "two attempt hooks": (
        gateway(*second(on_connection_attempt)),
        "Chat.two:",
        "a second @on_connection_attempt beside Chat.one: keep one",
    ),
    "two connect hooks": (
        gateway(*second(on_connect)),
        "Chat.two:",
        "a second @on_connect beside Chat.one: keep one",
    ),
    "two disconnect hooks": (
        gateway(*second(on_disconnect)),
        "Chat.two:",
        "a second @on_disconnect beside Chat.one: keep one",
    ),
    "two error hooks": (
        gateway(*second(on_error)),
        "Chat.two:",
        "a second @on_error beside Chat.one: keep one",
    ),
    "two fallbacks": (
        gateway(*second(fallback)),
        "Chat.two:",
        "a second @fallback beside Chat.one: keep one",
    ),
    "duplicate event": (
        gateway(handler(SEND, name="one"), handler(SEND, name="two")),
        "Chat.two:",
        "'send' is handled by Chat.one already: keep one",
    ),
    "emitter alone": (
        gateway(handler(emit("sent"))),
        "Chat.handle:",
        "an emitter without @message or @fallback never fires: add one",
    ),
    "strategy alone": (
        gateway(handler(emit_with(Strategy()))),
        "Chat.handle:",
        "an emitter without @message or @fallback never fires: add one",
    ),
    "hook with emitter": (
        gateway(on_connect(handler(emit("sent"), name="entered"))),
        "Chat.entered:",
        "a hook is no handler: move @message and emitters elsewhere",
    ),
    "hook with message": (
        gateway(on_connect(handler(SEND, name="entered"))),
        "Chat.entered:",
        "a hook is no handler: move @message and emitters elsewhere",
    ),
    "streaming hook": (
        gateway(marked(streaming_hook, on_connect)),
        "Chat.streaming_hook:",
        "a hook cannot be a generator: let it send, and return",
    ),
    "two emits": (
        gateway(handler(SEND, emit("a"), emit("b"))),
        "Chat.handle:",
        "two @emit: a message has one answer, so keep one",
    ),
    "too many parameters": (
        gateway(marked(too_many, SEND)),
        "Chat.too_many:",
        "'more': it can take (data, peer) or a leading part",
    ),
    "unannotated peer": (
        gateway(marked(peer_first, SEND)),
        "Chat.peer_first:",
        "annotate it (Peer)",
    ),
    "unannotated request": (
        gateway(marked(request_second, SEND)),
        "Chat.request_second:",
        "annotate it (ConnectionRequest)",
    ),
    "peer in a thread": (
        gateway(marked(thread_with_peer, SEND)),
        "Chat.thread_with_peer:",
        "annotate its peer BlockingPeer, or make it an async def",
    ),
    "peer in a threaded hook": (
        gateway(marked(thread_with_peer, on_connect)),
        "Chat.thread_with_peer:",
        "annotate its peer BlockingPeer, or make it an async def",
    ),
    "blocking peer on the loop": (
        gateway(marked(async_with_blocking_peer, SEND)),
        "Chat.async_with_blocking_peer:",
        "annotate its peer Peer",
    ),
    "peer before there is one": (
        gateway(marked(attempt_with_peer, on_connection_attempt)),
        "Chat.attempt_with_peer:",
        "'peer': it can take (params, request)",
    ),
    "unresolved annotation": (
        gateway(marked(unresolved, SEND)),
        "Chat.unresolved:",
        "cannot be resolved (NameError): import what it names at run time",
    ),
    "annotation not understood": (
        gateway(marked(not_understood, SEND)),
        "Chat.not_understood:",
        "give @message(schema=...), or annotate it dict[str, Any] or Any",
    ),
    "invalid schema": (
        gateway(handler(message("send", schema={"type": "nonsense"}))),
        "Chat.handle:",
        "schema: the schema is invalid at /type",
    ),
    "remote reference": (
        gateway(handler(message("send", schema={"$ref": "https://example.com/s.json"}))),
        "Chat.handle:",
        "put what it refers to into $defs",
    ),
    "invalid schema of an emitter": (
        gateway(handler(SEND, emit("sent", schema={"minimum": "1"}))),
        "Chat.handle:",
        "an emitter's schema: the schema is invalid at /minimum",
    ),
    "schema of no kind": (
        gateway(handler(message("send", schema="object"))),
        "Chat.handle:",
        "schema: 'object' is neither a JSON Schema (dict or bool) nor a Validator",
    ),
    "validator class": (
        gateway(handler(message("send", schema=Numbers))),
        "Chat.handle:",
        "is neither a JSON Schema (dict or bool) nor a Validator",
    ),
    "reserved emitter": (
        gateway(handler(SEND, broadcast("ack"))),
        "Chat.handle:",
        "'ack' is a reserved event (emitter): choose another name",
    ),
    "empty event": (
        gateway(handler(message(""))),
        "Chat.handle:",
        "an event's name has 1 to 128 characters: ''",
    ),
    "long event": (
        gateway(handler(message("x" * 129))),
        "Chat.handle:",
        "an event's name has 1 to 128 characters: 'xxx",
    ),
    "empty emitted event": (
        gateway(handler(SEND, emit(""))),
        "Chat.handle:",
        "an event's name has 1 to 128 characters: ''",
    ),
    "empty room": (
        gateway(handler(SEND, broadcast("new", room=""))),
        "Chat.handle:",
        "room= is empty: name one, or leave it out for everyone",
    ),
    "room of no kind": (
        gateway(handler(SEND, broadcast("new", room=5))),  # type: ignore[arg-type]
        "Chat.handle:",
        "room= is a str or a callable (data, peer), not 5",
    ),
    "awaited room": (
        gateway(handler(SEND, broadcast("new", room=async_room))),  # type: ignore[arg-type]
        "Chat.handle:",
        "room= is called, not awaited: make it a plain function",
    ),
    "key of no kind": (
        gateway(handler(SEND, broadcast_others("new", latest=["k"]))),  # type: ignore[arg-type]
        "Chat.handle:",
        "latest= is a str or a callable (data, peer), not ['k']",
    ),
    "awaited key": (
        gateway(handler(SEND, broadcast("new", latest=async_room))),  # type: ignore[arg-type]
        "Chat.handle:",
        "latest= is called, not awaited: make it a plain function",
    ),
    "codec": (gateway(codec="json"), "Chat:", "@namespace(codec=...): 'json' is not a Codec"),
    "codec class": (gateway(codec=JSONCodec), "Chat:", "is not a Codec: give it an instance"),
    "limits": (gateway(limits={"rate": 1}), "Chat:", "is not a Limits: write Limits(...)"),
    "limit of the service": (
        gateway(limits=Limits(threads=5)),
        "Chat:",
        "@namespace(limits=...): threads is for the whole service: set it there",
    ),
    "origins": (
        gateway(allowed_origins=5),
        "Chat:",
        'neither a list of origins such as "https://example.com" nor "same-origin" nor "*"',
    ),
    "origin in a list": (
        gateway(allowed_origins=["https://a.example", None]),
        "Chat:",
        "@namespace(allowed_origins=...): ['https://a.example', None] is neither",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_what_to_do(name: str) -> None:
    wrong, place, advice = MISTAKES[name]
    [mistake] = mistakes(wrong)
    assert mistake.startswith(place)
    assert advice in mistake


@pytest.mark.parametrize("event", ["ack", "error", "heartbeat"])
def test_a_reserved_event_cannot_be_handled_or_sent(event: str) -> None:
    for method in (handler(message(event)), handler(SEND, emit(event))):
        [mistake] = mistakes(gateway(method))
        assert mistake.startswith(f"Chat.handle: {event!r} is a reserved event")


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan"), [5]], ids=repr)
def test_a_timeout_that_is_no_time_is_a_mistake(timeout: Any) -> None:
    [mistake] = mistakes(gateway(handler(message("send", timeout=timeout))))
    assert mistake.startswith("Chat.handle: timeout must be seconds above zero or None")


@pytest.mark.parametrize("spelling", ["/chat", "chat", "/chat/", "chat/"])
def test_two_gateways_at_one_path_are_a_mistake_however_it_is_spelt(spelling: str) -> None:
    first = namespace("/chat")(type("First", (), {}))()
    rival = namespace(spelling)(type("Rival", (), {}))()
    expected = "Rival: '/chat' is served by First already (as '/chat'): choose another path"
    assert mistakes(first, rival) == (expected,)
    service = WebSocketService()
    service.register(first)
    with pytest.raises(ConfigurationError, match="is served by First already"):
        service.register(rival)
    assert label_at(service, "/chat") == "First"


def test_two_patterns_of_one_shape_are_a_mistake() -> None:
    first = namespace("/rooms/{id}")(type("First", (), {}))()
    rival = namespace("/rooms/{name}/")(type("Rival", (), {}))()
    assert mistakes(first, rival) == (
        "Rival: '/rooms/{name}' is served by First already (as '/rooms/{id}'): choose another path",
    )


def test_an_exact_path_beside_a_pattern_and_letter_case_are_no_mistake() -> None:
    service = WebSocketService()
    paths = {"A": "/rooms/{id}", "B": "/rooms/lobby", "C": "/Rooms/lobby"}
    service.register(*(namespace(path)(type(name, (), {}))() for name, path in paths.items()))
    assert label_at(service, "/rooms/7") == "A"
    assert label_at(service, "/rooms/lobby") == "B"
    assert label_at(service, "/Rooms/lobby") == "C"


def test_an_override_that_lost_its_decorator_is_a_mistake() -> None:
    @namespace("/chat")
    class Base:
        @on_connection_attempt
        async def authenticate(self, params: Any) -> bool:
            return False

        @message("send")
        async def on_send(self) -> None: ...

    class Chat(Base):
        async def authenticate(self, params: Any) -> bool:
            return True

        async def on_send(self) -> None: ...

    assert mistakes(Chat()) == (
        "Chat.authenticate: it overrides Base.authenticate but lost its decorator: "
        "decorate it again",
        "Chat.on_send: it overrides Base.on_send but lost its decorator: decorate it again",
    )


def test_a_second_hook_beside_an_inherited_one_is_a_mistake() -> None:
    @namespace("/chat")
    class Base:
        @on_connection_attempt
        async def authenticate(self, params: Any) -> bool:
            return False

    class Chat(Base):
        @on_connection_attempt
        async def welcome(self, params: Any) -> bool:
            return True

    [mistake] = mistakes(Chat())
    assert mistake.startswith("Chat.welcome: a second @on_connection_attempt beside Chat.authentic")


def test_all_mistakes_of_all_gateways_are_told_together() -> None:
    several = gateway(
        handler(emit("sent"), name="a"),
        handler(message("ack"), emit("x"), emit("y"), name="b"),
        marked(too_many, SEND),
        limits=Limits(threads=1, max_attempts=1),
    )
    rival = namespace("/other")(type("Other", (), {"c": handler(broadcast("x"), name="c")}))()
    found = mistakes(several, rival, type("Bare", (), {})())
    assert [mistake.partition(":")[0] for mistake in found] == [
        "Chat.a",
        "Chat.b",
        "Chat.b",
        "Chat.too_many",
        "Chat",
        "Chat",
        "Other.c",
        "Bare",
    ]


def test_a_method_with_two_events_tells_each_mistake_once() -> None:
    two = marked(too_many, message("a"), message("b"))
    assert len(mistakes(gateway(two))) == 1


def test_mistakes_beside_a_missing_namespace_are_told_too() -> None:
    bare = type("Bare", (), {"handle": handler(emit("sent"))})()
    assert [mistake.partition(":")[0] for mistake in mistakes(bare)] == ["Bare.handle", "Bare"]
