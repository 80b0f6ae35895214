"""A service does what a model of it says, whatever its clients do in whatever order."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial, wraps
from itertools import groupby
from math import inf
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus, TestRunner
from anyio.lowlevel import checkpoint
from anyio.pytest_plugin import get_runner
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from asgi_ws_gateway import ALL, LimitReached, Peer, PeerClosed, WebSocketService
from asgi_ws_gateway.runtime import connection, turn
from asgi_ws_gateway.testing import ClientConnection, ConnectionDenied, GatewayTestClient
from tests.effort import Effort
from tests.reliability.model import LIMITS, ROOMS, SECONDS, SMALL, Model, Person, Record, gateways

REFUSALS = {
    "origin": (403, "origin"),
    "no": (403, "hook"),
    "full": (429, "hook"),
    "told": (4001, "hook"),
    "failure": (403, "hook_failed"),
}
AFTERWARDS = {"no": (1008, "refused"), "failure": (1011, "internal error")}
FAILURES = {"failure": "handler_failed", "object": "handler_failed", "refusal": "unwanted"}
REPLIES = ("answer", "rejection", "leaves", "drops", "is closed")

paths = st.sampled_from(list(LIMITS))
users = st.sampled_from(["ann", "bob", "eve", None])
rooms = st.sampled_from(ROOMS)
arrivals = st.tuples(paths, users, st.booleans())
audiences = rooms | st.none() | st.just(ALL)
goings = st.sampled_from(["closed", "drops", "breaks"])
keys = st.sampled_from([None, "x", "y"])
closes = st.sampled_from([(1000, ""), (1001, ""), (4000, "enough")])


class Errors(logging.Handler):
    """Keeps the errors that are logged, but for those of the gateways' own."""

    OWN = ("runtime.dispatcher", "runtime.conversation", "asgi.attempt")

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.endswith(self.OWN):
            self.kept.append(self.format(record))


def step(kind: Any = rule, **arguments: Any) -> Callable[[Callable[..., Any]], Any]:
    """A rule that runs in the event loop, until everything has happened that it leads to."""

    def decorate(body: Callable[..., Any]) -> Any:
        @wraps(body)
        def run(self: Machine, **given: Any) -> Any:
            return self.run(self.take, body, given)

        return kind(**arguments)(run)

    return decorate


class Machine(RuleBasedStateMachine):
    """Does the same to a service and to its model."""

    here = Bundle("here")
    gone = Bundle("gone")

    def __init__(self, runner: TestRunner, errors: Errors, done: Counter[str]) -> None:
        super().__init__()
        self.runner = runner
        self.errors = errors
        self.done = done
        self.done["runs"] += 1
        self.record = Record()
        self.model = Model()
        self.connections: dict[str, ClientConnection] = {}
        self.watched: list[Person] = []
        self.number = 0
        self.failure: BaseException | None = None
        self.run(self.start)

    def run(self, work: Callable[..., Any], *args: Any) -> Any:
        """Runs a coroutine function in the event loop, which stands still in between."""
        try:
            return self.runner.run_fixture(partial(work, *args), {})
        except BaseException as failure:
            self.failure = failure
            raise

    async def start(self) -> None:
        self.tasks = len(anyio.get_running_tasks())
        self.service = WebSocketService()
        self.service.register(*gateways(self.record))
        self.client = GatewayTestClient(self.service, timeout=SECONDS)
        self.stack = AsyncExitStack()
        self.over = anyio.Event()
        self.group = await anyio.create_task_group().__aenter__()
        await self.group.start(self.live)

    async def live(self, *, task_status: TaskStatus[None]) -> None:
        """In a task of its own: if the service fails, it is cancelled."""
        try:
            async with self.client, self.stack:
                task_status.started()
                await self.over.wait()
        except Exception as failure:
            self.failure = failure

    async def take(self, body: Callable[..., Any], given: dict[str, Any]) -> Any:
        self.done["steps"] += 1
        result = await body(self, **given)
        await self.settle()
        return result

    async def settle(self) -> None:
        """Lets everything happen. Whoever was closed and does not read reads the close."""
        self.model.settle()
        while self.model.slow:
            person = self.model.slow.pop(0)
            await self.until_gone(person)
            self.connection(person).resume()
        await self.client.settle()

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(SECONDS):
            while not condition():
                await checkpoint()

    async def until_gone(self, person: Person) -> None:
        """Waits until the service knows that somebody is gone."""
        await self.until(lambda: not self.peer(person).connected)

    async def until_left(self, person: Person) -> None:
        """Waits until all that somebody said is handled."""
        await self.until(lambda: person.name in self.record.left)

    def peer(self, person: Person) -> Peer:
        return self.record.peers[person.name]

    def connection(self, person: Person) -> ClientConnection:
        return self.connections[person.name]

    def sent(self, event: str) -> tuple[str, int]:
        """An event with data that no other has."""
        self.number += 1
        return event, self.number

    async def tell(self, who: Person, event: str, data: Any, with_id: bool = True) -> int | None:
        """Lets a client say something; returns the id, if there is one."""
        self.number += 1
        id = self.number if with_id else None
        await self.connection(who).send(event, data, id=id)
        self.model.stats.received += 1
        return id

    async def whisper(self, who: Person, times: int) -> list[tuple[str, int]]:
        """Lets a client say something to the others."""
        whispers = [self.sent(who.name) for _ in range(times)]
        for whisper in whispers:
            await self.tell(who, "whisper", whisper, with_id=False)
        return whispers

    def overhear(self, who: Person, whispers: list[tuple[str, int]]) -> None:
        """Lets the others hear it."""
        for whisper in whispers:
            self.model.stats.handled += 1
            self.model.send(self.model.audience(who.path, ALL, [who]), "whispered", [*whisper])

    async def pose(self, who: Person, other: Person) -> Any:
        """Lets a handler that works for one ask the other; returns the question."""
        await self.tell(who, "ask", other.name, with_id=False)
        other.questions += 1
        self.model.send([other], "question", who.name, id=f"s:{other.questions}")
        connection = self.connection(other)
        await self.until(lambda: "question" in [frame["event"] for frame in connection.pending])
        return connection.pending[-1]

    async def able(self, *people: Person) -> bool:
        """Whether all are here, and have room for an answer; those who have not read first."""
        for person in people:
            if LIMITS[person.path].outbox_messages == SMALL:
                self.read(person)
        await self.settle()
        return all(person.here for person in people)

    # Coming.

    async def enter(self, path: str, user: str | None, **query: str) -> Person:
        person = self.model.come(path, user)
        query = {"name": person.name, **query} | ({} if user is None else {"user": user})
        url = f"{path}?" + "&".join(f"{key}={query[key]}" for key in query)
        connection = await self.stack.enter_async_context(self.client.connect(url))
        self.connections[person.name] = connection
        self.watched.append(person)
        return person

    @step(target=here, people=st.lists(arrivals, min_size=1, max_size=3))
    async def connect(self, people: list[Any]) -> Any:
        return await self.enter_all(people)

    async def enter_all(self, people: list[Any]) -> Any:
        entered = []
        for path, user, reads in people:
            entered.append(await self.enter(path, user))
            await self.settle()
            if not reads:
                self.stop_reading(entered[-1])
        return multiple(*entered)

    @step(
        initialize,
        target=here,
        people=st.lists(arrivals, min_size=2),
        order=st.random_module(),
        gives_way=st.booleans(),
    )
    async def begin(self, people: list[Any], order: Any, gives_way: bool) -> Any:
        """Some are here at first. `order` is that in which trio runs what is ready."""
        turn.SECONDS = 0.0 if gives_way else inf
        return await self.enter_all(people)

    @step(other=here, why=st.sampled_from(list(REFUSALS)))
    async def refuse(self, other: Person, why: str) -> None:
        code, cause = REFUSALS[why]
        self.model.stats.refused[cause] += 1
        url = f"{other.path}?name=nobody&attempt={why}"
        headers = {"origin": "http://elsewhere"} if why == "origin" else {}
        if why == "told":
            async with self.client.connect(url) as connection:
                assert await connection.closed() == (code, why)
            return
        with pytest.raises(ConnectionDenied) as denial:
            await self.stack.enter_async_context(self.client.connect(url, headers=headers))
        assert denial.value.status == code

    @step(target=gone, other=here, user=users, why=st.sampled_from(list(AFTERWARDS)))
    async def refuse_afterwards(self, other: Person, user: str | None, why: str) -> Person:
        person = await self.enter(other.path, user, connect=why)
        self.model.end([person], *AFTERWARDS[why])
        await self.until_left(person)
        return person

    # Rooms.

    @step(who=here, room=rooms)
    async def join(self, who: Person, room: str) -> None:
        if who.here and not who.may_join(room):
            with pytest.raises(LimitReached):
                self.peer(who).join(room)
            return
        assert self.peer(who).join(room) is who.here
        if who.here:
            who.rooms.add(room)

    @step(who=here, room=rooms)
    async def ask_to_join(self, who: Person, room: str) -> None:
        if not await self.able(who):
            return
        id = await self.tell(who, "join", room)
        if who.may_join(room):
            who.rooms.add(room)
            self.model.handle(who, "ack", True, id)
        else:
            self.model.fail(who, "limit_reached", "join", id)

    @step(who=here, room=rooms)
    async def leave_room(self, who: Person, room: str) -> None:
        assert self.peer(who).leave(room) is who.here
        if who.here:
            who.rooms.discard(room)

    # What the application sends.

    @step(who=here, by_id=st.booleans(), latest=keys)
    async def emit(self, who: Person, by_id: bool, latest: str | None) -> None:
        peer, sent = self.peer(who), self.sent("news")
        report = await self.service.emit(peer.id if by_id else peer, *sent, latest=latest)
        assert report == self.model.send([who], *sent, latest)

    @step(who=here, latest=keys)
    async def send(self, who: Person, latest: str | None) -> None:
        sent = self.sent("news")
        queued = await self.peer(who).send(*sent, latest=latest)
        assert queued == self.model.send([who], *sent, latest).queued

    @step(who=here, path=st.none() | paths, latest=keys)
    async def emit_to_user(self, who: Person, path: str | None, latest: str | None) -> None:
        user, sent = who.user or "nobody", self.sent("news")
        report = await self.service.emit_to_user(user, *sent, namespace=path, latest=latest)
        assert report == self.model.send(self.model.of(user, path), *sent, latest)

    @step(path=paths, room=audiences, who=here, others=st.lists(here, max_size=2), latest=keys)
    async def broadcast(
        self, path: str, room: Any, who: Person, others: list[Person], latest: str | None
    ) -> None:
        sent = self.sent("news")
        exclude = [self.peer(who).id, *map(self.peer, others)]
        report = await self.service.broadcast(
            path, *sent, room=room, exclude=exclude, latest=latest
        )
        audience = self.model.audience(path, room, [who, *others])
        assert report == self.model.send(audience, *sent, latest)

    @step(who=here, room=audiences, latest=keys)
    async def broadcast_others(self, who: Person, room: Any, latest: str | None) -> None:
        sent = self.sent("news")
        peer = self.peer(who)
        report = await self.service.broadcast_others(peer, *sent, room=room, latest=latest)
        audience = self.model.audience(who.path, room, [who])
        assert report == self.model.send(audience, *sent, latest)

    @step(who=here, times=st.integers(1, 3 * SMALL), to_all=st.booleans(), unread=st.booleans())
    async def flood(self, who: Person, times: int, to_all: bool, unread: bool) -> None:
        if unread:
            self.stop_reading(who)
        for _ in range(times):
            peer, sent = self.peer(who), self.sent("flood")
            report = await (peer.broadcast(*sent) if to_all else self.service.emit(peer, *sent))
            assert report == self.model.send(
                self.model.audience(who.path) if to_all else [who], *sent
            )

    @step(who=gone, room=audiences)
    async def remember(self, who: Person, room: Any) -> None:
        """Whoever is gone gets nothing, and is still heard by those who are here."""
        peer, sent = self.peer(who), self.sent("afterwards")
        assert await self.service.emit(peer, "late") == (0, 0, True)
        assert not any([await peer.send("late"), peer.join(room or "attic"), peer.leave("attic")])
        with pytest.raises(PeerClosed):
            await peer.ask("late")
        await peer.close()
        report = await peer.broadcast(*sent, room=room)
        assert report == self.model.send(self.model.audience(who.path, room), *sent)

    # What clients say.

    @step(who=here, room=st.none() | rooms, with_id=st.booleans())
    async def say(self, who: Person, room: str | None, with_id: bool) -> None:
        if not await self.able(who):
            return
        data = {"room": room, "number": self.number}
        id = await self.tell(who, "say", data, with_id)
        self.model.handle(who, "first", data, id)
        self.model.send(self.model.audience(who.path, room), "second", data)
        self.model.send(self.model.audience(who.path, ALL, [who]), "third", data)

    @step(who=here, how=st.sampled_from(list(FAILURES)), with_id=st.booleans())
    async def fail(self, who: Person, how: str, with_id: bool) -> None:
        if await self.able(who):
            id = await self.tell(who, "fail", how, with_id)
            self.model.fail(who, FAILURES[how], "fail", id)

    @step(who=here, others=st.lists(here), times=st.integers(1, 3))
    async def whisper_at_once(self, who: Person, others: list[Person], times: int) -> None:
        """Of those who might overflow nobody knows whose message would be one too many."""
        for person in dict.fromkeys([who, *others]):
            if person.here and LIMITS[person.path].outbox_messages != SMALL:
                self.overhear(person, await self.whisper(person, times))

    @step(who=here, other=here, reply=st.sampled_from(REPLIES))
    async def ask(self, who: Person, other: Person, reply: str) -> None:
        self.read(other)
        if not await self.able(who, other):
            return
        connection, question = self.connection(other), await self.pose(who, other)
        match reply:
            case "answer":
                connection.answer(question, self.number)
                self.model.stats.received += 1
                self.model.handle(who, "answered", self.number)
                return
            case "rejection":
                connection.reject(question, "busy")
                self.model.stats.received += 1
                self.model.handle(who, "answered", "busy")
                return
            case "leaves":
                await connection.close()
                self.model.leave([other], 1000)
            case "drops":
                await connection.drop()
                self.model.leave([other], 1006)
            case "is closed":
                await self.service.disconnect(self.peer(other), 4003, "no time")
                self.model.end([other], 4003, "no time")
        self.model.skip(who)

    @step(target=gone, who=consumes(here), other=here, how=goings, words=st.integers(0, 3))
    async def ask_and_go(self, who: Person, other: Person, how: str, words: int) -> Person:
        """A handler outlives its peer, which is still heard unless it was us who closed it."""
        self.read(other)
        if not await self.able(who, other):
            return await self.drop_out(who, 0)
        question = await self.pose(who, other)
        whispers = await self.whisper(who, words)
        await self.until(lambda: self.service.stats().received == self.model.stats.received)
        match how:
            case "closed":
                self.read(who)
                await self.service.disconnect(self.peer(who), 4003, "no time")
                self.model.end([who], 4003, "no time")
            case "drops":
                self.connection(who).drop()
                self.model.leave([who], 1006)
            case "breaks":
                await self.lose([who])
        await self.until_gone(who)
        if other is who:
            self.model.skip(who)
        else:
            self.connection(other).answer(question)
            self.model.stats.received += 1
            self.model.handle(who, "answered", None)
        if how != "closed":
            self.overhear(who, whispers)
        await self.until_left(who)
        return who

    # Going.

    @step(target=gone, who=consumes(here), how=closes, words=st.integers(0, 3))
    async def leave(self, who: Person, how: tuple[int, str], words: int) -> Person:
        """What somebody says before it leaves is heard, even if it waits by then."""
        if words and await self.able(who):
            self.overhear(who, await self.whisper(who, words))
        if who.here:
            self.model.leave([who], *how)
            await self.connection(who).close(*how)
        return who

    @step(target=gone, who=consumes(here), words=st.integers(0, 3))
    async def drop(self, who: Person, words: int) -> Person:
        """The same without a goodbye, unless a send fails before it is read."""
        return await self.drop_out(who, 0 if who.sending else words)

    async def drop_out(self, who: Person, words: int) -> Person:
        if words and await self.able(who):
            self.overhear(who, await self.whisper(who, words))
        if who.here:
            self.model.leave([who], 1006)
            await self.connection(who).drop()
        return who

    @step(target=gone, who=consumes(here))
    async def ask_to_be_closed(self, who: Person) -> Person:
        """What somebody says after it was closed is not heard."""
        self.read(who)
        if who.here:
            await self.tell(who, "close", None)
            await self.connection(who).send("whisper", "unheard")
            self.model.stats.handled += 1
            self.model.end([who], 4002, "as you wish")
        return who

    @step(target=gone, who=consumes(here), by_id=st.booleans(), how=closes, drops=st.booleans())
    async def disconnect(
        self, who: Person, by_id: bool, how: tuple[int, str], drops: bool
    ) -> Person:
        """If it drops at the same time, it was us first."""
        peer = self.peer(who)
        if drops:
            self.connection(who).drop()
        await self.service.disconnect(peer.id if by_id else peer, *how)
        if who.here and drops:
            self.model.leave([who], *how, lost=True)
        elif who.here:
            self.model.end([who], *how)
        return who

    @step(target=gone, who=consumes(here), how=closes)
    async def close(self, who: Person, how: tuple[int, str]) -> Person:
        self.read(who)
        await self.peer(who).close(*how)
        if who.here:
            self.model.end([who], *how)
        return who

    @step(who=here)
    async def disconnect_user(self, who: Person) -> None:
        user = who.user or "nobody"
        await self.service.disconnect_user(user, reason="go")
        self.model.end(self.model.of(user), 1008, "go")

    @step(who=here, others=st.lists(here, max_size=2), error=st.sampled_from([OSError, ValueError]))
    async def break_sockets(
        self, who: Person, others: list[Person], error: type[Exception]
    ) -> None:
        """A send that hangs fails; if none does, the next one does."""
        broken = [person for person in dict.fromkeys([who, *others]) if person.here]
        # What they would say when they go, those who go next must not hear.
        await self.lose([person for person in broken if person.sending] or broken, error)

    async def lose(self, people: list[Person], error: type[Exception] = OSError) -> None:
        for person in people:
            self.connection(person).fail_sends(error("broken"))
            self.connection(person).resume()
        for path in dict.fromkeys(person.path for person in people if not person.sending):
            lost = [person for person in people if person.path == path]
            sent = self.sent("news")
            report = await self.service.broadcast(path, *sent)
            others = self.model.audience(path, ALL, lost)
            certain = self.model.send(others, *sent)
            # Whether the others' send has failed by now is up to the event loop.
            surplus = report.queued - certain.queued
            assert 0 <= surplus <= len(lost)
            assert sum(report[:2]) == len(others) + len(lost)
            self.model.stats.queued += surplus
        self.model.leave(people, 1006, lost=True)

    # Reading late.

    @step(who=here, others=st.lists(here))
    async def pause(self, who: Person, others: list[Person]) -> None:
        for person in [who, *others]:
            self.stop_reading(person)

    @step(who=here)
    async def resume(self, who: Person) -> None:
        self.read(who)

    def stop_reading(self, who: Person) -> None:
        if who.here:
            who.paused = True
            self.connection(who).pause()

    def read(self, who: Person) -> None:
        if who.paused:
            who.read()
            self.connection(who).resume()

    # What is true after every step.

    @invariant()
    def the_service_is_as_the_model(self) -> None:
        self.run(self.compare, self.watched)

    async def compare(self, people: list[Person]) -> None:
        if self.failure is not None:
            raise self.failure
        for person in people:
            peer, connection = self.peer(person), self.connection(person)
            heard = [await connection.receive_frame() for _ in connection.pending]
            assert (person, in_order(heard)) == (person, in_order(person.heard))
            assert (peer.connected, peer.rooms) == (person.here, person.rooms)
            if not (person.here or person.lost):
                assert await connection.closed() == person.end
            person.heard.clear()
        self.watched = [person for person in people if person.here]
        ends = {person.name: person for person in self.model.people if person.end}
        assert self.record.left == {
            name: [(*person.end, person.rooms)] for name, person in ends.items()
        }
        assert self.record.unanswered == self.model.unanswered
        for path in LIMITS:
            assert {entry[5]: entry[1:4] for entry in await self.service.presence(path)} == {
                person.name: (person.user, path, person.rooms)
                for person in self.model.audience(path)
            }
            for room in ROOMS:
                peers = self.service.peers(path, room=room)
                assert {peer.presence for peer in peers} == {
                    person.name for person in self.model.audience(path, room)
                }
        # What else was lost, with a connection, depends on who was faster.
        lost = Counter(overflow=self.service.stats().dropped["overflow"])
        assert replace(self.service.stats(), dropped=lost) == self.model.stats
        assert self.errors.kept == []

    def teardown(self) -> None:
        try:
            if self.failure is None:
                self.run(self.everybody_leaves)
        finally:
            self.run(self.end)

    async def everybody_leaves(self) -> None:
        for person in self.watched:
            self.read(person)
        await self.settle()
        for person in self.watched:
            self.model.leave([person], 1000)
            await self.connection(person).close()
            await self.settle()
        await self.compare(self.model.people)
        assert not any(vars(self.service.running.hub).values())

    async def end(self) -> None:
        if self.failure is not None:
            self.group.cancel_scope.cancel()
        self.over.set()
        await self.group.__aexit__(None, None, None)
        assert self.failure or len(anyio.get_running_tasks()) == self.tasks


def in_order(frames: list[Any]) -> list[Any]:
    """With those in one order that may come in any: what several say at once."""
    ordered: list[Any] = []
    for event, group in groupby(frames, lambda frame: frame["event"]):
        some = list(group)
        ordered += (
            sorted(some, key=lambda frame: frame["data"][0]) if event == "whispered" else some
        )
    return ordered


@pytest.mark.timeout(3600)  # every wait in it has a limit of its own
def test_a_service_does_what_its_model_says(
    anyio_backend: str, effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = Errors()
    logger = logging.getLogger("asgi_ws_gateway")
    monkeypatch.setattr(logger, "handlers", [errors])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(turn, "SECONDS", inf)  # every run sets it
    monkeypatch.setattr(connection, "SHUTDOWN_SECONDS", SECONDS)
    done = Counter(runs=0, steps=0)
    differences = "a difference"
    try:
        with get_runner(anyio_backend, {}) as runner:
            run_state_machine_as_test(
                lambda: Machine(runner, errors, done),
                settings=settings(
                    max_examples=effort.of(200, 2000),
                    stateful_step_count=effort.of(30, 100),
                    derandomize=not effort.soak,
                    print_blob=True,
                    report_multiple_bugs=False,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate, Phase.shrink],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        differences = "no difference"
    finally:
        effort.figure(
            f"a service and its model do the same, on {anyio_backend}",
            "2,000 runs of up to 100 steps, no difference",
            f"{done['runs']:,} runs, {done['steps']:,} steps, {differences}",
        )
