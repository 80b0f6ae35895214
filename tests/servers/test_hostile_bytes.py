"""Bytes that no honest client sends: they end their own connection at most, and tell nothing."""

from __future__ import annotations

import asyncio
import gzip
import os
import pickle
import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.effort import Effort
from tests.servers.app import SECRET
from tests.servers.client import SECONDS, Raw, connect, control, fresh_key, raw
from tests.servers.processes import Served
from tests.servers.test_paths import SPELLINGS

MIB: Final = 1024 * 1024

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


def frame(opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0) -> bytes:
    """A frame of any size; its mask is all zeros."""
    head = bytes([opcode | (0x80 if fin else 0) | reserved])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65_536:
        head += b"\xfe" + len(payload).to_bytes(2, "big")
    else:
        head += b"\xff" + len(payload).to_bytes(8, "big")
    return head + bytes(4) + payload


def claiming(length: int) -> bytes:
    """The start of a text message that says it is so long."""
    return b"\x81\xff" + length.to_bytes(8, "big") + bytes(4) + b'{"event":"echo","id":1}'


@asynccontextmanager
async def a_bystander(served: Served) -> AsyncIterator[None]:
    """Who is connected before is served after, and so is who comes then; nobody notices more."""
    async with connect(served, "/main") as bystander:
        yield
        assert await bystander.request("echo", 1) == 1
        async with connect(served, "/main") as newcomer:
            assert await newcomer.request("echo", 2) == 2


async def write(client: Raw, data: bytes) -> None:
    """Sends all of it, or until the server has had enough."""
    with suppress(ConnectionError):
        client.writer.write(data)
        await asyncio.wait_for(client.writer.drain(), 60)


async def rest(client: Raw, until: bytes | None = None) -> bytes:
    """All that the server says until it ends the connection, or has said so much."""
    said = b""
    with suppress(ConnectionError):
        while until is None or until not in said:
            chunk = await asyncio.wait_for(client.reader.read(65_536), SECONDS)
            if not chunk:
                break
            said += chunk
    return said


# What is no websocket protocol, or no UTF-8.

BROKEN: Final = {
    "no UTF-8": frame(TEXT, b'{"event":"\xff","id":1}'),
    "overlong": frame(TEXT, b'{"event":"\xc0\xaf","id":1}'),
    "overlong NUL": frame(TEXT, b'{"event":"\xe0\x80\x80","id":1}'),
    "a surrogate": frame(TEXT, b'{"event":"\xed\xa0\x80","id":1}'),
    "a pair of surrogates": frame(TEXT, b'{"event":"\xed\xa0\xbd\xed\xb8\x80","id":1}'),
    "beyond Unicode": frame(TEXT, b'{"event":"\xf4\x90\x80\x80","id":1}'),
    "half a character": frame(TEXT, b'{"event":"echo","id":1}\xe2\x82'),
    "bad across fragments": frame(TEXT, b'"\xe2', fin=False) + frame(0, b'\x28\xa1"'),
    "a message within a message": frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"),
    "a ping in parts": frame(PING, b"x", fin=False),
    "a ping too long": frame(PING, b"x" * 126),
    "a close of one byte": frame(CLOSE, b"\x03"),
    "a close with no UTF-8": frame(CLOSE, b"\x03\xe8\xff"),
    **{f"close {code}": frame(CLOSE, code.to_bytes(2, "big")) for code in (0, 999, 1005, 65_535)},
    "length 2**63": claiming(2**63),
    "length 2**64 - 1": claiming(2**64 - 1),
    "compressed, unasked": frame(TEXT, b"\xaa\x56\x4a\x2d", reserved=0x40),
    "plain HTTP": b"GET /main HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}


async def test_what_is_no_protocol_ends_its_own_connection_once_and_is_not_answered(
    served: Served,
) -> None:
    async with control(served) as looking, a_bystander(served):
        for fault, data in BROKEN.items():
            key = fresh_key()
            async with raw(served) as client:
                assert await client.handshake(f"/main?key={key}") == 101
                await write(client, data)
                said = await rest(client)
                assert b"event" not in said, fault
                assert b"Traceback" not in said, fault
                code, reason = await looking.left(key)
                assert 1000 <= code <= 1015, fault
                assert len(reason) <= 123, fault


async def test_a_close_may_say_what_it_likes(served: Served) -> None:
    key = fresh_key()
    reason = "bye\r\nERROR forged \x1b[2J %s\u2028".encode()
    async with control(served) as looking, raw(served) as client:
        assert await client.handshake(f"/main?key={key}") == 101
        await write(client, frame(CLOSE, (4999).to_bytes(2, "big") + reason))
        await rest(client)
        code, told = await looking.left(key)
        assert code == served.server.client_code(4999)
        assert told in ("", reason.decode())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\xff\xfe{}",
        pickle.dumps({"event": "echo"}, 4),
        gzip.compress(b'{"event":"echo"}', mtime=0),
        b"\x81\xa5event\xa4echo",
        b'{"event":"echo","id":1}',
        os.urandom(1_000_000),
    ],
    ids=["empty", "NUL", "UTF-16", "pickle", "gzip", "MessagePack", "JSON", "random"],
)
async def test_a_binary_message_is_told_so_and_the_connection_stays(
    served: Served, payload: bytes
) -> None:
    async with connect(served, "/main") as client:
        assert (await client.error(payload))["data"]["code"] == "unsupported_frame"
        assert (await client.error(""))["data"]["code"] == "invalid_json"
        assert await client.request("echo", 1) == 1


# What a server has to hold in memory.


def bomb(size: int) -> bytes:
    """A compressed text message of that many MiB: the same compressed MiB again and again."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    mib = deflate.compress(b"x" * MIB) + deflate.flush(zlib.Z_FULL_FLUSH)
    return frame(TEXT, mib * size, reserved=0x40)


def endless(count: int) -> bytes:
    """A text message in fragments of one byte, and the last never comes."""
    return frame(TEXT, b"{", fin=False) + frame(0, b" ", fin=False) * count


MEMORY: Final[dict[str, tuple[Callable[[int], bytes], tuple[int, int], str]]] = {
    "fragments": (endless, (20_000, 200_000), "{:,} fragments of one byte, never finished"),
    "length": (lambda power: claiming(2**power), (62, 62), "a message that says it has 2**{}"),
    "bomb": (bomb, (64, 512), "a compressed message of {} MiB"),
    "large": (lambda size: frame(TEXT, b" " * (size * MIB)), (16, 16), "a message of {} MiB"),
}

ALLOWED: Final = 64
"""MiB that one such client may cost; what a server takes beyond it is its own affair."""


class Memory:
    """What a server's processes hold, in MiB, and held at most since this was made."""

    def __init__(self, served: Served) -> None:
        self._group = served.process.pid
        for process in self._processes():
            (process / "clear_refs").write_text("5")
        self.before = self._sum("VmRSS")

    @property
    def peak(self) -> float:
        return self._sum("VmHWM") - self.before

    def _sum(self, field: str) -> float:
        texts = [(process / "status").read_text() for process in self._processes()]
        return (
            sum(int(kib) for text in texts for kib in re.findall(rf"{field}:\s*(\d+)", text)) / 1024
        )

    def _processes(self) -> list[Path]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.getpgid(int(process.name)) == self._group:
                    found.append(process)
        return found


@pytest.mark.parametrize("case", MEMORY)
async def test_a_client_costs_little_memory_and_nobody_else_a_message(
    served: Served, case: str, effort: Effort
) -> None:
    make, sizes, text = MEMORY[case]
    size = effort.of(*sizes)
    key = fresh_key()
    async with control(served) as looking, a_bystander(served):
        memory = Memory(served)
        async with raw(served) as client:
            deflate = [("Sec-WebSocket-Extensions", "permessage-deflate")] * (case == "bomb")
            assert await client.handshake(f"/main?key={key}", *deflate) == 101
            await write(client, make(size))
            async with connect(served, "/main") as meanwhile:
                assert await meanwhile.request("echo", 3) == 3
            if case == "fragments":
                # A ping may come between, and its answer tells that all of them were taken.
                await write(client, frame(PING, b"all taken"))
                assert b"all taken" in await rest(client, b"all taken")
            elif case == "bomb":
                await rest(client, bytes([0x80 | CLOSE]))
            elif case == "large" and b"message_too_large" in await rest(client, b"too_large"):
                await write(client, frame(TEXT, b'{"event":"echo","id":9}'))
                assert b'"id":9' in await rest(client, b'"id":9')
        await looking.left(key)
        grown = memory.peak
    done = text.format(size)
    before = effort.figures.get(done, ("", ""))[1]
    told = f"{served.server.name} {grown:.0f} MiB"
    effort.figure(done, f"at most {ALLOWED} MiB more", f"{before}, {told}" if before else told)
    wasteful = case == "bomb" and not served.server.inflates_within_limits
    assert grown < (4 * size if wasteful else ALLOWED)


# Handshakes.


async def answer(
    served: Served, target: bytes, *headers: tuple[bytes, bytes], host: bytes | None = None
) -> tuple[int, bytes]:
    """The status, 0 for a dropped connection, and all that is said to whom it refuses."""
    pairs = [
        (b"Host", b"127.0.0.1:%d" % served.port if host is None else host),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        (b"Sec-WebSocket-Version", b"13"),
        *headers,
    ]
    if not served.server.answers_header_floods and (
        len(pairs) > 128 or any(len(part) > 8000 for part in (target, *dict(pairs).values()))
    ):
        return 0, b""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in pairs)
    async with raw(served) as client:
        await write(client, b"GET " + target + b" HTTP/1.1\r\n" + lines + b"\r\n")
        said = await rest(client, b"\r\n\r\n")
        if not said:
            return 0, b""
        status, length = int(said.split()[1]), re.search(rb"content-length: (\d+)", said, re.I)
        if status != 101 and length is not None:
            while len(said.partition(b"\r\n\r\n")[2]) < int(length[1]):
                said += await asyncio.wait_for(client.reader.read(65_536), SECONDS)
        elif status != 101:
            said += await rest(client)
        return status, said


def check_refusal(status: int, said: bytes) -> None:
    """It is no fault of the server, and tells nothing of the inside."""
    assert status == 0 or 400 <= status < 500, said
    inside = re.search(rb'Traceback|File "|Error|Exception|asgi_ws_gateway|starlette', said)
    assert inside is None, said
    assert SECRET.encode() not in said, said


QUERIES: Final = {
    # The last value of a name counts, and everything is decoded once.
    b"token=hunter2": True,
    b"token=bad&token=hunter2": True,
    b"&&token=hunter2&": True,
    b"token=%68unter%32": True,
    b"%74ok%65n=hunter2": True,
    b"token=hunter2&token=bad": False,
    b"token=hunter2&token=": False,
    b"token=hunter2&token": False,
    b"token=hunter2&%74oken=bad": False,
    b"token=%2568unter2": False,
    b"": False,
    b"token": False,
    b"token=": False,
    b"=hunter2": False,
    b"hunter2": False,
    b"Token=hunter2": False,
    b"TOKEN=hunter2": False,
    b"token=Hunter2": False,
    b"token%00=hunter2": False,
    b"token=hunter2%00": False,
    b"token=%00hunter2": False,
    b"token=hunter2%0d%0aset-cookie:a=b": False,
    b"token=hunter2+": False,
    b"token=%20hunter2": False,
    b"token[]=hunter2": False,
    b"token[0]=hunter2": False,
    b"token[$ne]=x": False,
    b"a;token=hunter2": False,
    b"token=hunter2;a=b": False,
    b"token=hunter2%26token=hunter2": False,
    b"a=%26token=hunter2": False,
    b"token=%ff%fe": False,
    b"token=%": False,
    b"token=%zz%u0068": False,
    b"token=hunter2%c0%80": False,
    b"token=%ef%bd%88unter2": False,
    b"token=true&token=1&token=null": False,
    b"self=1&params=1&request=1&__class__=hunter2": False,
    b"__proto__=hunter2&constructor=hunter2": False,
    b"a&" * 256 + b"token=hunter2": False,
    b"token=hunter2&a=" + b"b" * 8192: False,
    b"token=hunter2&" + b"a=b&" * 15_000: False,
}

ORIGINS: Final = [
    *(b"null", b"", b"file://", b"*", b"about:blank", b"http://", b"://", b"http://evil.example"),
    *(b"http://%s.evil.example", b"http://evil.example/%s", b"http://%s@evil.example"),
    *(b"http://evil.example#%s", b"http://evil.example?%s", b"http://evil.example\\.%s"),
    *(b"http://%s/", b"http://%s, http://%s", b"http://evil.example http://%s", b"http://%s:80"),
    *(b"http:/%s", b"http:%s", b"//%s", b"%s", b"javascript://%s", b"data:text/html,%s"),
    *(b"http://%s\xff", b"http://\xc2\xa0%s", b"http://user:pass@%s", b"h" * 9000),
]

HOSTS: Final = [
    *(b"127.0.0.1/area/open?", b"127.0.0.1/area/open#", b"x@127.0.0.1", b"/area/open", b"x\\y"),
    *(b"", b"\xff\xfe", b"[::1", b"127.0.0.1:99999", b"a" * 9000, b"127.0.0.1, evil.example"),
]

# No byte beyond ASCII in Sec-WebSocket-Protocol, which servers fail at before they ask us: daphne
# (4.2) answers 500 with the text of its exception, and hypercorn (0.18) ends as a whole on trio.
FLOODS: Final[dict[str, list[tuple[bytes, bytes]]]] = {
    "2 000 headers": [(b"X-%d" % number, b"y") for number in range(2000)],
    "one header 2 000 times": [(b"X-Forwarded-For", b"127.0.0.1")] * 2000,
    "a cookie of 60 KiB": [(b"Cookie", b"a=" + b"b" * 60 * 1024)],
    "thousands of cookies": [(b"Cookie", b"a=b; " * 5000 + b';;=;"=')],
    "latin-1": [(b"Cookie", b"a=\xff\xe9"), (b"X-Name", b"\x80\xff"), (b"User-Agent", b"\xfe")],
    "NUL": [(b"X-Name", b"a\x00b")],
    "a lone line break": [(b"X-Name", b"a\nX-Evil: b"), (b"X-More", b"a\rX-Evil: b")],
    "an empty name": [(b"", b"x")],
    "a name with spaces": [(b"X Name ", b"x")],
    "8 KiB of subprotocols": [(b"Sec-WebSocket-Protocol", b", ".join([b"abc"] * 1600))],
    "no subprotocols": [(b"Sec-WebSocket-Protocol", b" , ,,\t,")],
    "subprotocols of every kind": [(b"Sec-WebSocket-Protocol", b'"a", <b>, c d, , token.x')],
    "extensions": [(b"Sec-WebSocket-Extensions", b"permessage-deflate; " * 200)],
    "two keys": [(b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAQ==")],
    "two hosts": [(b"Host", b"evil.example")],
    "chunks": [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5")],
}


async def test_no_spelling_of_a_path_is_told_anything(served: Served) -> None:
    async with a_bystander(served):
        for target in SPELLINGS:
            status, said = await answer(served, target.encode("latin-1"))
            # One namespace beside the guarded ones is open to all (tests/servers/test_paths.py).
            if status != 101:
                check_refusal(status, said)


async def test_no_query_and_no_host_gets_past_the_hook(served: Served) -> None:
    async with a_bystander(served):
        for query, allowed in QUERIES.items():
            status, said = await answer(served, b"/area/secret?" + query)
            assert (status == 101) is allowed, query[:80]
            if not allowed:
                check_refusal(status, said)
        for host in HOSTS:
            check_refusal(*await answer(served, b"/area/secret", host=host))


async def test_no_foreign_origin_gets_in(served: Served) -> None:
    host = b"127.0.0.1:%d" % served.port
    assert (await answer(served, b"/origin/same", (b"Origin", b"http://" + host)))[0] == 101
    async with a_bystander(served):
        for origin in ORIGINS:
            headers = (b"Origin", origin.replace(b"%s", host))
            check_refusal(*await answer(served, b"/origin/same", headers))


async def test_a_flood_of_headers_is_taken_or_refused(served: Served) -> None:
    async with a_bystander(served):
        for name, headers in FLOODS.items():
            status, said = await answer(served, b"/attempt?outcome=true", *headers)
            if status != 101:
                check_refusal(status, said)
            assert b"X-Evil" not in said, name


async def test_half_a_handshake_keeps_nobody_out(served: Served) -> None:
    keys = [fresh_key() for _ in range(50)]
    async with control(served) as looking:
        async with AsyncExitStack() as stack, a_bystander(served):
            for length, key in enumerate(keys):
                hanging = await stack.enter_async_context(raw(served))
                hanging.request(f"/attempt/long?key={key}")
                half = await stack.enter_async_context(raw(served))
                await write(half, b"GET /main HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r"[:length])
            for key in keys:
                await looking.wait(key, "asked")
        for key in keys:
            await looking.request("release", key)
            await looking.wait(key, "judged")
