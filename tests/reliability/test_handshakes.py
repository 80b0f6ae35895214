"""Whoever knocks gets in by the hook alone, learns nothing of what fails, and keeps nobody out."""

from __future__ import annotations

import secrets
from itertools import count
from typing import Any

import anyio
import pytest

from asgi_ws_gateway import (
    Accept,
    ConnectionRequest,
    GatewayMiddleware,
    Limits,
    Peer,
    message,
    namespace,
    on_connect,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import CloseInfo, ConnectionDenied, GatewayTestClient
from asgi_ws_gateway.testing.scope import websocket_scope
from tests.asgi.server import LEFT, Server, serving
from tests.reliability.test_canaries import CANARY, ERRORS


@namespace("/open")
class Open:
    @message("ping")
    async def ping(self) -> str:
        return "pong"


async def denied(client: GatewayTestClient, url: str, **options: Any) -> ConnectionDenied:
    with pytest.raises(ConnectionDenied) as denied:
        async with client.connect(url, **options):
            pass
    return denied.value


# What hooks raise.


@pytest.mark.parametrize("error", [name for name in ERRORS if name != "refusal of a handshake"])
async def test_an_attempt_hook_may_raise_anything_and_nobody_reads_it(error: str) -> None:
    @namespace("/guarded")
    class Guarded:
        @on_connection_attempt
        async def judge(self) -> bool:
            raise ERRORS[error]()

    @namespace("/guarded/in-thread")
    class GuardedInThread:
        @on_connection_attempt
        def judge(self) -> bool:
            raise ERRORS[error]()

    async with GatewayTestClient(Guarded(), GuardedInThread(), Open()) as client:
        async with client.connect("/open") as bystander:
            for path in ("/guarded", "/guarded/in-thread"):
                refusal = await denied(client, path)
                assert (refusal.status, refusal.body) == (403, "Forbidden")
                assert CANARY not in str(refusal.headers)
            assert await bystander.request("ping") == "pong"
        assert client.service is not None
        assert client.service.stats().refused == {"hook_failed": 2}


@pytest.mark.parametrize("error", ERRORS)
async def test_the_other_hooks_may_raise_anything_and_nobody_reads_it(error: str) -> None:
    left: list[Any] = []

    class Leaving:
        @on_disconnect
        async def left(self, peer: Peer, code: int) -> None:
            left.append(code)
            raise ERRORS[error]()

    @namespace("/entering")
    class Entering(Leaving):
        @on_connect
        async def entered(self, peer: Peer) -> None:
            raise ERRORS[error]()

    @namespace("/entering/in-thread")
    class EnteringInThread(Leaving):
        @on_connect
        def entered(self) -> None:
            raise ERRORS[error]()

    async with GatewayTestClient(Entering(), EnteringInThread(), Open()) as client:
        async with client.connect("/open") as bystander:
            for path in ("/entering", "/entering/in-thread"):
                async with client.connect(path) as peer:
                    # The one exception that may speak does so here as well.
                    refused = error == "refusal of a handshake"
                    end = CloseInfo(1008, CANARY) if refused else CloseInfo(1011, "internal error")
                    assert await peer.closed() == end
                    assert peer.pending == []
            await client.settle()
            assert await bystander.request("ping") == "pong"
    assert left == [1008 if error == "refusal of a handshake" else 1011] * 2


# What clients send.


@pytest.mark.parametrize(
    "host",
    [
        *("testserver/open?", "testserver/open#", "/open", "../open", "testserver\\open", "open"),
        *("", "\xff", "testserver:80/open", "x@testserver/open", "[::1]/open", "a" * 65_536),
    ],
    ids=count(),
)
async def test_the_host_has_no_say_in_where_a_handshake_leads(host: str) -> None:
    @namespace("/guarded")
    class Guarded(Open):
        @on_connection_attempt
        async def judge(self) -> bool:
            return False

    async with GatewayTestClient(Guarded(), Open()) as client:
        for path in ("/guarded", "/guarded/"):
            assert (await denied(client, path, headers={"host": host})).status == 403
        guarded = host.replace("open", "guarded")
        async with client.connect("/open", headers={"host": guarded}) as peer:
            assert await peer.request("ping") == "pong"
        assert client.service is not None
        assert client.service.stats().refused == {"hook": 2}


async def test_thousands_of_headers_and_subprotocols_are_read_like_few() -> None:
    @namespace("/reading")
    class Reading:
        @on_connection_attempt
        async def judge(self, params: dict[str, str], request: ConnectionRequest) -> Accept:
            assert len(request.headers) == 2003
            assert request.headers["x-1999"] == "\xff\x00\xe9"
            assert request.cookies["last"] == "1"
            assert (request.origin, request.ip) == (None, "testclient")
            return Accept(subprotocol=request.subprotocols[-1])

    headers = [(f"X-{number}", "\xff\x00\xe9") for number in range(2000)]
    cookies = "".join(f"c{number}=\xff; " for number in range(7000))
    headers += [("Cookie", f"{cookies};;=;=x;\x00; last=1"), ("Accept-Language", "*," * 4000)]
    offered = [f"token.{number}" for number in range(4000)]
    async with GatewayTestClient(Reading()) as client:
        async with client.connect("/reading", headers=headers, subprotocols=offered) as peer:
            assert peer.subprotocol == "token.3999"


async def test_the_id_of_a_peer_is_128_random_bits_of_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int | None] = []
    draw = secrets.token_urlsafe

    def token_urlsafe(size: int | None = None) -> str:
        drawn.append(size)
        return draw(size)

    monkeypatch.setattr(secrets, "token_urlsafe", token_urlsafe)
    ids = []
    async with GatewayTestClient(Open()) as client:
        assert client.service is not None
        for _ in range(20):
            headers = {"x-request-id": "mine", "sec-websocket-key": "mine"}
            async with client.connect("/open?id=mine&peer_id=mine", headers=headers):
                [peer] = client.service.peers("/open")
                ids.append(peer.id)
    assert len(set(ids)) == 20
    assert all(len(id) == 22 and "mine" not in id for id in ids)  # 6 bits a character
    assert drawn.count(16) == 20


async def test_a_thousand_hanging_hooks_keep_out_newcomers_only() -> None:
    go = anyio.Event()

    @namespace("/hanging", limits=Limits(attempt_timeout=None))
    class Hanging:
        @on_connection_attempt
        async def judge(self) -> bool:
            await go.wait()
            return True

    app = GatewayMiddleware(None, gateways=[Hanging(), Open()])
    async with GatewayTestClient(app) as client, client.connect("/open") as bystander:
        knocking = [Server(websocket_scope("/hanging")) for _ in range(1000)]
        async with anyio.create_task_group() as group:
            for server in knocking:
                group.start_soon(server.run, app)
            await anyio.wait_all_tasks_blocked()
            assert (await denied(client, "/hanging")).status == 503
            assert await bystander.request("ping") == "pong"
            for server in knocking[1:]:
                server.put(LEFT)
            for server in knocking[1:]:
                await server.returned.wait()
            assert app.service.stats().refused == {"max_attempts": 1, "left": 999}
            go.set()
            async with client.connect("/hanging"):
                pass
            await knocking[0].sends("websocket.accept")
            knocking[0].put(LEFT)


# What servers say of those who leave.


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((code, "") for code in (0, 1, 999, 1005, 1006, 1015, 2999, 5000, 65_535, -1, 2**70)),
        *((code, "") for code in ("1000", 1000.5, True, [1000], {})),
        (1000, "x\r\nERROR forged\x1b[2J"),
        (4999, "x" * 1_000_000),
        (1000, "\ud800"),
        (1007, b"\xff"),
        (1000, 5),
    ],
    ids=lambda value: ascii(value)[:12],
)
async def test_any_code_and_reason_of_a_disconnect_is_survived(
    code: Any, reason: Any, caplog: pytest.LogCaptureFixture
) -> None:
    left: list[Any] = []

    @namespace("/")
    class Told:
        @on_disconnect
        async def left(self, peer: Peer, code: int, reason: str) -> None:
            left.append(peer.connected)

    app = GatewayMiddleware(None, gateways=[Told()])
    async with serving(app) as server:
        await server.sends("websocket.accept")
        server.put({"type": "websocket.disconnect", "code": code, "reason": reason})
    assert left == [False]
    stats = app.service.stats()
    assert (stats.connections, stats.closed.total()) == (0, 1)
    assert not caplog.records
