"""Server processes: started, waited for, and always killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.definitions import Server

__all__ = ["Served", "launch"]

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 25.0


@dataclass
class Served:
    """A server that runs, or is about to."""

    server: Server
    port: int
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def log(self) -> str:
        """What the server and the application have printed."""
        return self.log_file.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        """Returns when it accepts connections."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"{self.server.name} did not start:\n{self.log()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"{self.server.name} did not start in time:\n{self.log()}")

    def terminate(self) -> None:
        """Sends SIGTERM to the process that was started, as an operator would."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and whatever it has started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(5)


@contextmanager
def launch(server: Server, app: str, folder: Path, *, mounted: bool = False) -> Iterator[Served]:
    """Starts a server in a process group of its own, which does not outlive the context."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    log_file = folder / f"{server.name}-{port}.log"
    with log_file.open("wb") as output:
        process = subprocess.Popen(
            server.command(app, port, mounted=mounted),
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    served = Served(server, port, process, log_file)
    try:
        yield served
    finally:
        served.kill()
