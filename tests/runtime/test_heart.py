"""A connection's clocks, at the edge of what a clock can tell apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from asgi_ws_gateway.runtime.heart import Heart


@pytest.mark.parametrize(("heard", "closed"), [(100.0, False), (99.999, True)])
def test_an_answer_in_the_same_instant_as_the_question_is_one(
    heard: float, closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop's clock goes in milliseconds."""
    monkeypatch.setattr(anyio, "current_time", lambda: 101.0)
    told: list[Any] = []
    background: Any = SimpleNamespace(call_later=lambda seconds, call: lambda: None)
    inbox: Any = SimpleNamespace(paused=False)
    heart = Heart(background, inbox, 1.0, beat=lambda: None, close=told.append)
    heart.heard = heard
    heart._check(asked=100.0)
    assert bool(told) is closed
