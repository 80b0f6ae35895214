"""Crowds on real sockets: what one of them does, and the end of the process, hurts nobody else."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple
from urllib.request import Request, urlopen

import pytest

from tests.effort import Effort
from tests.servers.crowd import Crowd, crowd
from tests.servers.definitions import SERVERS, Server
from tests.servers.processes import Served, launch

APP: Final = "tests.servers.crowd_app:application"
NAMED: Final = ("uvicorn", "hypercorn-asyncio", "hypercorn-trio", "daphne")
CHOSEN: Final = [server for server in SERVERS if server.name in NAMED]
PUSHING_BACK: Final = [server for server in CHOSEN if server.pushes_back]
OTHERS: Final = [server for server in CHOSEN if not server.pushes_back]

MIB: Final = 1024 * 1024
# One outbox, and what else one peer may cost.
ALLOWED: Final = 1.25 * MIB


def name(server: Server) -> str:
    return server.name


@pytest.fixture(scope="module", params=CHOSEN, ids=name)
def crowded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One server after the other, each kept for the tests that leave it running."""
    with launch(request.param, APP, tmp_path_factory.mktemp("crowds")) as served:
        served.wait_until_ready()
        yield served


def ask(served: Served, method: str, target: str) -> Any:
    """Plain HTTP."""
    request = Request(f"http://127.0.0.1:{served.port}/{target}", method=method)
    with urlopen(request, timeout=600) as answer:
        return json.load(answer)


def noted(served: Served, *note: Any) -> int:
    """How often the application has printed what begins like this."""
    lines = [json.loads(line) for line in served.log().splitlines() if line.startswith('["')]
    return sum(line[: len(note)] == list(note) for line in lines)


def wait_for(served: Served, count: int, *note: Any) -> None:
    """Waits until it has done so that often."""
    deadline = time.monotonic() + 20
    while (seen := noted(served, *note)) < count:
        assert time.monotonic() < deadline, f"{seen} of {count} {note}"
        time.sleep(0.02)


# One that never reads.


@dataclass(frozen=True)
class Load:
    """Broadcasts to a crowd."""

    path: str
    peers: int
    count: int
    size: int
    rate: float = 50
    outbox: int = MIB

    def run(self, served: Served, *, lazy: bool = False) -> Outcome:
        """Broadcasts, with or without somebody who never reads; nobody else may lose anything."""
        with crowd(served) as everybody:
            everybody.do("enter", path=self.path, count=self.peers)
            everybody.do("enter", path=self.path, count=int(lazy), lazy=True)
            before = ask(served, "POST", "memory")["now"]
            everybody.start("listen", seconds=self.count / self.rate + 60)
            target = f"path={self.path}&rate={self.rate}&count={self.count}&size={self.size}"
            ask(served, "POST", f"broadcast?{target}")
            heard = everybody.result()
            after = ask(served, "GET", "memory")["most"]
        assert heard["heard"] == {str(self.count): self.peers}
        assert heard["mistakes"] == 0, "out of order"
        assert heard["codes"] == {"null": self.peers}, "somebody was closed"
        return Outcome(heard["p99"], after - before)


class Outcome(NamedTuple):
    """Milliseconds, and bytes."""

    p99: float
    grown: float


def test_a_peer_that_never_reads_costs_the_others_nothing(crowded: Served, effort: Effort) -> None:
    short = Load("/narrow", peers=100, count=30, size=16384, outbox=32 * 1024)
    load = effort.of(short, Load("/crowd", peers=1000, count=3000, size=1024))
    rounds, by_hand = 1, ""
    if effort.soak:
        rounds = 3 if crowded.server is CHOSEN[0] else 1
        # As fast as this server, on this machine, does it and never falls back.
        while replace(load, count=150).run(crowded).p99 > max(100, 1000 / load.rate):
            load = replace(load, rate=load.rate / 2)
        bare = replace(load, path="/plain", count=150).run(crowded)
        load = replace(load, count=round(60 * load.rate))
        by_hand = f" (a loop by hand, without it: {bare.p99:.1f} ms)"
    without, with_it = [], []
    for _ in range(rounds):
        closed = noted(crowded, "left", load.path, 1013)
        without.append(load.run(crowded))
        with_it.append(load.run(crowded, lazy=True))
        # A slow server may have told it less than its outbox holds.
        if crowded.server.pushes_back and load.count * load.size > 1.25 * load.outbox:
            wait_for(crowded, closed + 1, "left", load.path, 1013)
    usual, p99 = (median(each.p99 for each in runs) for runs in (without, with_it))
    more = median(each.grown for each in with_it) - median(each.grown for each in without)
    effort.figure(
        f"One of {load.peers} sockets never reads {load.count} broadcasts of {load.size} bytes, "
        f"{load.rate:.0f} a second ({crowded.server.name})",
        "the others' p99 at most 1.1 times that without it; nothing lost; at most 1.25 MiB more",
        f"p99 {p99:.1f} ms, without it {usual:.1f} ms{by_hand}; nothing lost; "
        f"{more / MIB:.2f} MiB more",
    )
    if rounds > 1:
        assert p99 <= 1.1 * usual
    if effort.soak and crowded.server.pushes_back:
        assert more <= ALLOWED


def test_a_peer_that_asks_and_never_reads_is_read_no_further(
    crowded: Served, effort: Effort
) -> None:
    pushes_back = crowded.server.pushes_back
    with crowd(crowded) as one, crowd(crowded) as other:
        one.do("enter", path="/crowd", lazy=True)
        other.do("enter", path="/crowd")
        before = ask(crowded, "POST", "memory")["now"]
        # Where nothing else stops it, time does, before the machine is full.
        seconds = effort.of(5, 30) if pushes_back else 0.1
        one.start("flood", text='{"event":"big","id":1}', seconds=seconds)
        delays = other.do("ping", seconds=0.1, pause=0.005)
        flood = one.result()
        grown = ask(crowded, "GET", "memory")["most"] - before
    effort.figure(
        f"A peer asks and never reads ({crowded.server.name})",
        "its reading stops; 1.25 MiB at most",
        f"{grown / MIB:.2f} MiB, after {flood['taken'] / MIB:.1f} MiB of questions",
    )
    assert delays["worst"] < 10_000
    assert flood["stopped"] == bool(pushes_back)
    assert not pushes_back or grown <= effort.of(4 * MIB, ALLOWED)


@pytest.mark.parametrize("crowded", OTHERS, indirect=True, ids=name)
def test_a_heartbeat_finds_who_never_reads_where_no_send_waits(
    crowded: Served, effort: Effort
) -> None:
    with crowd(crowded) as one:
        one.do("enter", path="/beating", lazy=True)
        before = ask(crowded, "POST", "memory")["now"]
        ask(crowded, "POST", "broadcast?path=/beating&rate=1000&count=200&size=100000")
        kept = ask(crowded, "GET", "memory")["now"] - before
        wait_for(crowded, 1, "left", "/beating", 4408)
        deadline = time.monotonic() + 20
        while (still := ask(crowded, "GET", "memory")["now"] - before) > kept / 4:
            assert time.monotonic() < deadline, still
            time.sleep(0.1)
    effort.figure(
        f"A peer never reads 19 MiB ({crowded.server.name}, where no send waits)",
        "nothing is kept once its heartbeat is missed",
        f"{kept / MIB:.1f} MiB, then {still / MIB:.1f} MiB",
    )


# Fairness.

# Of a hundred bytes, as messages often are, but for the last two.
FLOODS: Final = {
    "questions": json.dumps({"event": "ping", "data": "x" * 70}),
    "silence": json.dumps({"event": "quiet", "data": "x" * 70}),
    "nonsense": json.dumps({"event": "ping", "data": "x" * 70})[:-1],
    "mountains": json.dumps({"event": "quiet", "data": [0] * 300_000}),
    "crumbs": "1",
}


def flood(served: Served, path: str, kind: str, seconds: float) -> dict[str, float]:
    """Two flood: the milliseconds that a third one waits for an answer."""
    with crowd(served) as flooders, crowd(served) as third:
        flooders.do("enter", path=path, count=2)
        third.do("enter", path=path)
        flooders.start("flood", text=FLOODS[kind], seconds=seconds + 0.2)
        delays = third.do("ping", seconds=seconds, pause=0.005)
        taken = flooders.result()["taken"]
    assert taken > MIB * seconds / 10, "that was no flood"
    return delays


@pytest.mark.parametrize("crowded", PUSHING_BACK, indirect=True, ids=name)
def test_two_that_flood_do_not_hold_up_a_third(crowded: Served, effort: Effort) -> None:
    seconds = effort.of(0.3, 10)
    for kind in effort.of(["questions", "mountains"], list(FLOODS)):
        delays = flood(crowded, "/crowd", kind, seconds)
        asked = "p99 under 50 ms, worst under 250 ms"
        p99, worst = effort.of(10_000, 50), effort.of(10_000, 250)
        if kind == "crumbs":
            # A server parses 256 KiB of these, ten thousands of messages, before anybody has a say.
            bare = flood(crowded, "/plain", kind, seconds)
            p99, worst = max(p99, bare["p99"]), max(worst, bare["worst"])
            asked += f", or no more than with no gateway: {bare['p99']:.1f} and {bare['worst']:.0f}"
        effort.figure(
            f"Two flood with {kind}, a third pings ({crowded.server.name})",
            asked,
            f"p99 {delays['p99']:.1f} ms, worst {delays['worst']:.0f} ms",
        )
        assert delays["p99"] < p99
        assert delays["worst"] < worst


@pytest.mark.parametrize("event", ["wait", "block"])
def test_a_hundred_hanging_handlers_do_not_hold_up_another_peer(
    crowded: Served, effort: Effort, event: str
) -> None:
    with crowd(crowded) as hanging, crowd(crowded) as other:
        other.do("enter", path="/crowd")
        waiting = noted(crowded, "waiting")
        hanging.do("enter", path="/crowd", count=100, say=json.dumps({"event": event}))
        # Of those that block, as many as there are threads.
        wait_for(crowded, waiting + (100 if event == "wait" else 40), "waiting")
        delays = other.do("ping", seconds=effort.of(0.2, 5), pause=0.005)
        if event == "block":
            ask(crowded, "POST", "release")
            wait_for(crowded, waiting + 100, "waiting")
    effort.figure(
        f"100 handlers {event} for ever, another peer pings ({crowded.server.name})",
        "worst under 250 ms",
        f"worst {delays['worst']:.0f} ms",
    )
    assert delays["worst"] < effort.of(10_000, 250)


# The end.

# How long each may take to end; daphne ends at once.
GRACE: Final = {"uvicorn": "--timeout-graceful-shutdown", "hypercorn": "--graceful-timeout"}
WAYS: Final = ["waits", "blocks", "swallows"]
PLACES: Final = ("connect", "handler", "disconnect")
SECONDS: Final = 15.0


def end(served: Served, everybody: Crowd) -> tuple[dict[str, int], float]:
    """Sends SIGTERM: the close codes that were seen, and the seconds until the process was gone."""
    everybody.start("listen", seconds=SECONDS)
    if not served.server.close_reason:
        # daphne aborts a second after a close, rounded down to a whole one (txaio 26.6).
        time.sleep(1 - time.time() % 1)
    started = time.monotonic()
    served.terminate()
    try:
        served.process.wait(SECONDS)
        took = time.monotonic() - started
    except subprocess.TimeoutExpired:
        took = inf
    return everybody.result()["codes"], took


@pytest.mark.parametrize("server", CHOSEN, ids=name)
def test_sigterm_closes_everybody_and_ends_the_process_whatever_hangs(
    server: Server, tmp_path: Path, effort: Effort
) -> None:
    peers, grace = effort.of((150, 1), (1000, 3))
    option = GRACE.get(server.name.partition("-")[0])
    if option is None:
        grace = 0
    else:
        server = replace(server, arguments=(*server.arguments, option, str(grace)))
    own = _own_end(server, tmp_path, peers) if effort.soak else 0.0
    for ways in effort.of([WAYS], [*([way] for way in WAYS), WAYS]):
        with launch(server, APP, tmp_path) as served, crowd(served) as everybody:
            served.wait_until_ready()
            for way in ways:
                everybody.do("knock", path=f"/{way}?at=attempt")
                for place in PLACES:
                    everybody.do("enter", path=f"/{way}?at={place}", say='{"event":"hang"}')
            everybody.do("enter", path="/crowd", count=peers)
            wait_for(
                served, len(PLACES) * len(ways), "hanging"
            )  # the attempts, less the disconnects
            time.sleep(2 * server.settling_seconds)  # a crowd takes its time
            everybody.do("say", text='{"event":"work","data":0.5}', peer=-1)
            everybody.do("say", text='{"event":"work","data":1000}', peer=-2)
            wait_for(served, 2, "working")
            codes, took = end(served, everybody)
        effort.figure(
            f"SIGTERM with {peers} peers, whose hooks and handlers {', '.join(ways)} for ever "
            f"({server.name}, {grace} s of grace)",
            "a close frame for everybody; the end within a second of the server's own",
            f"close frames {codes}; {took - grace:.1f} s after it "
            f"({own - grace:.1f} s with no gateway and one handler that waits)",
        )
        everyone = peers + len(PLACES) * len(ways)
        [code] = server.sigterm_codes
        assert codes == {str(code): everyone}
        assert noted(served, "left") == everyone
        ended = noted(served, "finished"), noted(served, "told")
        assert ended == (1, 1) or (not grace and ended == (0, 2))
        assert took < effort.of(grace + 10.0, own + 1.0)


def _own_end(server: Server, folder: Path, peers: int) -> float:
    """The seconds that a server takes by itself to end, with as many peers and one that hangs."""
    with launch(server, APP, folder) as served, crowd(served) as everybody:
        served.wait_until_ready()
        everybody.do("enter", path="/plain", count=peers)
        everybody.do("enter", path="/plain?at=handler")
        time.sleep(2 * server.settling_seconds)
        return end(served, everybody)[1]
