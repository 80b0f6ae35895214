"""What observers raise goes no further, unless it ends the process."""

from __future__ import annotations

import pytest

from asgi_ws_gateway import Observer
from asgi_ws_gateway.runtime.telemetry import Telemetry


class Odd(BaseException):
    """What only some libraries raise."""


class Raising(Observer):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def refused(self, namespace: str | None, reason: str) -> None:
        raise self.error


class Listening(Observer):
    def __init__(self) -> None:
        self.log: list[str] = []

    def refused(self, namespace: str | None, reason: str) -> None:
        self.log.append(reason)


@pytest.mark.parametrize("error", [ValueError("secret"), Odd("secret")])
def test_an_observer_that_fails_is_logged_and_the_others_are_told(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    listening = Listening()
    telemetry = Telemetry([Raising(error), listening])
    telemetry.refused("/chat", "hook")
    assert listening.log == ["hook"]
    assert telemetry.stats.refused == {"hook": 1}
    assert caplog.messages == ["An observer failed: Raising"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_observer_may_end_the_process(error: type[BaseException]) -> None:
    telemetry = Telemetry([Raising(error())])
    with pytest.raises(error):
        telemetry.refused("/chat", "hook")
