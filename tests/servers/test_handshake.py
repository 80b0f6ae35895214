"""Who is let in, and how the others are refused."""

from __future__ import annotations

import pytest
from websockets.typing import Subprotocol

from tests.servers.app import SECRET
from tests.servers.client import connect, control, denied, fresh_key, http, raw
from tests.servers.processes import Served


async def test_the_hook_lets_in(served: Served) -> None:
    async with connect(served, "/attempt?outcome=true") as client:
        assert (await client.request("who"))[:3] == [None, None, "127.0.0.1"]


@pytest.mark.parametrize("outcome", ["false", "none", "text", "error", "foreign subprotocol"])
async def test_the_hook_fails_closed(served: Served, outcome: str) -> None:
    options = [Subprotocol("a")]
    path = f"/attempt?outcome={outcome.replace(' ', '+')}"
    refusal = await denied(served, path, subprotocols=options)
    assert refusal.status == 403
    assert refusal.body == ("Forbidden" if served.server.denial else "")
    assert SECRET not in str(refusal)


@pytest.mark.parametrize("outcome", ["false", "error"])
async def test_a_plain_function_as_hook(served: Served, outcome: str) -> None:
    refusal = await denied(served, f"/attempt/in-thread?outcome={outcome}")
    assert refusal.status == 403
    assert SECRET not in str(refusal)
    async with connect(served, "/attempt/in-thread?outcome=true"):
        pass


async def test_a_refusal_with_status_headers_and_body(served: Served) -> None:
    refusal = await denied(served, "/attempt?outcome=rejected")
    assert refusal.status == served.server.status(401)
    if served.server.denial:
        assert refusal.body == "unknown tökén"
        assert refusal.headers["www-authenticate"] == "Bearer"
        # Joined, since granian ends as a whole at a name that comes twice.
        assert refusal.headers["x-two"] == "1, 2"
        assert refusal.headers["content-type"] == "application/problem; charset=utf-8"
    refusal = await denied(served, "/attempt?outcome=too+many")
    assert refusal.status == served.server.status(429)
    if served.server.denial:
        assert refusal.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("outcome", "status"), [("bad+header", 403), ("bad+rejection+header", 401)]
)
async def test_a_header_with_a_line_break_is_never_sent(
    served: Served, outcome: str, status: int
) -> None:
    refusal = await denied(served, f"/attempt?outcome={outcome}")
    assert refusal.status == served.server.status(status)
    assert "x-evil" not in refusal.headers


async def test_a_refusal_that_browsers_can_see(served: Served) -> None:
    key = fresh_key()
    async with connect(served, f"/attempt?outcome=close+code&key={key}") as client:
        assert await client.closed() == (4001, served.server.reason("no token"))
    async with control(served) as looking:
        assert await looking.entries(key, "entered") == []
        assert await looking.entries(key, "left") == []


async def test_a_hook_that_takes_too_long(served: Served) -> None:
    refusal = await denied(served, "/attempt?outcome=slow")
    assert refusal.status == served.server.status(503)


async def test_a_client_that_leaves_during_the_hook(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with raw(served) as client:
            client.request(f"/attempt/long?key={key}")
            await looking.wait(key, "asked")
            client.drop(reset=True)
        if not served.server.tells_departure_early:
            await looking.request("release", key)
        assert await looking.wait(key, "judged") == [[]]


async def test_subprotocols(served: Served) -> None:
    offered = [Subprotocol("v1"), Subprotocol("v2")]
    path = "/attempt?outcome=subprotocol"
    async with connect(served, path, subprotocols=offered) as client:
        assert client.socket.subprotocol == "v2"
    async with connect(served, "/attempt?outcome=true", subprotocols=offered) as client:
        assert client.socket.subprotocol is None


async def test_headers_of_the_accept(served: Served) -> None:
    async with connect(served, "/attempt?outcome=headers") as client:
        assert client.socket.response is not None
        cookies = client.socket.response.headers.get_all("set-cookie")
        assert cookies == (["a=1", "b=2"] if served.server.accept_headers else [])


async def test_what_the_hook_learnt_belongs_to_the_peer(served: Served) -> None:
    headers = {"Cookie": 'a=1; b="two"; broken'}
    path = "/attempt/?outcome=user&user=Ada&user=Bob%20B"
    async with connect(served, path, headers=headers) as client:
        who = [
            "Bob B",
            {"mood": "ok"},
            "127.0.0.1",
            "ws",
            {"a": "1", "b": "two"},
            "/attempt/",
        ]
        assert await client.request("who") == who


@pytest.mark.parametrize(
    ("path", "origin", "allowed"),
    [
        ("same", None, True),
        ("same", "http://{host}", True),
        ("same", "http://evil.example", False),
        ("same", "http://{host}.evil.example", False),
        ("same", "http://evil.example@{host}", False),
        ("same", "https://{host}", True),
        ("same", "http://127.0.0.1:1", False),
        ("same", "null", False),
        ("listed", None, True),
        ("listed", "https://example.com", True),
        ("listed", "https://EXAMPLE.com:443", True),
        ("listed", "http://example.com", False),
        ("listed", "https://example.com.evil.example", False),
        ("listed", "http://localhost:3000", True),
        ("listed", "http://localhost:3001", False),
        ("listed", "http://{host}", False),
        ("any", "http://evil.example", True),
        ("any", "null", True),
    ],
)
async def test_origins(served: Served, path: str, origin: str | None, allowed: bool) -> None:
    key = fresh_key()
    host = f"127.0.0.1:{served.port}"
    headers = [] if origin is None else [("Origin", origin.format(host=host))]
    async with raw(served) as client, control(served) as looking:
        status = await client.handshake(f"/origin/{path}?key={key}", *headers, host=host)
        # Where the origin is no URL at all, daphne itself says 400.
        assert status == 101 if allowed else status in (400, 403)
        # A page that may not connect does not get to the hook.
        assert len(await looking.entries(key, "asked")) == allowed


async def test_two_origins_are_refused(served: Served) -> None:
    host = f"127.0.0.1:{served.port}"
    async with raw(served) as client:
        headers = [("Origin", f"http://{host}"), ("Origin", "http://evil.example")]
        assert await client.handshake("/origin/same", *headers, host=host) != 101


async def test_other_paths_are_the_wrapped_apps(served: Served) -> None:
    assert (await http(served, "GET", "/hello")).body == "hello from /hello"
    # A path may be a namespace and a page.
    assert (await http(served, "GET", "/main")).body == "hello from /main"
    assert (await http(served, "GET", "/nowhere")).status == 404
    async with connect(served, "/foreign") as client:
        await client.send_text("hi")
        assert await client.socket.recv() == "foreign hi"
    assert (await denied(served, "/nowhere")).status == 403


async def test_foreign_paths_can_be_rejected(served: Served) -> None:
    async with connect(served, "/mount/inner") as client:
        assert await client.request("where") == ["/inner", "/mount/inner"]
    assert (await denied(served, "/mount/foreign")).status == 403
    assert (await denied(served, "/mount/nowhere")).status == 403
    assert 'Namespace "/foreign" is not registered' in served.log()
    assert (await http(served, "GET", "/mount/hello")).status == 200
