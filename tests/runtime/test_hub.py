"""The hub: by example, and against a model that keeps one plain list of who is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway import ALL
from asgi_ws_gateway.protocol.audience import Audience, Everyone
from asgi_ws_gateway.protocol.close_codes import Close
from asgi_ws_gateway.protocol.outbox import Verdict
from asgi_ws_gateway.runtime.hub import Hub
from asgi_ws_gateway.testing import FakePeer

QUEUED, DROPPED, OVERFLOW = Verdict.QUEUED, Verdict.DROPPED, Verdict.OVERFLOW


@dataclass(eq=False)
class Connection:
    """What the hub needs of one, and a record of what the hub does with it."""

    peer: FakePeer
    log: list[Any]
    verdict: Verdict = QUEUED
    joined: set[str] | None = None

    @property
    def id(self) -> str:
        return self.peer.id

    @property
    def writer(self) -> Connection:
        return self

    def push(
        self, payload: str | bytes, *, answer: bool = False, key: tuple[str, str] | None = None
    ) -> Verdict:
        self.log.append((self.id, payload, answer, key))
        return self.verdict

    def overflowed(self) -> None:
        self.log.append((self.id, "overflowed"))

    def close_soon(self, close: Close) -> None:
        raise NotImplementedError

    async def drain(self, grace: float) -> None:
        raise NotImplementedError

    async def settled(self, *, flushed: bool = True) -> bool:
        raise NotImplementedError


class Here:
    """A hub, and the connections that were added to it."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.log: list[Any] = []

    def add(
        self,
        id: str,
        *rooms: str,
        namespace: str = "/chat",
        user: str | None = None,
        verdict: Verdict = QUEUED,
    ) -> Connection:
        peer = FakePeer(id=id, namespace=namespace, user=user)
        connection = Connection(peer, self.log, verdict)
        self.hub.add(connection)
        for room in rooms:
            self.hub.join(connection, room)
        return connection

    def ids(self, room: str | Everyone | None = ALL, namespace: str = "/chat") -> list[str]:
        return [member.id for member in self.hub.audience(Audience(namespace, room))]

    def push(self, *members: Connection, **options: Any) -> tuple[int, int]:
        return self.hub.push(list(members), "hi", **options)


@pytest.fixture
def here() -> Here:
    return Here()


def test_a_peer_is_found_by_its_id_until_it_leaves(here: Here) -> None:
    ada, bob = here.add("ada"), here.add("bob")
    assert (here.hub.find("ada"), here.hub.find("bob"), here.hub.find("eve")) == (ada, bob, None)
    assert (len(here.hub), list(here.hub)) == (2, [ada, bob])
    here.hub.remove(ada)
    assert (here.hub.find("ada"), here.hub.find("bob")) == (None, bob)
    assert (len(here.hub), list(here.hub)) == (1, [bob])


def test_everyone_is_one_namespace_in_the_order_they_came(here: Here) -> None:
    for id in ("c", "a", "b"):
        here.add(id)
    here.add("elsewhere", namespace="/other")
    assert here.ids() == ["c", "a", "b"]
    assert here.ids(namespace="/other") == ["elsewhere"]
    assert here.ids(namespace="/nowhere") == []


def test_a_room_is_of_its_namespace_and_in_the_order_they_joined(here: Here) -> None:
    ada, bob = here.add("ada"), here.add("bob", "lobby")
    elsewhere = here.add("eve", "lobby", namespace="/other")
    here.hub.join(ada, "lobby")
    here.hub.join(ada, "attic")
    assert ada.joined == {"lobby", "attic"}
    assert (here.ids("lobby"), here.ids("attic")) == (["bob", "ada"], ["ada"])
    assert here.ids("lobby", "/other") == [elsewhere.id]
    here.hub.leave(bob, "lobby")
    assert (bob.joined, here.ids("lobby")) == (set(), ["ada"])
    assert here.ids("lobby", "/other") == [elsewhere.id]


def test_who_joins_twice_is_there_once_and_leaves_once(here: Here) -> None:
    ada = here.add("ada", "lobby", "lobby")
    assert here.ids("lobby") == ["ada"]
    here.hub.leave(ada, "lobby")
    assert here.ids("lobby") == []


def test_who_leaves_a_room_it_is_not_in_changes_nothing(here: Here) -> None:
    ada, bob = here.add("ada", "lobby"), here.add("bob")
    for room in ("lobby", "attic"):
        here.hub.leave(bob, room)
    assert (ada.joined, bob.joined, here.ids("lobby")) == ({"lobby"}, None, ["ada"])


def test_nobody_is_in_a_room_without_a_name_or_that_nobody_joined(here: Here) -> None:
    here.add("ada", "lobby")
    assert (here.ids(None), here.ids("attic"), here.ids("lobby", "/other")) == ([], [], [])


def test_a_single_peer_is_meant_by_its_id_whatever_the_rest_says(here: Here) -> None:
    ada = here.add("ada")
    here.add("bob")
    assert here.hub.audience(Audience("/chat", ALL, "ada")) == [ada]
    assert here.hub.audience(Audience("/chat", "lobby", "ada")) == [ada]
    assert here.hub.audience(Audience("/chat", ALL, "gone")) == []


def test_a_user_has_all_its_connections_whatever_their_namespace(here: Here) -> None:
    phone = here.add("phone", user="ada")
    desk = here.add("desk", user="ada", namespace="/other")
    here.add("tablet", user="bob")
    here.add("guest")
    assert here.hub.user("ada") == [phone, desk]
    assert here.hub.user("nobody") == []
    here.hub.remove(phone)
    assert here.hub.user("ada") == [desk]


def test_a_user_is_who_it_was_on_its_way_in(here: Here) -> None:
    ada = here.add("a", user="ada")
    guest = here.add("g")
    ada.peer.user, guest.peer.user = "eve", "ada"
    assert (here.hub.user("ada"), here.hub.user("eve")) == ([ada], [])
    for each in (guest, ada):
        here.hub.remove(each)
    assert here.hub.user("ada") == []


def test_who_leaves_is_in_nothing_any_more_and_its_rooms_are_still_told(here: Here) -> None:
    ada = here.add("ada", "lobby", "attic", user="ada")
    here.add("bob", "lobby")
    here.hub.remove(ada)
    assert (here.ids(), here.ids("lobby"), here.ids("attic")) == (["bob"], ["bob"], [])
    assert ada.joined == {"lobby", "attic"}


def test_who_leaves_twice_takes_nobody_along(here: Here) -> None:
    gone = here.add("ada", "lobby", user="ada")
    here.hub.remove(gone)
    again = here.add("bob", "lobby", user="ada")
    here.hub.remove(gone)
    assert (len(here.hub), here.ids(), here.ids("lobby")) == (1, ["bob"], ["bob"])
    assert here.hub.user("ada") == [again]


def test_who_has_gone_may_still_leave_its_rooms(here: Here) -> None:
    ada = here.add("ada", "lobby", "attic")
    here.add("bob", "lobby")
    here.hub.remove(ada)
    for room in ("lobby", "attic"):
        here.hub.leave(ada, room)
    assert (ada.joined, here.ids("lobby"), here.ids("attic")) == (set(), ["bob"], [])


def test_nothing_is_kept_of_peers_rooms_and_users_that_are_gone(here: Here) -> None:
    ada = here.add("ada", "lobby", "attic", user="ada")
    bob = here.add("bob", "lobby", user="bob", namespace="/other")
    here.hub.leave(ada, "attic")
    for member in here.hub:
        here.hub.remove(member)
    here.hub.remove(bob)
    assert not any(vars(here.hub).values())


def test_a_payload_goes_to_each_in_turn_as_it_is(here: Here) -> None:
    members = [here.add("ada"), here.add("bob")]
    assert here.push(*members) == (2, 0)
    assert here.push(members[1], key=("moved", "k")) == (1, 0)
    assert here.log == [
        ("ada", "hi", False, None),
        ("bob", "hi", False, None),
        ("bob", "hi", False, ("moved", "k")),
    ]


@pytest.mark.parametrize("exclude", [("ada", "eve"), {"ada", "eve"}, ["eve", "nobody", "ada"]])
def test_who_is_excluded_is_passed_over_and_not_counted(here: Here, exclude: Any) -> None:
    members = [here.add(id) for id in ("ada", "bob", "eve", "dan")]
    assert here.push(*members, exclude=exclude) == (2, 0)
    assert [entry[0] for entry in here.log] == ["bob", "dan"]


def test_what_is_dropped_is_counted_and_stops_nothing(here: Here) -> None:
    verdicts = [DROPPED, QUEUED, DROPPED, DROPPED, QUEUED]
    members = [here.add(str(place), verdict=each) for place, each in enumerate(verdicts)]
    assert here.push(*members) == (2, 3)
    assert [entry[0] for entry in here.log] == ["0", "1", "2", "3", "4"]


def test_who_overflows_is_ended_once_everybody_has_been_handed_the_payload(here: Here) -> None:
    verdicts = [OVERFLOW, QUEUED, DROPPED, OVERFLOW, QUEUED]
    members = [here.add(str(place), verdict=each) for place, each in enumerate(verdicts)]
    assert here.push(*members) == (2, 3)
    assert [entry[1] for entry in here.log] == ["hi"] * 5 + ["overflowed"] * 2
    assert here.log[5:] == [("0", "overflowed"), ("3", "overflowed")]


def test_members_and_audiences_are_copies_that_outlast_a_change(here: Here) -> None:
    ada, bob = here.add("ada", "lobby", user="u"), here.add("bob", "lobby", user="u")
    copies: list[Any] = [
        iter(here.hub),
        here.hub.user("u"),
        here.hub.audience(Audience("/chat")),
        here.hub.audience(Audience("/chat", "lobby")),
    ]
    here.hub.remove(ada)
    assert [list(copy) for copy in copies] == [[ada, bob]] * 4


IDS = ["a", "b", "c", "d"]
ROOMS = ["lobby", "attic"]
NAMESPACES = ["/chat", "/other"]
USERS = ["ada", "bob"]

steps = st.one_of(
    st.tuples(
        st.just("add"),
        st.sampled_from(IDS),
        st.sampled_from(NAMESPACES),
        st.sampled_from([None, *USERS]),
    ),
    st.tuples(st.just("remove"), st.sampled_from(IDS)),
    st.tuples(st.sampled_from(["join", "leave"]), st.sampled_from(IDS), st.sampled_from(ROOMS)),
)


@given(st.lists(steps, max_size=40))
def test_it_holds_what_its_model_holds(actions: list[tuple[Any, ...]]) -> None:
    here = Here()
    model: dict[str, Connection] = {}
    rooms: dict[str, set[str]] = {}
    for action, id, *rest in actions:
        if action == "add" and id not in model:
            namespace, user = rest
            model[id] = here.add(id, namespace=namespace, user=user)
            rooms[id] = set()
        elif action == "remove" and id in model:
            here.hub.remove(model.pop(id))
            del rooms[id]
        elif action == "join" and id in model:
            here.hub.join(model[id], rest[0])
            rooms[id].add(rest[0])
        elif action == "leave" and id in model:
            here.hub.leave(model[id], rest[0])
            rooms[id].discard(rest[0])
        members = list(model.values())
        assert (len(here.hub), list(here.hub)) == (len(members), members)
        assert [here.hub.find(each) for each in IDS] == [model.get(each) for each in IDS]
        for user in USERS:
            assert here.hub.user(user) == [each for each in members if each.peer.user == user]
        for namespace in NAMESPACES:
            inside = [each for each in members if each.peer.namespace == namespace]
            assert here.ids(ALL, namespace) == [each.id for each in inside]
            for room in ROOMS:
                assert set(here.ids(room, namespace)) == {
                    each.id for each in inside if room in rooms[each.id]
                }
    assert {id: each.joined or set() for id, each in model.items()} == rooms
    for each in model.values():
        here.hub.remove(each)
    assert not any(vars(here.hub).values())
