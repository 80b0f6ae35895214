"""What the gateway costs over a hand-written ASGI loop, without a server: CPU time, as ratios.

    python benchmarks/in_process.py [rounds]

Every round measures each case once, in turn, so that a machine that changes its speed changes it
for all of them; the medians are compared. Nothing here fails: it prints.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from statistics import median
from time import process_time
from typing import Any

from jsonschema import Draft202012Validator

from asgi_ws_gateway import GatewayMiddleware, Peer, broadcast, emit, message, namespace
from asgi_ws_gateway.testing.scope import websocket_scope

SCHEMA = {
    "type": "object",
    "required": ["title", "email", "seats", "kind", "tags", "note"],
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": 80},
        "email": {"type": "string", "pattern": "^[^@]+@[^@]+$"},
        "seats": {"type": "integer", "minimum": 1, "maximum": 20},
        "kind": {"enum": ["talk", "workshop"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        "note": {"type": "string"},
    },
    "additionalProperties": False,
}
DATA = {
    "title": "A title",
    "email": "someone@example.org",
    "seats": 4,
    "kind": "talk",
    "tags": ["a", "b"],
    "note": "",
}
PING = json.dumps({"event": "ping", "data": {}})
SUBMIT = json.dumps({"event": "submit", "data": DATA})
MESSAGES = 4_000
PEERS = 1_000
BROADCASTS = 20

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@namespace("/")
class Gateway:
    @message("ping")
    @emit("pong")
    async def ping(self) -> dict[str, Any]:
        return {}

    @message("submit", schema=SCHEMA)
    @emit("submitted")
    async def submit(self, data: dict[str, Any], peer: Peer) -> dict[str, Any]:
        return data

    @message("say")
    @broadcast("said")
    async def say(self, data: Any) -> Any:
        return data


_validator = Draft202012Validator(SCHEMA)


async def plain(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The loop that one writes by hand."""
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        envelope = json.loads(event["text"])
        if envelope["event"] == "ping":
            reply = {"event": "pong", "data": {}}
        elif _validator.is_valid(envelope["data"]):
            reply = {"event": "submitted", "data": envelope["data"]}
        else:
            reply = {"event": "error"}
        await send({"type": "websocket.send", "text": json.dumps(reply)})


class Line:
    """A server whose messages are all there and whose sends never wait."""

    def __init__(self, text: str, count: int) -> None:
        self.left = count
        self.message = {"type": "websocket.receive", "text": text}

    async def receive(self) -> dict[str, Any]:
        if not self.left:
            return {"type": "websocket.disconnect", "code": 1000}
        self.left -= 1
        return self.message

    async def send(self, message: dict[str, Any]) -> None:
        pass


async def conversation(app: Any, text: str) -> float:
    line = Line(text, MESSAGES)
    started = process_time()
    await app(websocket_scope("/"), line.receive, line.send)
    return (process_time() - started) / MESSAGES


async def fan_out_plain() -> float:
    sends = [Line("", 0).send for _ in range(PEERS)]
    started = process_time()
    for _ in range(BROADCASTS):
        text = {"type": "websocket.send", "text": json.dumps({"event": "said", "data": "x"})}
        for send in sends:
            await send(text)
    return (process_time() - started) / (BROADCASTS * PEERS)


async def fan_out(application: GatewayMiddleware) -> float:
    leave = asyncio.Event()

    async def listen() -> None:
        line = Line("", 0)

        async def receive() -> dict[str, Any]:
            await leave.wait()
            return {"type": "websocket.disconnect", "code": 1000}

        await application(websocket_scope("/"), receive, line.send)

    service = application.service
    tasks = [asyncio.create_task(listen()) for _ in range(PEERS)]
    while len(service.peers("/")) < PEERS:
        await asyncio.sleep(0)
    started = process_time()
    for _ in range(BROADCASTS):
        await service.broadcast("/", "said", "x")
    spent = (process_time() - started) / (BROADCASTS * PEERS)
    leave.set()
    await asyncio.gather(*tasks)
    return spent


async def one_round() -> dict[str, float]:
    application = GatewayMiddleware(None, gateways=[Gateway()])
    async with application.service:
        return {
            "ping, plain loop": await conversation(plain, PING),
            "ping": await conversation(application, PING),
            "submit, plain loop": await conversation(plain, SUBMIT),
            "submit": await conversation(application, SUBMIT),
            "delivery, plain loop": await fan_out_plain(),
            "delivery": await fan_out(application),
        }


def main(rounds: int) -> None:
    results = [asyncio.run(one_round()) for _ in range(rounds)]
    medians = {case: median(result[case] for result in results) * 1e6 for case in results[0]}
    packages = ", ".join(f"{name} {version(name)}" for name in ("anyio", "jsonschema"))
    print(f"{platform.python_implementation()} {platform.python_version()}, {packages}")
    print(f"{rounds} rounds, medians, CPU microseconds")
    for case in ("ping", "submit", "delivery"):
        ours, plain_loop = medians[case], medians[f"{case}, plain loop"]
        print(f"{case:10} {ours:8.2f}   plain loop {plain_loop:8.2f}   x{ours / plain_loop:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
