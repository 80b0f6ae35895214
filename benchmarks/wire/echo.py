"""Messages and their answers: so many connections, each with so many messages under way."""

from __future__ import annotations

import select
from collections.abc import Sequence
from time import monotonic

from benchmarks.messages import DATA, PING
from benchmarks.wire.client import Client, frame, received
from benchmarks.wire.figures import Sample
from benchmarks.wire.rounds import Script, Served, main
from benchmarks.wire.usage import Usage

__all__ = ["SCRIPT", "measure"]

SECONDS = 1.5
WARM = 0.3
ECHO = ("ping", PING)
CASES = {
    "echo c1 w1": (*ECHO, 1, 1),
    "echo c1 w16": (*ECHO, 1, 16),
    "echo c50 w1": (*ECHO, 50, 1),
    "echo c50 w16": (*ECHO, 50, 16),
    "submit c50 w16": ("submit", DATA, 50, 16),
}


def measure(served: Served, sizes: Sequence[int]) -> dict[str, Sample]:
    figures = {}
    for case, (event, data, connections, window) in CASES.items():
        clients = served.enter(connections)
        length = clients[0].ask(event, data)
        message = frame(served.message(event, data))
        figures[case] = _echo(clients, message, length, window, served.usage)
        Client.leave(clients)
    return figures


def _echo(
    clients: Sequence[Client], message: bytes, length: int, window: int, usage: Usage
) -> Sample:
    blocks = [message * count for count in range(window + 1)]
    sockets = Client.sockets(clients)
    rests = dict.fromkeys(sockets, 0)
    buffer = bytearray(length * window * 2)
    heard = counted = 0
    ending = False
    started = monotonic()
    cpu = began = 0.0
    with select.epoll() as poll:
        for number, sock in sockets.items():
            poll.register(number, select.EPOLLIN)
            sock.sendall(blocks[window])
        pending = window * len(clients)
        while pending:
            ready = poll.poll(5)
            if not ready:
                raise RuntimeError("the answers have stopped")
            for number, _ in ready:
                sock = sockets[number]
                count, rests[number] = divmod(rests[number] + received(sock, buffer), length)
                heard += count
                if ending:
                    pending -= count
                elif count:
                    sock.sendall(blocks[count])
            now = monotonic()
            if not began and now - started >= WARM:
                began, cpu, counted = now, usage.cpu(), heard
            elif not ending and now - started >= WARM + SECONDS:
                ending = True
                cpu, counted = usage.cpu() - cpu, heard - counted
                began = now - began
    if any(rests.values()):
        raise RuntimeError("something came that was no answer")
    return Sample(counted / began, cpu / counted * 1e6)


SCRIPT = Script("echo", measure, ())

if __name__ == "__main__":
    main(SCRIPT)
