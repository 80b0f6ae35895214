"""Presence is plain data: it can be compared, unpacked and encoded."""

from asgi_ws_gateway.protocol.presence import Presence


def test_its_fields_are_those_of_the_api_in_that_order() -> None:
    assert Presence._fields == ("peer_id", "user", "namespace", "rooms", "node", "data")


def test_two_views_of_one_peer_are_equal() -> None:
    first = Presence("p1", "Ada", "/chat", frozenset({"a", "b"}), "n1", {"mood": "good"})
    second = Presence("p1", "Ada", "/chat", frozenset({"b", "a"}), "n1", {"mood": "good"})
    assert first == second
    assert first != second._replace(rooms=frozenset({"a"}))
