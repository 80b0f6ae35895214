"""The built-in strategies plan: from a result to an audience, and nothing is ever sent to all by
accident."""

from typing import Any

import pytest

from asgi_ws_gateway.emitters import SKIP, EmitterStrategy, ToAll, ToOthers, ToSender
from asgi_ws_gateway.peer import Peer
from asgi_ws_gateway.protocol.audience import ALL, Audience, Delivery
from asgi_ws_gateway.request import ConnectionRequest

LINK: Any = None  # a plan asks nothing of the connection
PEER: Peer[Any] = Peer(
    LINK, id="p1", namespace="/rooms/7", request=ConnectionRequest({}, "/rooms/7", {}), user="Ada"
)


def test_the_sender_is_the_only_peer_meant() -> None:
    delivery = ToSender("sent").plan({"ok": True}, None, PEER)
    assert delivery == Delivery(Audience("/rooms/7", peer="p1"), "sent", {"ok": True})


def test_all_are_everyone_at_the_concrete_path_the_sender_included() -> None:
    assert ToAll("new").plan(1, None, PEER) == Delivery(Audience("/rooms/7"), "new", 1)


def test_others_are_everyone_but_the_sender() -> None:
    assert ToOthers("new").plan(1, None, PEER) == Delivery(
        Audience("/rooms/7", exclude=("p1",)), "new", 1
    )


@pytest.mark.parametrize("strategy", [ToAll, ToOthers])
def test_a_room_and_a_key_may_be_fixed(strategy: type[ToAll]) -> None:
    delivery = strategy("moved", "lobby", "cursor").plan(1, None, PEER)
    assert delivery is not None
    assert delivery.audience.room == "lobby"
    assert delivery.latest == "cursor"


@pytest.mark.parametrize("strategy", [ToAll, ToOthers])
def test_a_room_and_a_key_may_be_said_by_callables_of_the_data_and_the_peer(
    strategy: type[ToAll],
) -> None:
    seen: list[tuple[Any, Any]] = []

    def room(data: Any, peer: Peer[Any]) -> str:
        seen.append((data, peer))
        return f"room-{data['room']}"

    def latest(data: Any, peer: Peer[Any]) -> str:
        seen.append((data, peer))
        return f"{peer.user}"

    data = {"room": 3}
    delivery = strategy("moved", room, latest).plan("result", data, PEER)
    assert delivery is not None
    assert delivery.audience.room == "room-3"
    assert delivery.latest == "Ada"
    assert seen == [(data, PEER), (data, PEER)]


def test_a_callable_may_say_everyone_and_no_key() -> None:
    delivery = ToAll("new", lambda data, peer: ALL, lambda data, peer: None).plan(1, None, PEER)
    assert delivery == Delivery(Audience("/rooms/7"), "new", 1)


@pytest.mark.parametrize("strategy", [ToAll, ToOthers])
def test_no_room_is_nobody(strategy: type[ToAll]) -> None:
    assert strategy("new", None).plan(1, None, PEER) is None
    assert strategy("new", lambda data, peer: data.get("room")).plan(1, {}, PEER) is None


@pytest.mark.parametrize("room", [5, True, ["lobby"], ("lobby",), {}, b"lobby", object()])
def test_a_room_that_is_no_text_fails_before_anything_is_sent(room: Any) -> None:
    with pytest.raises(TypeError, match="room= gave a "):
        ToAll("new", lambda data, peer: room).plan(1, None, PEER)


@pytest.mark.parametrize("key", [5, ["cursor"], {}, ALL])
def test_a_key_that_is_no_text_fails_before_anything_is_sent(key: Any) -> None:
    with pytest.raises(TypeError, match="latest= gave a "):
        ToAll("new", latest=lambda data, peer: key).plan(1, None, PEER)


def test_a_callable_that_fails_is_heard_of() -> None:
    with pytest.raises(KeyError):
        ToAll("new", lambda data, peer: data["room"]).plan(1, {}, PEER)


@pytest.mark.parametrize("result", [None, False, 0, "", [], {}])
def test_an_empty_result_is_sent_like_any_other(result: Any) -> None:
    for strategy in (ToSender("new"), ToAll("new"), ToOthers("new")):
        delivery = strategy.plan(result, None, PEER)
        assert delivery is not None
        assert delivery.data is result


def test_the_built_in_ones_keep_the_contract_of_strategies() -> None:
    for strategy in (ToSender("new"), ToAll("new"), ToOthers("new")):
        assert isinstance(strategy, EmitterStrategy)


def test_skip_reads_as_it_is_written() -> None:
    assert repr(SKIP) == "SKIP"
