"""The application that every server runs: gateways for every scenario, in front of a Starlette app.

A client names itself with `?key=...`. What happens to it is noted in a journal under that key,
which `/control` reads, and which is printed too, for when the process is gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_ws_gateway import (
    SKIP,
    Accept,
    AskRejected,
    BlockingPeer,
    ConnectionRejected,
    ConnectionRequest,
    GatewayMiddleware,
    Limits,
    MessageRejected,
    Peer,
    PeerClosed,
    WebSocketService,
    broadcast,
    broadcast_others,
    emit,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)

SECRET = "hunter2"
"""Stands in every exception that the application raises, and must reach no client."""


class Journal:
    """What has happened, under the keys that clients chose."""

    def __init__(self) -> None:
        self._entries: dict[str, list[tuple[str, list[Any]]]] = {}
        self._changed: anyio.Event | None = None

    def add(self, key: str, kind: str, *details: Any) -> None:
        print(json.dumps({"key": key, "kind": kind, "details": details}), flush=True)
        self._entries.setdefault(key, []).append((kind, list(details)))
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def entries(self, key: str, kind: str) -> list[list[Any]]:
        return [details for known, details in self._entries.get(key, ()) if known == kind]

    async def wait(self, key: str, kind: str, count: int) -> list[list[Any]]:
        while len(entries := self.entries(key, kind)) < count:
            await self._change()
        return entries

    async def balance(self) -> None:
        """Waits until everyone who has entered has left."""
        while self.unbalanced():
            await self._change()

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def unbalanced(self) -> dict[str, list[str]]:
        """Who has not entered and left exactly once."""
        kinds = {
            key: [kind for kind, _ in entries if kind in ("entered", "left")]
            for key, entries in self._entries.items()
        }
        return {key: seen for key, seen in kinds.items() if seen not in ([], ["entered", "left"])}


journal = Journal()
gates: dict[str, anyio.Event] = {}


def key_of(peer: Peer | BlockingPeer) -> str:
    return peer.params.get("key", "nobody")


def gate(key: str) -> anyio.Event:
    """What holds a handler until somebody releases it."""
    return gates.setdefault(key, anyio.Event())


class Recorded:
    """Notes who comes and who goes."""

    @on_connect
    async def entered(self, peer: Peer) -> None:
        if "key" in peer.params:
            journal.add(peer.params["key"], "entered")

    @on_disconnect
    async def left(self, peer: Peer, code: int, reason: str) -> None:
        if "key" in peer.params:
            journal.add(peer.params["key"], "left", code, reason, peer.connected)


@namespace("/control")
class Control:
    def __init__(self, service: WebSocketService) -> None:
        self.service = service

    @message("wait", timeout=8, concurrent=True)
    async def on_wait(self, data: dict[str, Any]) -> list[list[Any]]:
        return await journal.wait(data["key"], data["kind"], data["count"])

    @message("release")
    async def on_release(self, data: Any) -> None:
        gate(data).set()

    @message("broadcast")
    async def on_broadcast(self, data: dict[str, Any]) -> list[int]:
        body = "x" * data.get("size", 0)
        report = await self.service.broadcast(data["namespace"], data["event"], body)
        return [report.queued, report.dropped]

    @message("emit_to_user")
    async def on_emit_to_user(self, data: dict[str, Any]) -> int:
        report = await self.service.emit_to_user(data["user"], data["event"], data["data"])
        return report.queued

    @message("disconnect_user")
    async def on_disconnect_user(self, data: Any) -> None:
        await self.service.disconnect_user(data, 4003, "banned")

    @message("peers")
    async def on_peers(self, data: Any) -> list[str]:
        return sorted(key_of(peer) for peer in self.service.peers(data))

    @message("unbalanced", timeout=8)
    async def on_unbalanced(self) -> dict[str, list[str]]:
        # Clients that have just gone may still be on their way out.
        with anyio.move_on_after(6):
            await journal.balance()
        return journal.unbalanced()


TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 20}},
    "additionalProperties": False,
}


@namespace("/main", limits=Limits(max_rooms=2, max_message_bytes=1_000_000, linger=2))
class Main(Recorded):
    def __init__(self, service: WebSocketService) -> None:
        self.service = service

    @message("echo")
    async def on_echo(self, data: Any) -> Any:
        return data

    @message("nap")
    async def on_nap(self, data: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return data

    @message("say")
    @emit("said")
    async def on_say(self, data: Any) -> Any:
        return data

    @message("shout")
    @emit("said")
    @broadcast_others("heard", room=lambda data, peer: data["room"])
    async def on_shout(self, data: Any) -> Any:
        return data

    @message("all")
    @broadcast("heard", room=lambda data, peer: data["room"])
    async def on_all(self, data: Any) -> Any:
        return data

    @message("skip")
    @emit("said")
    async def on_skip(self) -> Any:
        return SKIP

    @message("nothing")
    @emit("said")
    async def on_nothing(self) -> None:
        return None

    @message("join")
    async def on_join(self, data: Any, peer: Peer) -> list[str]:
        peer.join(data)
        return sorted(peer.rooms)

    @message("validated", schema=TEXT)
    async def on_validated(self, data: dict[str, Any]) -> str:
        return str(data["text"])

    @message("reject")
    async def on_reject(self, data: Any) -> None:
        raise MessageRejected("no_coffee", "it is a teapot", data={"size": 3})

    @message("reject_plainly")
    async def on_reject_plainly(self) -> None:
        raise MessageRejected

    @message("fail")
    async def on_fail(self) -> None:
        raise RuntimeError(f"the password is {SECRET}")

    @message("fail_in_thread")
    def on_fail_in_thread(self) -> None:
        raise RuntimeError(f"the password is {SECRET}")

    @message("unencodable")
    @emit("said")
    @broadcast_others("heard")
    async def on_unencodable(self) -> object:
        return object()

    @message("slow", timeout=0.1)
    async def on_slow(self) -> None:
        await anyio.sleep_forever()

    @message("slow_in_thread", timeout=0.1)
    def on_slow_in_thread(self) -> None:
        time.sleep(0.5)

    @message("hold")
    async def on_hold(self, data: Any, peer: Peer) -> Any:
        key = key_of(peer)
        journal.add(key, "held")
        try:
            await gate(key).wait()
        except anyio.get_cancelled_exc_class():
            journal.add(key, "cancelled")
            raise
        journal.add(key, "released", peer.connected, await peer.send("too late"))
        return data

    @message("hold_until_gone", cancel_on_disconnect=True)
    async def on_hold_until_gone(self, peer: Peer) -> None:
        await self.on_hold(None, peer)

    @message("hold_aside", concurrent=True)
    async def on_hold_aside(self, data: Any, peer: Peer) -> str:
        journal.add(key_of(peer), "held")
        await gate(data).wait()
        return data

    @message("count")
    @emit("tick")
    async def on_count(self, data: Any) -> AsyncIterator[int]:
        for number in range(data):
            yield number

    @message("count_in_thread")
    @emit("tick")
    def on_count_in_thread(self, data: Any) -> Iterator[int]:
        yield from range(data)

    @message("break_off")
    @emit("tick")
    async def on_break_off(self) -> AsyncIterator[int]:
        yield 0
        raise RuntimeError(f"the password is {SECRET}")

    @message("endless")
    @emit("tick")
    async def on_endless(self, data: Any, peer: Peer) -> AsyncIterator[int]:
        try:
            for number in range(1_000_000):
                yield number
                await anyio.sleep(0.01)
        finally:
            journal.add(key_of(peer), "stream closed")

    @message("ask")
    async def on_ask(self, data: Any, peer: Peer) -> Any:
        try:
            return {"answer": await peer.ask("question", data)}
        except AskRejected as error:
            return {"rejected": error.code, "message": error.message}
        except PeerClosed:
            journal.add(key_of(peer), "peer closed")
            raise

    @message("ask_in_thread")
    def on_ask_in_thread(self, data: Any, peer: BlockingPeer) -> Any:
        return {"answer": peer.ask("question", data)}

    @message("note_in_thread")
    @emit("said")
    def on_note_in_thread(self, data: Any, peer: BlockingPeer) -> Any:
        peer.join("thread")
        peer.send("note", sorted(peer.rooms))
        peer.broadcast_others("heard", data, room="thread")
        assert self.service.blocking.broadcast(peer, "note", "all").queued >= 1
        return data

    @message("close")
    async def on_close(self, data: Any, peer: Peer) -> None:
        await peer.send("last", None)
        await peer.close(*data)
        journal.add(key_of(peer), "close returned", await peer.send("after"))

    @message("close_in_thread")
    def on_close_in_thread(self, data: Any, peer: BlockingPeer) -> None:
        peer.close(*data)

    @message("big")
    async def on_big(self, data: Any) -> str:
        return "x" * data


@namespace("/rate", limits=Limits(rate=5, burst=2))
class Rate(Recorded):
    @message("echo")
    async def on_echo(self, data: Any) -> Any:
        return data


@namespace("/slow", limits=Limits(outbox_bytes=100_000, outbox_messages=4))
class Slow(Recorded):
    """For clients that do not read: their outbox overflows."""


@namespace("/stuck", limits=Limits(outbox_bytes=None, outbox_messages=None, send_timeout=0.5))
class Stuck(Recorded):
    """For clients that do not read: one send hangs too long."""


@namespace("/choked", limits=Limits(outbox_bytes=100_000, send_timeout=0.5))
class Choked(Recorded):
    """For clients that do not read the answers they ask for."""

    @message("big")
    async def on_big(self) -> str:
        return "x" * 900_000


@namespace("/entering")
class Entering(Recorded):
    """What a connect hook can do to a client."""

    @on_connect
    async def entered(self, peer: Peer) -> bool | None:
        journal.add(peer.params["key"], "entered")
        outcome = peer.params["outcome"]
        if outcome == "false":
            return False
        if outcome == "rejected":
            raise ConnectionRejected("not you")
        if outcome == "error":
            raise RuntimeError(f"the password is {SECRET}")
        if outcome == "close":
            await peer.close(4000, "x")
        await peer.send("welcome", outcome)
        return None


@namespace("/attempt", limits=Limits(attempt_timeout=0.3))
class Attempt(Recorded):
    """Whatever an attempt hook can answer, chosen by `?outcome=`."""

    @on_connection_attempt
    async def judge(self, params: dict[str, str], request: ConnectionRequest) -> Any:
        match params["outcome"]:
            case "true":
                return True
            case "false":
                return False
            case "none":
                return None
            case "text":
                return SECRET
            case "error":
                raise RuntimeError(f"the password is {SECRET}")
            case "rejected":
                headers = [("WWW-Authenticate", "Bearer"), ("x-two", "1"), ("x-two", "2")]
                headers.append(("Content-Type", "application/problem; charset=utf-8"))
                raise ConnectionRejected("unknown tökén", status=401, headers=headers)
            case "too many":
                raise ConnectionRejected("later", status=429, headers=[("retry-after", "7")])
            case "bad rejection header":
                raise ConnectionRejected("no", status=401, headers=[("x-a", "b\r\nx-evil: 1")])
            case "close code":
                raise ConnectionRejected("no token", close_code=4001)
            case "slow":
                await anyio.sleep_forever()
            case "subprotocol":
                return Accept(subprotocol=request.subprotocols[-1])
            case "foreign subprotocol":
                return Accept(subprotocol="never-offered")
            case "headers":
                return Accept(headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
            case "bad header":
                return Accept(headers=[("x-a", "b\r\nx-evil: 1")])
            case "expires":
                return Accept(expires_at=time.time() + 0.2)
            case "user":
                return Accept(
                    user=params["user"], state={"secret": SECRET}, presence={"mood": "ok"}
                )
        raise AssertionError

    @message("who")
    async def on_who(self, peer: Peer) -> list[Any]:
        request = peer.request
        return [peer.user, peer.presence, peer.ip, request.scheme, request.cookies, request.path]


@namespace("/attempt/in-thread")
class AttemptInThread(Recorded):
    @on_connection_attempt
    def judge(self, params: dict[str, str]) -> bool:
        if params["outcome"] == "error":
            raise RuntimeError(f"the password is {SECRET}")
        return params["outcome"] == "true"


@namespace("/attempt/long", limits=Limits(attempt_timeout=3.0))
class LongAttempt(Recorded):
    @on_connection_attempt
    async def judge(self, params: dict[str, str]) -> bool:
        journal.add(params["key"], "asked")
        try:
            await gate(params["key"]).wait()
        finally:
            journal.add(params["key"], "judged")
        return True

    @message("echo")
    async def on_echo(self, data: Any) -> Any:
        return data


class AnyOrigin:
    @on_connection_attempt
    async def judge(self, request: ConnectionRequest) -> bool:
        if "key" in request.params:
            journal.add(request.params["key"], "asked")
        return True


@namespace("/origin/same")
class SameOrigin(AnyOrigin):
    pass


@namespace("/origin/listed", allowed_origins=["https://example.com", "http://localhost:3000"])
class ListedOrigin(AnyOrigin):
    pass


@namespace("/origin/any", allowed_origins="*")
class EveryOrigin(AnyOrigin):
    pass


class Guarded:
    """Lets in with a token only, and says whether its hook has run."""

    @on_connection_attempt
    async def judge(self, params: dict[str, str], request: ConnectionRequest) -> bool | Accept:
        return params.get("token") == SECRET and Accept(state={"judged": True})

    @on_connect
    async def entered(self, peer: Peer) -> None:
        state = [peer.namespace, peer.path_params, peer.state.get("judged", False)]
        await peer.send("guarded", state)


@namespace("/area/secret")
class GuardedArea(Guarded):
    pass


@namespace("/vault/{room}/door")
class GuardedPattern(Guarded):
    pass


@namespace("/area/{name}")
class OpenArea:
    """Its pattern takes what no exact path takes."""

    @on_connect
    async def entered(self, peer: Peer) -> None:
        await peer.send("open", [peer.namespace, peer.path_params])


@namespace("/inner")
class Inner:
    @message("where")
    async def on_where(self, peer: Peer) -> list[str]:
        return [peer.namespace, peer.request.path]


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"hello from {request.url.path}")


async def release(request: Request) -> Response:
    gate(request.query_params["key"]).set()
    return Response()


async def drain(request: Request) -> Response:
    await service.drain(float(request.query_params["grace"]))
    return JSONResponse({"peers": len(service.peers("/main"))})


async def foreign(socket: WebSocket) -> None:
    await socket.accept(headers=[(b"x-foreign", b"1")])
    async for text in socket.iter_text():
        await socket.send_text(f"foreign {text}")


@asynccontextmanager
async def app_lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    journal.add("lifespan", "app started", service.health().status)
    yield {"from": "lifespan"}
    journal.add("lifespan", "app stopped", service.health().status)


@asynccontextmanager
async def service_lifespan(service: WebSocketService) -> AsyncIterator[None]:
    journal.add("lifespan", "service started")
    try:
        yield
    finally:
        journal.add("lifespan", "service stopped")


inside = Starlette(routes=[WebSocketRoute("/foreign", foreign), Route("/hello", hello)])

routes = [
    Route("/hello", hello),
    Route("/main", hello),
    Route("/release", release, methods=["POST"]),
    Route("/drain", drain, methods=["POST"]),
    WebSocketRoute("/foreign", foreign),
    Mount("/mount", GatewayMiddleware(inside, gateways=[Inner()], unmatched="reject")),
]

service = WebSocketService(lifespan=service_lifespan)
service.register(
    Control(service),
    Main(service),
    Rate(),
    Slow(),
    Stuck(),
    Choked(),
    Entering(),
    Attempt(),
    AttemptInThread(),
    LongAttempt(),
    SameOrigin(),
    ListedOrigin(),
    EveryOrigin(),
    GuardedArea(),
    GuardedPattern(),
    OpenArea(),
)
application = GatewayMiddleware(Starlette(routes=routes, lifespan=app_lifespan), service)
