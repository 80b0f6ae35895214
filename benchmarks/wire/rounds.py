"""Rounds on the wire: in each, every system is served by a new process and measured once.

This process is the client. The server's CPU time is counted for the server alone, so that its share
of a message does not depend on how fast the client is.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.systems import SYSTEMS, System
from benchmarks.wire.client import Client
from benchmarks.wire.figures import Figures, Sample, merged, table
from benchmarks.wire.usage import Usage
from tests.servers.definitions import SERVERS, Server
from tests.servers.processes import launch

__all__ = ["BY_NAME", "DEFAULT", "Script", "Served", "main", "measured"]

DEFAULT: Final = "uvicorn"
# No ping of the server's own is to come between.
QUIET: Final = {"uvicorn": ("--ws-ping-interval", "3600"), "daphne": ("--ping-interval", "3600")}
BY_NAME: Final = {
    server.name: replace(
        server, arguments=(*server.arguments, *QUIET.get(server.name.partition("-")[0], ()))
    )
    for server in SERVERS
}


class Node(Server):
    """A program in JavaScript, which serves itself."""

    def command(self, app: str, port: int, *, mounted: bool) -> list[str]:
        return ["node", app, str(port)]


@dataclass(frozen=True)
class Served:
    """A system that runs."""

    system: System
    port: int
    usage: Usage

    def enter(self, count: int, *, poor: bool = False) -> list[Client]:
        """So many clients."""
        return Client.enter(count, self.port, self.system, poor=poor)

    def message(self, event: str, data: object) -> str:
        """As this system wants it."""
        return self.system.message(event, data)


@dataclass(frozen=True)
class Script:
    """One script: what it measures, and of how many."""

    name: str
    measure: Callable[[Served, Sequence[int]], dict[str, Sample]]
    sizes: tuple[int, ...]


@contextmanager
def served(system: System, server: Server) -> Iterator[Served]:
    """A new process that serves it."""
    if system.on_node:
        server = Node(name="node", arguments=())
    with (
        tempfile.TemporaryDirectory() as folder,
        launch(server, system.app, Path(folder)) as process,
    ):
        process.wait_until_ready()
        # What is done at the first connection only is not what is measured.
        Client.leave(Client.enter(20, process.port, system))
        yield Served(system, process.port, Usage(process.process.pid))


def measured(
    script: Script, systems: Sequence[str], rounds: int, server: Server, sizes: Sequence[int]
) -> Figures:
    """All rounds; a system that fails is told about and left out."""
    figures: Figures = {}
    failed: set[str] = set()
    gc.disable()  # the client's
    for number in range(rounds):
        for name in systems:
            if name in failed:
                continue
            try:
                with served(SYSTEMS[name], server) as one:
                    result = script.measure(one, sizes)
            except (OSError, AssertionError, RuntimeError) as error:
                print(f"{script.name} of {name} left out: {error}", file=sys.stderr)
                failed.add(name)
                figures.pop(name, None)
                continue
            for case, sample in result.items():
                figures.setdefault(name, {}).setdefault(case, []).append(sample)
        gc.collect()
        report.progress(script.name, number + 1, rounds)
    return figures


def main(*scripts: Script) -> None:
    """The command line that every script has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", choices=BY_NAME, default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--systems", nargs="+", default=("by_hand", "gateway"), choices=SYSTEMS)
    parser.add_argument("--sizes", nargs="+", type=int, help="of how many")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    if options.sizes and len(scripts) > 1:
        parser.error("--sizes is for a script of its own")
    server = BY_NAME[options.server]
    parts = [
        measured(script, options.systems, options.rounds, server, options.sizes or script.sizes)
        for script in scripts
    ]
    text = table(merged(parts))
    package = server.name.partition("-")[0]
    packages = [package, "websockets", "anyio"]
    about = report.about(packages, server.name, f"rounds: {options.rounds}")
    print(f"{about}\n\n{text}")
    if options.write:
        report.fill(f"wire-{server.name}", f"{text}\n{about}\n")
