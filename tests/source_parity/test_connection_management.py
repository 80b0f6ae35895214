"""Connection management: who is let in, with a JSON Web Token, and what the refused are told.

The token travels in a cookie, which browsers send along by themselves, or in the Authorization
header of other clients; not in the query string, which ends up in logs.
"""

import time
from http import HTTPStatus
from typing import Any

import jwt
import pytest
from anyio.lowlevel import checkpoint

from asgi_ws_gateway import (
    Accept,
    ConnectionRejected,
    ConnectionRequest,
    Peer,
    emit,
    message,
    namespace,
    on_connection_attempt,
    on_disconnect,
)
from asgi_ws_gateway.testing import ConnectionDenied, GatewayTestClient

KEY = "a key of at least thirty-two bytes"
ISSUER = "https://accounts.example"


class AuthService:
    """Verifies tokens. Injected into the gateway, which knows neither key nor algorithm."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def verify_token(self, token: str) -> dict[str, Any]:
        await checkpoint()  # a real one may have to fetch the key
        return jwt.decode(
            token,
            self._key,
            algorithms=["HS256"],
            issuer=ISSUER,
            options={"require": ["exp", "sub"]},
        )


@namespace("/private-chat")
class PrivateChatGateway:
    def __init__(self, auth: AuthService) -> None:
        self.auth = auth
        self.left: list[tuple[str | None, int]] = []

    @on_connection_attempt
    async def validate_connection(
        self, params: dict[str, str], request: ConnectionRequest
    ) -> Accept | bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.cookies.get("token", "")
        if not token:
            raise ConnectionRejected("token required", status=HTTPStatus.UNAUTHORIZED)
        try:
            claims = await self.auth.verify_token(token)
        except jwt.ExpiredSignatureError:
            raise ConnectionRejected("token expired", status=HTTPStatus.UNAUTHORIZED) from None
        except jwt.InvalidTokenError:
            raise ConnectionRejected("token invalid", status=HTTPStatus.UNAUTHORIZED) from None
        if "private-chat" not in claims.get("permissions", ()):
            return False
        return Accept(user=claims["sub"], state={"claims": claims}, expires_at=claims["exp"])

    @message("whoami")
    @emit("you-are")
    async def whoami(self, data: Any, peer: Peer) -> list[Any]:
        return [peer.user, peer.state["claims"]["permissions"]]

    @on_disconnect
    async def gone(self, peer: Peer, code: int, reason: str) -> None:
        self.left.append((peer.user, code))


def token(key: str = KEY, algorithm: str = "HS256", lifetime: int = 3600, **claims: Any) -> str:
    """Parameters of tests are made when they are collected: a token outlives the longest run."""
    return jwt.encode(
        {
            "iss": ISSUER,
            "sub": "alice",
            "exp": int(time.time()) + lifetime,
            "permissions": ["private-chat"],
            **claims,
        },
        key,
        algorithm=algorithm,
    )


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


async def refusal(headers: dict[str, str], *, denials: bool = True) -> ConnectionDenied:
    gateway = PrivateChatGateway(AuthService(KEY))
    async with GatewayTestClient(gateway) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect("/private-chat", headers=headers, denials=denials):
                pass
    assert gateway.left == []
    return refused.value


@pytest.mark.parametrize(
    "headers",
    [bearer(token()), {"cookie": f"theme=dark; token={token()}"}],
    ids=["header", "cookie"],
)
async def test_a_valid_token_lets_in_and_handlers_know_the_user(headers: dict[str, str]) -> None:
    gateway = PrivateChatGateway(AuthService(KEY))
    async with (
        GatewayTestClient(gateway) as client,
        client.connect("/private-chat", headers=headers) as alice,
    ):
        assert await alice.request("whoami") == ["alice", ["private-chat"]]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "token required"),
        ({"cookie": "theme=dark"}, "token required"),
        (bearer(""), "token required"),
        (bearer("no token"), "token invalid"),
        (bearer("a.b.c"), "token invalid"),
        (bearer("ÿ\x7f"), "token invalid"),
        (bearer(token(lifetime=-1)), "token expired"),
        (bearer(token(key="another key of thirty-two bytes or so")), "token invalid"),
        (bearer(token(key="", algorithm="none")), "token invalid"),
        (bearer(token()[:-2] + "xx"), "token invalid"),
        (bearer(token(iss="https://elsewhere.example")), "token invalid"),
        (bearer(jwt.encode({"sub": "alice", "iss": ISSUER}, KEY)), "token invalid"),
    ],
    ids=[
        "absent",
        "another cookie",
        "empty",
        "two words",
        "garbage",
        "not ascii",
        "expired",
        "forged",
        "unsigned",
        "tampered",
        "of another issuer",
        "without an expiry",
    ],
)
async def test_a_bad_token_is_refused_with_a_reason(headers: dict[str, str], reason: str) -> None:
    refused = await refusal(headers)
    assert (refused.status, refused.body) == (401, reason)


async def test_a_user_without_the_permission_is_forbidden() -> None:
    refused = await refusal(bearer(token(permissions=["public-chat"])))
    assert (refused.status, refused.body) == (403, "Forbidden")


async def test_a_server_that_cannot_carry_a_reason_answers_403() -> None:
    refused = await refusal({}, denials=False)
    assert (refused.status, refused.body) == (403, "")


async def test_the_connection_ends_when_its_token_expires() -> None:
    gateway = PrivateChatGateway(AuthService(KEY))
    async with (
        GatewayTestClient(gateway) as client,
        client.connect("/private-chat", headers=bearer(token(lifetime=2))) as alice,
    ):
        assert await alice.request("whoami")
        assert await alice.closed() == (4401, "expired")
        await client.settle()
    assert gateway.left == [("alice", 4401)]


async def test_a_browser_can_be_told_by_a_close_code() -> None:
    @namespace("/private-chat")
    class BrowserGateway:
        @on_connection_attempt
        async def validate(self, params: dict[str, str]) -> bool:
            raise ConnectionRejected("token required", close_code=4403)

    async with (
        GatewayTestClient(BrowserGateway()) as client,
        client.connect("/private-chat") as alice,
    ):
        assert await alice.closed() == (4403, "token required")


async def test_a_plain_function_decides_too() -> None:
    @namespace("/private-chat")
    class ThreadedGateway:
        @on_connection_attempt
        def validate(self, params: dict[str, str], request: ConnectionRequest) -> bool:
            return params.get("ticket") == "t"

    async with GatewayTestClient(ThreadedGateway()) as client:
        async with client.connect("/private-chat?ticket=t"):
            pass
        with pytest.raises(ConnectionDenied):
            async with client.connect("/private-chat?ticket=u"):
                pass


@namespace("/tickets")
class TicketsGateway:
    """Rejects in each of the ways there are."""

    @on_connection_attempt
    async def validate(self, params: dict[str, str]) -> bool:
        ticket = params.get("ticket")
        if ticket is None:
            raise ConnectionRejected("ticket required", status=400)
        if ticket == "broken":
            raise RuntimeError("the database password is hunter2")
        return ticket == "valid"


@pytest.mark.parametrize(
    ("url", "status", "body"),
    [
        ("/tickets", 400, "ticket required"),
        ("/tickets?ticket=invalid", 403, "Forbidden"),
        ("/tickets?ticket=broken", 403, "Forbidden"),
    ],
)
async def test_false_and_an_error_both_reject(url: str, status: int, body: str) -> None:
    async with GatewayTestClient(TicketsGateway()) as client:
        with pytest.raises(ConnectionDenied) as refused:
            async with client.connect(url):
                pass
        assert (refused.value.status, refused.value.body) == (status, body)


async def test_an_error_in_the_hook_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with GatewayTestClient(TicketsGateway()) as client:
        with pytest.raises(ConnectionDenied):
            async with client.connect("/tickets?ticket=broken"):
                pass
    (record,) = caplog.records
    assert "TicketsGateway.validate" in record.getMessage()
    assert record.exc_info is not None
