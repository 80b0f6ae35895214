"""What every test gets: both event loops, and an error for each blocking call in one."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.effort import PAGE, Effort, with_rows

pytest.register_assert_rewrite("asgi_ws_gateway.testing.contracts")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The long versions of the tests that have two."""
    parser.addoption(
        "--soak",
        action="store_true",
        help="run the long versions, and write what they measure into docs/reference",
    )


@pytest.fixture(scope="session")
def effort(request: pytest.FixtureRequest) -> Iterator[Effort]:
    """How much a test with two versions does."""
    effort = Effort(soak=request.config.getoption("soak"))
    yield effort
    if effort.soak:
        PAGE.write_text(with_rows(PAGE.read_text(), effort.figures))


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each async test once on asyncio and once on trio."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Turn a blocking call in the event loop into an error when our package is on the stack.

    blockbuster notices asyncio's loop only. Since every async test runs on asyncio too, that is
    enough. Blocking calls of a test's own body are not ours to judge, those of its handlers are.
    """
    with blockbuster_ctx(scanned_modules=["asgi_ws_gateway"]) as active:
        # coverage takes a lock at every call, which a thread may hold just then.
        active.functions["threading.Lock.acquire"].can_block_in(
            "coverage/collector.py", {"lock_data"}
        )
        yield active
