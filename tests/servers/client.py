"""Clients of every kind: a well-behaved one, plain HTTP, and raw bytes. Every wait has an end."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.servers.processes import Served

__all__ = ["Client", "Raw", "Reply", "connect", "control", "denied", "fresh_key", "http", "raw"]

SECONDS: Final = 10.0


def fresh_key() -> str:
    """Names one connection in the application's journal."""
    return uuid4().hex


class Client:
    """A connected client that speaks the protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, event: str, data: Any = None, **envelope: Any) -> None:
        envelope = {"event": event, "data": data, **envelope}
        await self.send_text(json.dumps(envelope, ensure_ascii=False))

    async def send_text(self, text: str | bytes) -> None:
        await asyncio.wait_for(self.socket.send(text), SECONDS)

    async def send_into_the_close(self, event: str, count: int) -> None:
        """Sends that often, or until the server has closed."""
        try:
            for _ in range(count):
                await self.send(event)
        except ConnectionClosed:
            pass

    async def frame(self) -> dict[str, Any]:
        """The next envelope."""
        frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), SECONDS))
        return frame

    async def expect(self, event: str) -> Any:
        """The data of the next message, which is that event and answers nothing."""
        frame = await self.frame()
        assert (frame["event"], frame.get("id")) == (event, None), frame
        return frame["data"]

    async def request(self, event: str, data: Any = None) -> Any:
        """The data of the answer, which is the next message."""
        id = fresh_key()
        await self.send(event, data, id=id)
        frame = await self.frame()
        assert frame.get("id") == id, frame
        assert frame["event"] != "error", frame
        return frame["data"]

    async def error(self, text: str | bytes) -> dict[str, Any]:
        """What is answered to a message that is in error."""
        await self.send_text(text)
        frame = await self.frame()
        assert frame["event"] == "error", frame
        return frame

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the server's close, once everything before it was passed over."""

        async def read() -> None:
            while True:
                await self.socket.recv()

        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(read(), SECONDS)
        close = caught.value.rcvd
        return (1006, "") if close is None else (close.code, close.reason)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await asyncio.wait_for(self.socket.close(code, reason), SECONDS)

    def drop(self, *, reset: bool) -> None:
        """Ends the TCP connection, by RST or by FIN, without a word."""
        _drop(self.socket.transport, reset)


@asynccontextmanager
async def connect(
    served: Served,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    subprotocols: Sequence[Any] | None = None,
    compression: str | None = "deflate",
) -> AsyncIterator[Client]:
    """A client of one path; it is closed in the end if it still is open."""
    async with ws_connect(
        served.url + path,
        additional_headers=headers,
        subprotocols=subprotocols,
        compression=compression,
        proxy=None,
        open_timeout=SECONDS,
        close_timeout=0.5,  # granian answers a close when the handler under way has ended
        ping_interval=None,
        max_size=None,
    ) as socket:
        yield Client(socket)


class Reply(NamedTuple):
    """A refusal, or the answer to plain HTTP."""

    status: int
    headers: Any
    body: str


async def denied(served: Served, path: str, **options: Any) -> Reply:
    """How a handshake is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(served, path, **options):
            pass
    response = caught.value.response
    return Reply(response.status_code, response.headers, (response.body or b"").decode())


class Control(Client):
    """A client of the application's control namespace."""

    async def wait(self, key: str, kind: str, count: int = 1) -> list[Any]:
        """Waits until the journal has that many entries of a kind under a key: their details."""
        entries: list[Any] = await self.request("wait", {"key": key, "kind": kind, "count": count})
        return entries

    async def entries(self, key: str, kind: str) -> list[Any]:
        """What the journal has now."""
        return await self.wait(key, kind, 0)

    async def left(self, key: str) -> tuple[int, str]:
        """Waits for the disconnect hook: the code and the reason it was given, once."""
        [[code, reason, connected]] = await self.wait(key, "left")
        assert connected is False
        return code, reason


@asynccontextmanager
async def control(served: Served) -> AsyncIterator[Control]:
    """Looks into the application, and lets waiting handlers go on."""
    async with connect(served, "/control") as client:
        yield Control(client.socket)


class Raw:
    """A connection that sends exactly these bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def request(
        self, target: str | bytes, *headers: tuple[str, str], host: str = "127.0.0.1"
    ) -> None:
        """Asks for a target that nobody has normalised."""
        target = target.encode() if isinstance(target, str) else target
        lines = [
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
            ("Sec-WebSocket-Version", "13"),
            *headers,
        ]
        head = b"".join(f"{name}: {value}\r\n".encode() for name, value in lines)
        self.writer.write(b"GET " + target + b" HTTP/1.1\r\n" + head + b"\r\n")

    async def status(self) -> int:
        """How the request was answered; 0 for a dropped connection."""
        try:
            reply = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        return int(reply.split()[1])

    async def handshake(self, target: str | bytes, *headers: tuple[str, str], **host: str) -> int:
        """Asks, and waits for the status."""
        self.request(target, *headers, **host)
        return await self.status()

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True) -> None:
        """Sends a frame of less than 126 bytes; the mask is all zeros."""
        head = bytes([opcode | (0x80 if fin else 0), len(payload) | (0x80 if masked else 0)])
        self.writer.write(head + (bytes(4) if masked else b"") + payload)

    async def read_text(self) -> dict[str, Any]:
        """One unfragmented text message."""

        async def read() -> bytes:
            head = await self.reader.readexactly(2)
            assert head[0] == 0x81, head
            size = head[1]
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            return await self.reader.readexactly(size)

        message: dict[str, Any] = json.loads(await asyncio.wait_for(read(), SECONDS))
        return message

    def drop(self, *, reset: bool) -> None:
        """Ends the TCP connection, by RST or by FIN."""
        _drop(self.writer.transport, reset)

    async def ended(self) -> None:
        """Waits until the server has ended the connection."""

        async def read() -> None:
            while await self.reader.read(65536):
                pass

        try:
            await asyncio.wait_for(read(), SECONDS)
        except ConnectionError:
            pass


@asynccontextmanager
async def raw(served: Served, *, receive_buffer: int | None = None) -> AsyncIterator[Raw]:
    """A TCP connection."""
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(loop.sock_connect(sock, ("127.0.0.1", served.port)), SECONDS)
    # A small limit: what is not read stays in the kernel.
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


async def http(served: Served, method: str, target: str) -> Reply:
    """Plain HTTP."""
    async with raw(served) as connection:
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        connection.writer.write(f"{head}Content-Length: 0\r\n\r\n".encode())
        answer = await asyncio.wait_for(connection.reader.read(-1), SECONDS)
    top, _, body = answer.decode().partition("\r\n\r\n")
    status, *headers = top.split("\r\n")
    pairs = dict(header.lower().split(": ", 1) for header in headers)
    return Reply(int(status.split()[1]), pairs, body)


def _drop(transport: asyncio.Transport, reset: bool) -> None:
    if reset:
        linger = struct.pack("ii", 1, 0)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
