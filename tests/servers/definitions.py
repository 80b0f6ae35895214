"""The servers, how each is started, and where each cannot do what the others can.

A difference is a `Capability` with the reason for it, so that a scenario asks for what it needs and
never for a server's name. Versions seen: uvicorn 0.54, hypercorn 0.18, daphne 4.2, granian 2.8.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

__all__ = ["SERVERS", "Capability", "Server"]


@dataclass(frozen=True)
class Capability:
    """Whether a server does something, and why not (or what is remarkable about it)."""

    there: bool
    why: str = ""

    def __bool__(self) -> bool:
        return self.there


YES: Final = Capability(True)


def no(why: str) -> Capability:
    return Capability(False, why)


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server with one of its event loops or websocket implementations.

    Attributes:
        name: The parameter's id in the test report.
        arguments: Of the Python interpreter; `{port}` and `{app}` are filled in.
        root_path: Further arguments that mount the app at `/api`.
        lifespan: It sends lifespan events.
        lifespan_shutdown: The application gets to the end of its lifespan on SIGTERM.
        denial: Status, headers and body of a refusal arrive; else it is always a bare 403.
        accept_headers: Headers sent with the accept arrive.
        close_codes: Every code that the RFC allows can be sent; else only 1000 and 3000-4999.
        close_reason: The reason of a close arrives.
        close_outlives_input: A close arrives although messages of the client were not read.
        client_codes: The application learns the client's close code; else it is always 1006.
        lost_code: What the application learns when the connection breaks.
        tells_departure_early: A client that leaves during the handshake is noticed.
        answers_header_floods: A request with over 128 headers, or 8 KiB in one, is answered.
        inflates_within_limits: A compression bomb is noticed before it has grown.
        pushes_back: A send waits while the client does not read.
        sigterm_codes: What clients see on SIGTERM; 1006 is an end without a close.
        waits_on_sigterm: A connection whose handler runs is given the time to end.
        settling_seconds: Nothing may have connected for so long, or its own shutdown fails.
    """

    name: str
    arguments: tuple[str, ...]
    root_path: tuple[str, ...] = ("--root-path", "/api")
    lifespan: Capability = YES
    lifespan_shutdown: Capability = YES
    denial: Capability = YES
    accept_headers: Capability = YES
    close_codes: Capability = YES
    close_reason: Capability = YES
    close_outlives_input: Capability = YES
    client_codes: Capability = YES
    lost_code: int = 1006
    tells_departure_early: Capability = YES
    answers_header_floods: Capability = YES
    inflates_within_limits: Capability = YES
    pushes_back: Capability = YES
    sigterm_codes: frozenset[int] = frozenset({1012})
    waits_on_sigterm: Capability = YES
    settling_seconds: float = 0

    def command(self, app: str, port: int, *, mounted: bool) -> list[str]:
        """Serves `app` on 127.0.0.1; `mounted`, under the root path `/api`."""
        filled = [argument.format(port=port, app=app) for argument in self.arguments]
        return [sys.executable, *filled, *(self.root_path if mounted else ())]

    def code(self, code: int) -> int:
        """What a client sees of a close code that we send."""
        return code if self.close_codes or code == 1000 or code >= 3000 else code + 3000

    def reason(self, reason: str) -> str:
        """What a client sees of a reason that we send."""
        return reason if self.close_reason else ""

    def status(self, status: int) -> int:
        """What a client sees of a status that we refuse with."""
        return status if self.denial else 403

    def flooded(self, code: int, reason: str) -> set[tuple[int, str]]:
        """What a client may see of a close while it goes on sending."""
        lost = set() if self.close_outlives_input else {(1006, "")}
        return lost | {(self.code(code), self.reason(reason))}

    def client_code(self, code: int) -> int:
        """What the application sees of a code that a client sends."""
        return code if self.client_codes else 1006


_WSPROTO: Final = {
    "inflates_within_limits": no("wsproto 1.3 inflates all it is given, then looks at its size")
}
_WEBSOCKETS: Final = {
    "answers_header_floods": no("websockets 17.4 raises at that, and uvicorn then says nothing")
}


def _uvicorn(name: str, websockets: str, loop: str) -> Server:
    return Server(
        name=name,
        arguments=(
            *("-m", "uvicorn", "{app}", "--host", "127.0.0.1", "--port", "{port}"),
            *("--ws", websockets, "--loop", loop, "--no-access-log"),
        ),
        lost_code=1005,
        **_WSPROTO if websockets == "wsproto" else _WEBSOCKETS,
    )


def _hypercorn(worker: str) -> Server:
    return Server(
        name=f"hypercorn-{worker}",
        arguments=("-m", "hypercorn", "-b", "127.0.0.1:{port}", "-w", "1", "-k", worker, "{app}"),
        client_codes=no("hypercorn says 1006 for every departure"),
        inflates_within_limits=_WSPROTO["inflates_within_limits"],
        # Three seconds after the signal it cancels the applications; ours then close with 1012.
        sigterm_codes=frozenset({1012}),
    )


_DAPHNE: Final = Server(
    name="daphne",
    arguments=("-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "{app}"),
    lifespan=no("daphne has no lifespan"),
    lifespan_shutdown=no("daphne has no lifespan"),
    denial=no("daphne has no denial extension: every refusal is a bare 403"),
    accept_headers=no("daphne drops them"),
    close_codes=no("daphne takes 1000 and 3000-4999 only"),
    close_reason=no("daphne drops it"),
    pushes_back=no("daphne takes everything at once, and keeps it in memory"),
    sigterm_codes=frozenset({4012}),
    waits_on_sigterm=no("daphne stops the loop a few turns after it has cancelled everything"),
    settling_seconds=1.2,
)

_GRANIAN: Final = Server(
    name="granian",
    arguments=(
        *("-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}"),
        *("--loop", "asyncio", "{app}"),
    ),
    root_path=("--url-path-prefix", "/api"),
    accept_headers=no("granian drops them"),
    close_outlives_input=no("granian ends TCP at once, and unread input makes that a reset"),
    lost_code=1005,
    tells_departure_early=no("granian's receive tells nothing before the accept"),
    # Receivers are told of a disconnect, then the process is gone within 0.3 s.
    sigterm_codes=frozenset({1006}),
    waits_on_sigterm=no("granian kills what still runs after 0.3 s"),
)

SERVERS: Final = (
    _uvicorn("uvicorn", "websockets-sansio", "asyncio"),
    _uvicorn("uvicorn-uvloop", "websockets-sansio", "uvloop"),
    _uvicorn("uvicorn-wsproto", "wsproto", "asyncio"),
    _hypercorn("asyncio"),
    _hypercorn("trio"),
    _DAPHNE,
    _GRANIAN,
)
