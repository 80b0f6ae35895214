"""The promises of the harness: one that checks nothing would make every other test worthless."""

import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import anyio.lowlevel
import anyio.to_thread
import pytest
import trio
from blockbuster import BlockingError
from hypothesis import given
from hypothesis import strategies as st

import asgi_ws_gateway


def package_code(statement: str) -> Callable[[], None]:
    """Compile a statement as if it stood in a file of our package."""
    file = Path(asgi_ws_gateway.__path__[0]) / "pretended.py"
    names: dict[str, Callable[[], None]] = {}
    exec(compile(f"import time\ndef run(): {statement}", file, "exec"), names)
    return names["run"]


async def test_async_tests_run_on_the_loop_they_are_named_after(anyio_backend_name: str) -> None:
    await anyio.lowlevel.checkpoint()
    assert trio.lowlevel.in_trio_run() == (anyio_backend_name == "trio")


def test_async_tests_run_on_both_loops(request: pytest.FixtureRequest) -> None:
    test = f"{__file__}::{test_async_tests_run_on_the_loop_they_are_named_after.__name__}"
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", test]
    root = request.config.rootpath
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "[asyncio] PASSED" in run.stdout
    assert "[trio] PASSED" in run.stdout


@given(st.integers())
async def test_property_tests_can_be_async(number: int) -> None:
    await anyio.lowlevel.checkpoint()
    assert number == int(str(number))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_blocking_call_of_the_package_is_an_error_in_the_loop() -> None:
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        package_code("time.sleep(0)")()


async def test_a_blocking_call_of_the_package_is_fine_in_a_thread() -> None:
    await anyio.to_thread.run_sync(package_code("time.sleep(0)"))


async def test_a_blocking_call_of_a_test_is_its_own_business() -> None:
    time.sleep(0)  # noqa: ASYNC251


def test_warnings_are_errors() -> None:
    with pytest.raises(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_every_test_has_a_timeout(request: pytest.FixtureRequest) -> None:
    assert float(request.config.getini("timeout")) == 60
