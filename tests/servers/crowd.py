"""A thousand raw sockets in a process of their own, so that their cost is not the server's (Linux).

The test writes commands, one line of JSON each, and reads one line of answer for each.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.servers.processes import ROOT, Served

__all__ = ["Crowd", "crowd"]

SECONDS: Final = 30.0
# Few enough for every server's backlog.
AT_ONCE: Final = 40
# A path that carries little: what is not read soon fills the server's memory, not the kernel's.
POOR: Final = (
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536),
    (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),
)

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
NEWS: Final = b'{"event":"news","data":"'


class Crowd:
    """The test's end of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, command: str, **options: Any) -> None:
        """Begins a command; `result` waits for what comes of it."""
        assert self._process.stdin is not None
        print(json.dumps([command, options]), file=self._process.stdin, flush=True)

    def result(self) -> Any:
        """The answer to the command that was started."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the crowd has died"
        return json.loads(line)

    def do(self, command: str, **options: Any) -> Any:
        """A command, and its answer."""
        self.start(command, **options)
        return self.result()


@contextmanager
def crowd(served: Served) -> Iterator[Crowd]:
    """Starts the process; its sockets end with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.crowd", str(served.port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Crowd(process)
        finally:
            process.kill()


class _Peer:
    """One socket, and what it was told."""

    def __init__(self, port: int, path: str, options: tuple[tuple[int, int, int], ...]) -> None:
        self.sock = socket.socket()
        for option in options:
            self.sock.setsockopt(*option)
        self.sock.connect(("127.0.0.1", port))
        key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket"
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n{key}\r\n\r\n"
        self.sock.sendall(head.encode())
        self.buffer = b""
        self.heard = 0
        self.code: int | None = None

    def entered(self) -> None:
        """Waits for the handshake's answer."""
        self.sock.settimeout(SECONDS)
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(65536)
            assert data, self.buffer
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        assert head.split()[1] == b"101", head
        self.sock.setblocking(False)

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """What has come whole; nothing once the connection has ended."""
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.code = 1006
            return
        buffer = self.buffer + data if self.buffer else data
        at, end = 0, len(buffer)
        while end - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[start : start + 2]), start + 2
            elif size == 127:
                size, start = int.from_bytes(buffer[start : start + 8]), start + 8
            if end - start < size:
                break
            yield buffer[at] & 15, buffer[start : start + size]
            at = start + size
        self.buffer = buffer[at:]

    def send(self, opcode: int, payload: bytes) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(_frame(opcode, payload))
        self.sock.setblocking(False)


def _frame(opcode: int, payload: bytes) -> bytes:
    """A frame as clients send it; the mask is all zeros."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + size.to_bytes(2) if size < 65536 else b"\xff" + size.to_bytes(8)
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


class _Commands:
    """The process's end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._peers: list[_Peer] = []
        self._lazy: list[_Peer] = []
        self._knocking: list[_Peer] = []

    def enter(self, path: str, count: int = 1, lazy: bool = False, say: str | None = None) -> None:
        """Connects so many more, who each say something; the lazy ones will never read."""
        while count > 0:
            together = [self._peer(path, lazy) for _ in range(min(count, AT_ONCE))]
            for peer in together:
                peer.entered()
                if say is not None:
                    peer.send(TEXT, say.encode())
            (self._lazy if lazy else self._peers).extend(together)
            count -= len(together)

    def knock(self, path: str) -> None:
        """Asks for a handshake, and does not wait for the answer."""
        self._knocking.append(self._peer(path))

    def say(self, text: str, peer: int) -> None:
        """One of them, counted as in a list, says something."""
        self._peers[peer].send(TEXT, text.encode())

    def listen(self, seconds: float) -> dict[str, Any]:
        """Reads until everybody has heard that it is over, or has been closed."""
        delays = array("d")
        mistakes = 0
        peers = {peer.sock.fileno(): peer for peer in self._peers}
        waiting = set(peers)
        deadline = time.monotonic() + seconds
        with select.epoll() as poll:
            for fileno in peers:
                poll.register(fileno, select.EPOLLIN)
            while waiting and time.monotonic() < deadline:
                for fileno, _ in poll.poll(0.1):
                    peer = peers[fileno]
                    for opcode, payload in peer.frames():
                        if opcode == TEXT and payload.startswith(NEWS):
                            due, number, over, _ = payload[len(NEWS) :].split(b" ", 3)
                            delays.append(time.monotonic() - float(due))
                            mistakes += int(number) != peer.heard
                            peer.heard += 1
                            if over == b"1":
                                waiting.discard(fileno)
                        elif opcode == CLOSE:
                            peer.code = int.from_bytes(payload[:2])
                        elif opcode == PING:
                            peer.send(PONG, payload)
                    if peer.code is not None:
                        waiting.discard(fileno)
                        poll.unregister(fileno)
                        peer.sock.close()
        return {
            "waiting": len(waiting),
            "mistakes": mistakes,
            "heard": Counter(peer.heard for peer in self._peers),
            "codes": Counter(peer.code for peer in self._peers),
            **_milliseconds(delays),
        }

    def flood(self, text: str, seconds: float) -> dict[str, Any]:
        """Everybody says the same as fast as the server takes it, for so long.

        It has `stopped` to take it when it takes nothing for a second.
        """
        frame = _frame(TEXT, text.encode())
        block = memoryview(frame * (1 + 65536 // len(frame)))
        peers = {peer.sock.fileno(): peer for peer in [*self._peers, *self._lazy]}
        taken = dict.fromkeys(peers, 0)
        stopped = False
        deadline = time.monotonic() + seconds
        with select.epoll() as poll:
            for fileno, peer in peers.items():
                poll.register(
                    fileno, select.EPOLLOUT | (0 if peer in self._lazy else select.EPOLLIN)
                )
            while peers and not stopped and (left := deadline - time.monotonic()) > 0:
                ready = poll.poll(min(left, 1.0))
                stopped = not ready and left > 1.0
                for fileno, event in ready:
                    sock = peers[fileno].sock
                    try:
                        if event & (select.EPOLLHUP | select.EPOLLERR):
                            raise ConnectionError
                        if event & select.EPOLLIN and not sock.recv(1_000_000):
                            raise ConnectionError
                        if event & select.EPOLLOUT:
                            taken[fileno] += sock.send(block[taken[fileno] % len(block) :])
                    except BlockingIOError:
                        pass
                    except ConnectionError:
                        poll.unregister(fileno)
                        del peers[fileno]
        return {"taken": sum(taken.values()), "stopped": stopped}

    def ping(self, seconds: float, pause: float) -> dict[str, Any]:
        """One peer pings, waits for the answer and pauses, again and again."""
        delays = array("d")
        [peer] = self._peers
        peer.sock.settimeout(SECONDS)
        deadline = time.monotonic() + seconds
        while (started := time.monotonic()) < deadline or not delays:
            peer.sock.sendall(_frame(TEXT, b'{"event":"ping"}'))
            while not any(opcode == TEXT for opcode, _ in peer.frames()):
                assert peer.code is None
            delays.append(time.monotonic() - started)
            time.sleep(pause)
        return _milliseconds(delays)

    def _peer(self, path: str, lazy: bool = False) -> _Peer:
        return _Peer(self._port, path, POOR if lazy else ())


def _milliseconds(delays: array[float]) -> dict[str, float]:
    ordered = sorted(delays) or [0.0]
    at = {"p50": 0.5, "p99": 0.99, "worst": 1.0}
    last = len(ordered) - 1
    return {name: 1000 * ordered[int(last * share)] for name, share in at.items()}


def _main() -> None:
    gc.disable()  # it would be noticed
    commands = _Commands(int(sys.argv[1]))
    for line in sys.stdin:
        name, options = json.loads(line)
        print(json.dumps(getattr(commands, name)(**options)), flush=True)


if __name__ == "__main__":
    _main()
