"""Handlers called by hand: nothing is sent, everything is recorded."""

from typing import Any

import pytest

from asgi_ws_gateway import (
    ALL,
    AskRejected,
    AskTimeout,
    BlockingPeer,
    ConnectionRejected,
    ConnectionRequest,
    EncodeError,
    JSONCodec,
    Peer,
    PeerClosed,
    broadcast_others,
    emit,
    message,
    namespace,
    on_connection_attempt,
)
from asgi_ws_gateway.testing import FakeBlockingPeer, FakeBroadcast, FakePeer, fake_request


@namespace("/chat")
class Chat:
    @on_connection_attempt
    async def attempt(self, params: dict[str, str], request: ConnectionRequest) -> bool:
        if params.get("token") != request.headers.get("x-token"):
            raise ConnectionRejected("no", status=401)
        return True

    @message("whisper")
    async def on_whisper(self, data: dict[str, Any], peer: Peer) -> None:
        await peer.send("whispered", data)

    @message("say")
    @emit("said")
    @broadcast_others("heard")
    async def on_say(self, data: str) -> str:
        return data.upper()

    @message("block")
    def on_block(self, data: str, peer: BlockingPeer) -> None:
        peer.send("blocked", data)
        peer.broadcast("all", data)


async def test_a_handler_is_called_with_a_fake_peer() -> None:
    peer = FakePeer(namespace="/chat", user="Ada")
    await Chat().on_whisper({"text": "x"}, peer)
    assert peer.sent == [("whispered", {"text": "x"})]
    assert peer.user == "Ada"


async def test_a_decorated_handler_returns_its_value_and_sends_nothing() -> None:
    assert await Chat().on_say("x") == "X"


def test_a_plain_handler_is_called_with_a_fake_blocking_peer() -> None:
    peer = FakeBlockingPeer(namespace="/chat", user="Ada")
    Chat().on_block("x", peer)
    assert peer.sent == [("blocked", "x")]
    assert peer.broadcasts == [FakeBroadcast("all", "x", ALL, False)]


async def test_an_attempt_hook_is_called_with_a_fake_request() -> None:
    request = fake_request("/chat?token=t", headers={"X-Token": "t"})
    assert await Chat().attempt(request.params, request) is True
    request = fake_request("/chat?token=t")
    with pytest.raises(ConnectionRejected):
        await Chat().attempt(request.params, request)


def test_a_fake_request_is_a_whole_handshake() -> None:
    request = fake_request(
        "wss://example.org:8443/rooms/4%32/?a=1&a=2",
        headers=[("Cookie", "c=d"), ("Cookie", "e=f"), ("Origin", "https://example.org")],
        subprotocols=["a", "b"],
        client=("10.0.0.1", 5),
        path_params={"room": "42"},
    )
    assert request.namespace == "/rooms/42"
    assert request.path == "/rooms/42/"
    assert request.path_params == {"room": "42"}
    assert request.query.get_all("a") == ["1", "2"]
    assert request.cookies == {"c": "d", "e": "f"}
    assert (request.host, request.origin) == ("example.org:8443", "https://example.org")
    assert request.subprotocols == ("a", "b")
    assert (request.ip, request.scheme) == ("10.0.0.1", "wss")


def test_a_fake_request_has_sensible_defaults() -> None:
    request = fake_request()
    assert (request.namespace, request.host, request.ip) == ("/", "testserver", "testclient")
    assert (request.params, request.path_params, request.subprotocols) == ({}, {}, ())
    assert fake_request(client=None).ip is None
    assert fake_request(headers={"Host": "other"}).host == "other"


async def test_a_fake_peer_is_what_it_is_told() -> None:
    request = fake_request("/chat?a=1", path_params={"b": "2"})
    peer = FakePeer(
        namespace="chat/",
        user="Ada",
        state={"theme": "dark"},
        presence="away",
        rooms=["red"],
        request=request,
        id="7",
    )
    assert isinstance(peer, Peer)
    assert (peer.id, peer.namespace, peer.user, peer.presence) == ("7", "/chat", "Ada", "away")
    assert peer.state == {"theme": "dark"}
    assert peer.rooms == frozenset({"red"})
    assert (peer.params, peer.path_params, peer.ip) == ({"a": "1"}, {"b": "2"}, "testclient")
    assert "/chat" in repr(peer)


async def test_a_fake_peer_knows_nothing_unless_told() -> None:
    peer = FakePeer()
    assert (peer.namespace, peer.user, peer.state, peer.presence) == ("/", None, {}, None)
    assert (peer.rooms, peer.connected, peer.closed) == (frozenset(), True, None)
    assert (peer.sent, peer.broadcasts, peer.asked) == ([], [], [])


async def test_broadcasts_are_recorded_and_reach_nobody() -> None:
    peer = FakePeer()
    assert await peer.broadcast("all", 1) == (0, 0, True)
    await peer.broadcast_others("others", 2, room="red", latest="k")
    assert peer.broadcasts == [
        FakeBroadcast("all", 1, ALL, False),
        FakeBroadcast("others", 2, "red", True),
    ]


async def test_rooms_are_entered_and_left() -> None:
    peer = FakePeer()
    assert peer.join("red")
    assert peer.join("red")
    assert peer.join("blue")
    assert peer.leave("red")
    assert peer.leave("never")
    assert peer.rooms == frozenset({"blue"})


@pytest.mark.parametrize("room", ["", None, 5])
async def test_a_room_that_cannot_be_joined_cannot_be_joined_here(room: Any) -> None:
    with pytest.raises(ValueError, match="room"):
        FakePeer().join(room)


async def test_questions_have_the_answers_they_are_given() -> None:
    peer = FakePeer(answers={"sure?": True, "really?": AskRejected("no"), "null": None})
    assert await peer.ask("sure?", 1) is True
    assert await peer.ask("null") is None
    with pytest.raises(AskRejected):
        await peer.ask("really?")
    with pytest.raises(AskTimeout, match=r"answers=\{'other'"):
        await peer.ask("other", timeout=1)
    assert peer.asked == [("sure?", 1), ("null", None), ("really?", None), ("other", None)]


async def test_once_closed_it_behaves_like_one_that_is_gone() -> None:
    peer = FakePeer(rooms=["red"], answers={"sure?": True})
    await peer.close(4000, "\N{EURO SIGN}" * 50)
    await peer.close()
    assert peer.closed == (4000, "\N{EURO SIGN}" * 41)
    assert not peer.connected
    assert await peer.send("news") is False
    assert peer.join("blue") is peer.leave("red") is False
    assert peer.rooms == frozenset({"red"})
    with pytest.raises(PeerClosed):
        await peer.ask("sure?")
    assert peer.sent == peer.asked == []


async def test_what_a_real_peer_refuses_is_refused() -> None:
    peer = FakePeer()
    with pytest.raises(EncodeError):
        await peer.send("news", object())
    with pytest.raises(EncodeError):
        await peer.broadcast("news", float("nan"))
    with pytest.raises(EncodeError):
        await peer.ask("news", {1: 2})
    for reserved in ("ack", "error", "heartbeat", ""):
        with pytest.raises(ValueError, match="reserved"):
            await peer.send(reserved)
    with pytest.raises(ValueError, match="close code"):
        await peer.close(1006)
    assert peer.sent == peer.broadcasts == peer.asked == []


async def test_a_codec_of_your_own_decides_what_can_be_sent() -> None:
    peer = FakePeer(codec=JSONCodec(default=repr))
    await peer.send("news", {1, 2})
    assert peer.sent == [("news", {1, 2})]


def test_a_fake_whose_verb_would_wait_says_so() -> None:
    class Suspends:
        def __await__(self) -> Any:
            yield

    async def suspends() -> None:
        await Suspends()

    with pytest.raises(RuntimeError, match="a fake peer's call waited"):
        FakeBlockingPeer()._portal.run(suspends)


def test_a_fake_blocking_peer_has_all_the_verbs() -> None:
    peer = FakeBlockingPeer(answers={"sure?": True}, rooms=["red"], state={"a": 1})
    assert isinstance(peer, BlockingPeer)
    assert peer.connected
    assert peer.send("news", 1, latest="k") is True
    assert peer.broadcast("all") == peer.broadcast_others("others", room="red") == (0, 0, True)
    assert peer.ask("sure?") is True
    assert peer.join("blue")
    assert peer.leave("red")
    assert peer.rooms == frozenset({"blue"})
    peer.state["b"] = 2
    assert peer.state == {"a": 1, "b": 2}
    peer.close(4000)
    assert peer.closed == (4000, "")
    assert peer.sent == [("news", 1)]
    assert peer.asked == [("sure?", None)]
    assert [item.others for item in peer.broadcasts] == [False, True]
    with pytest.raises(ValueError, match="close code"):
        peer.close(1006)
