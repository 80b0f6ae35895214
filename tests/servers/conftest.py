"""Every scenario runs against every server, each started once and shared by all scenarios."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.client import control
from tests.servers.definitions import SERVERS, Server
from tests.servers.processes import Served, launch

APP = "tests.servers.app:application"

# What no server may ever say of the application, whatever a scenario does to it.
FORBIDDEN = (
    "Exception in ASGI application",
    "Exception in callback",
    "ASGI callable returned without",
    "ASGI callable should return None",
    "A background task failed",
    "never retrieved",
    "never awaited",
    "Unhandled",
    "Error in ASGI Framework",
    "took too long to shut down",
    "which does not end",
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The client's loop; which one the application runs on is the server's choice."""
    return "asyncio"


class Fleet:
    """All servers that the chosen tests need, started together and kept."""

    def __init__(self, servers: list[Server], folder: Path) -> None:
        self._stack = ExitStack()
        self._served = {
            server: self._stack.enter_context(launch(server, APP, folder)) for server in servers
        }

    def __getitem__(self, server: Server) -> Served:
        served = self._served[server]
        served.wait_until_ready()
        return served

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    wanted = {
        item.callspec.params["server"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "served" in item.fixturenames
    }
    fleet = Fleet(
        [server for server in SERVERS if server in wanted], tmp_path_factory.mktemp("fleet")
    )
    yield fleet
    fleet.close()


@pytest.fixture(scope="session", params=SERVERS, ids=lambda server: server.name)
def server(request: pytest.FixtureRequest) -> Server:
    """One server after the other."""
    chosen: Server = request.param
    return chosen


@pytest.fixture(scope="session")
def served(server: Server, fleet: Fleet) -> Iterator[Served]:
    """The server with the application of all scenarios.

    In the end everyone who came must have left, once; and it must not have complained.
    """
    served = fleet[server]
    yield served
    asyncio.run(_check_journal(served))
    log = served.log()
    complaints = [line for line in log.splitlines() if any(part in line for part in FORBIDDEN)]
    assert complaints == []


async def _check_journal(served: Served) -> None:
    async with control(served) as looking:
        unbalanced = await looking.request("unbalanced")
    assert unbalanced == {}


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts the server for one scenario only."""
    with ExitStack() as stack:

        def start(app: str = APP, *, mounted: bool = False) -> Served:
            served = stack.enter_context(launch(server, app, tmp_path, mounted=mounted))
            served.wait_until_ready()
            return served

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the end of the server's log beside a failure."""
    report = yield
    served = getattr(item, "funcargs", {}).get("served")
    if report.failed and isinstance(served, Served):
        report.sections.append((f"log of {served.server.name}", served.log()[-6000:]))
    return report
