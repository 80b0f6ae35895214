"""A blocking peer is the same peer, seen from a thread."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_ws_gateway.testing import FakeBlockingPeer


@pytest.mark.parametrize(
    ("name", "value"), [("user", "ada"), ("state", {"seat": 3}), ("presence", ["typing"])]
)
def test_what_one_of_the_two_is_given_the_other_has(name: str, value: Any) -> None:
    blocking = FakeBlockingPeer()
    setattr(blocking, name, value)
    assert getattr(blocking.fake, name) is value
    setattr(blocking.fake, name, "changed")
    assert getattr(blocking, name) == "changed"


def test_both_are_of_one_connection() -> None:
    blocking = FakeBlockingPeer(id="p", namespace="/chat", rooms=["lobby"])
    assert (blocking.id, blocking.namespace) == ("p", "/chat")
    assert blocking.request is blocking.fake.request
    assert (blocking.rooms, blocking.connected) == ({"lobby"}, True)
    blocking.close()
    assert (blocking.connected, blocking.fake.connected) == (False, False)
