"""The ASGI loop that one writes by hand: what everything else is compared with.

It knows no limit, waits for whoever does not read, and ends at the first message that is no JSON.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator

from benchmarks.messages import SCHEMA

__all__ = ["application", "by_hand"]

Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def by_hand(
    decode: Callable[[str], Any],
    encode: Callable[[Any], str],
    is_valid: Callable[[Any], bool],
) -> Application:
    """The loop with a codec and a validator."""
    sends: set[Send] = set()

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await lifespan(receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        sends.add(send)
        try:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                envelope = decode(message["text"])
                event = envelope["event"]
                if event == "ping":
                    reply: dict[str, Any] = {"event": "pong", "data": {}}
                elif event == "submit":
                    valid = is_valid(envelope["data"])
                    reply = {"event": "submitted" if valid else "error", "data": {}}
                elif event == "say":
                    await everybody(encode({"event": "said", "data": envelope["data"]}))
                    continue
                else:
                    reply = {"event": "error", "data": {}}
                await send({"type": "websocket.send", "text": encode(reply)})
        finally:
            sends.discard(send)

    async def everybody(text: str) -> None:
        message = {"type": "websocket.send", "text": text}
        for send in tuple(sends):
            try:
                await send(message)
            except Exception:
                sends.discard(send)

    return application


async def lifespan(receive: Receive, send: Send) -> None:
    """Says yes to everything."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


application = by_hand(json.loads, json.dumps, Draft202012Validator(SCHEMA).is_valid)
