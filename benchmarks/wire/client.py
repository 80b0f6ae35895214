"""Clients on raw sockets, so cheap that the server is what is measured.

All answers to a message have one length, which is learnt from the first of them; from then on bytes
are counted, and none is looked at.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from benchmarks.messages import ANSWERS
from benchmarks.systems import System

__all__ = ["Client", "frame", "received"]

AT_ONCE: Final = 40
"""Handshakes under way: few enough for every server's backlog."""
SECONDS: Final = 20.0
POOR: Final = (
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536),
    (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),
)
"""A path that carries little, so that what is not read is soon the server's to keep."""


def frame(text: str) -> bytes:
    """A text as clients send it; the mask is all zeros."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return b"\x81" + length + bytes(4) + payload


class Client:
    """One connection, or what will be one."""

    def __init__(self, port: int, system: System, *, poor: bool = False) -> None:
        self.socket = socket.socket()
        for option in POOR if poor else ():
            self.socket.setsockopt(*option)
        self.socket.settimeout(SECONDS)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._system = system
        self._buffer = b""
        lines = [
            f"GET {system.path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            f"Origin: http://127.0.0.1:{port}",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version: 13",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    @classmethod
    def enter(cls, count: int, port: int, system: System, *, poor: bool = False) -> list[Client]:
        """So many connections, each accepted and greeted."""
        clients: list[Client] = []
        while len(clients) < count:
            size = min(AT_ONCE, count - len(clients))
            together = [cls(port, system, poor=poor) for _ in range(size)]
            for client in together:
                client._entered()
            clients += together
        return clients

    @staticmethod
    def leave(clients: Sequence[Client]) -> None:
        """Without a word."""
        for client in clients:
            client.socket.close()

    @staticmethod
    def sockets(clients: Sequence[Client]) -> dict[int, socket.socket]:
        """By file number, without a timeout: that would be one system call more for each."""
        for client in clients:
            client.socket.settimeout(None)
        return {client.socket.fileno(): client.socket for client in clients}

    def send(self, text: str) -> None:
        self.socket.settimeout(SECONDS)
        self.socket.sendall(frame(text))

    def hear(self) -> bytes:
        """Waits for one message, and gives the frame that it came in."""
        self.socket.settimeout(SECONDS)
        while True:
            size = _size(self._buffer)
            if size is not None and len(self._buffer) >= size:
                whole, self._buffer = self._buffer[:size], self._buffer[size:]
                return whole
            self._more()

    def ask(self, event: str, data: object) -> int:
        """Says it once; how many bytes the answer came in."""
        self.send(self._system.message(event, data))
        answer = self.hear()
        if ANSWERS[event].encode() not in answer:
            raise RuntimeError(f"{event} was answered with {answer!r}")
        return len(answer)

    def _entered(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if head.split()[1] != b"101":
            raise ConnectionError(f"refused: {head.splitlines()[0].decode()}")
        for text in self._system.hello:
            self.send(text)
        for _ in range(self._system.greetings):
            self.hear()

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server has ended the connection")
        self._buffer += data


def received(ready: socket.socket, buffer: bytearray) -> int:
    """How many bytes have come."""
    count = ready.recv_into(buffer)
    if not count:
        raise ConnectionError("the server has ended a connection")
    return count


def _size(buffer: bytes) -> int | None:
    """The length of the frame that begins here, if so much of it is there."""
    if len(buffer) < 2:
        return None
    short = buffer[1]
    if short < 126:
        return 2 + short
    head = 4 if short == 126 else 10
    return head + int.from_bytes(buffer[2:head], "big") if len(buffer) >= head else None
