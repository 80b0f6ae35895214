"""What is decided before an accept: by the checks of every handshake, then by the attempt hook."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias, cast

from ..errors import ConnectionRejected
from ..request import Accept, ConnectionRequest
from ..routing.table import Hook, Namespace
from ..runtime.invoke import Interrupted, Reason, Stage
from ..runtime.log import Log, quoted
from ..runtime.running import Running
from ..service import WebSocketService
from .origin import origin_allowed
from .transport import ASGITransport

__all__ = ["DRAINING", "UNAVAILABLE", "Attempt", "HeaderPairs", "Refusal", "encode"]

logger = Log(__name__)

HeaderPairs: TypeAlias = Iterable[tuple[str, str]]

MAX_QUERY_BYTES: Final = 8192
MAX_QUERY_PARAMETERS: Final = 256

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Refusal(NamedTuple):
    """An answer to a client that is not let in.

    Attributes:
        cause: For the counters.
        close_code: Accept, and close with this, in place of a status.
    """

    status: int
    reason: str
    cause: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close_code: int | None = None


_ACCEPT: Final = Accept()
_FORBIDDEN: Final = Refusal(403, "Forbidden", "hook")
UNAVAILABLE: Final = Refusal(503, "Service Unavailable", "timeout")
DRAINING: Final = UNAVAILABLE._replace(cause="draining")


class Attempt:
    """The attempt hook and all that is checked before it."""

    def __init__(
        self,
        service: WebSocketService,
        running: Running,
        namespace: Namespace,
        transport: ASGITransport,
        request: ConnectionRequest,
    ) -> None:
        self._service = service
        self._running = running
        self._namespace = namespace
        self._transport = transport
        self._request = request
        self._left = False
        self._stage: Stage

    async def decide(self) -> Accept | Refusal | None:
        """Lets in, refuses, or has nobody to answer any more."""
        request = self._request
        if self._running.draining_since is not None:
            return DRAINING
        if not origin_allowed(request, self._namespace.allowed_origins):
            self._service.complaints.warn(
                logger,
                "origin",
                "Refused origin %s for namespace %s: list it in allowed_origins",
                quoted(request.origin or ""),
                quoted(request.namespace),
            )
            return _FORBIDDEN._replace(cause="origin")
        query = request.scope.get("query_string") or b""
        separator: Any = "&" if isinstance(query, str) else b"&"
        if len(query) > MAX_QUERY_BYTES or query.count(separator) >= MAX_QUERY_PARAMETERS:
            return _FORBIDDEN._replace(cause="query")
        hook = self._namespace.on_connection_attempt
        if hook is None:
            return _ACCEPT
        if not self._running.admission.begin_attempt():
            return UNAVAILABLE._replace(cause="max_attempts")
        try:
            return await self._ask(hook)
        finally:
            self._running.admission.end_attempt()

    async def _ask(self, hook: Hook) -> Accept | Refusal | None:
        dispatcher = self._service.dispatcher(self._running, self._namespace)
        seconds = self._namespace.limits.attempt_timeout
        self._stage = Stage(self._running.background, self._watch)
        self._stage.end_within(seconds)
        self._running.attempts.add(self._stage)
        try:
            with self._stage.scope:
                try:
                    answer = await dispatcher.run_hook(
                        hook, self._stage, None, self._request.params, self._request
                    )
                except ConnectionRejected as rejection:
                    return self._rejected(hook, rejection)
                return self._judge(hook, answer)
        except Interrupted:
            pass
        except Exception as error:
            # The hook's own, or that of what it gave: headers, say, may be any iterable.
            self._complain(hook, "%s failed: refused with 403", error=error)
            return _FORBIDDEN._replace(cause="hook_failed")
        finally:
            self._running.attempts.discard(self._stage)
        if self._left:
            self._running.telemetry.refused(self._namespace.pattern.text, "left")
            return None
        if self._stage.interrupted_by is Reason.GONE:
            return DRAINING
        self._complain(hook, "%s took longer than %s s: refused with 503", seconds)
        return UNAVAILABLE

    def _watch(self) -> None:
        self._transport.watch(self._running.background, self._on_left)

    def _on_left(self) -> None:
        self._left = True
        if self._stage.busy:
            self._stage.interrupt(Reason.GONE)

    def _judge(self, hook: Hook, answer: Any) -> Accept | Refusal:
        if answer is True:
            return Accept()
        if isinstance(answer, Accept):
            return self._check(hook, answer)
        if answer is not False:
            self._complain(
                hook,
                "%s returned %s, neither True, False nor Accept(...): refused with 403",
                type(answer).__name__,
            )
        return _FORBIDDEN

    def _check(self, hook: Hook, accept: Accept) -> Accept | Refusal:
        # Servers send a subprotocol that was not offered, raise, or reset the client.
        subprotocol = accept.subprotocol
        if subprotocol is not None and subprotocol not in self._request.subprotocols:
            self._complain(hook, "%s accepted a subprotocol that was not offered: refused")
            return _FORBIDDEN._replace(cause="hook_failed")
        given = accept.headers
        headers: tuple[tuple[str, str], ...] = tuple(
            cast("Mapping[str, str]", given).items() if isinstance(given, Mapping) else given
        )
        if not _sendable(headers):
            self._complain(hook, "%s accepted with an illegal header: refused with 403")
            return _FORBIDDEN._replace(cause="hook_failed")
        return replace(accept, headers=headers)

    def _rejected(self, hook: Hook, rejection: ConnectionRejected) -> Refusal:
        headers = rejection.headers
        if not _sendable(headers):
            self._complain(hook, "%s rejected with an illegal header: it is left out")
            headers = ()
        return Refusal(
            rejection.status,
            str(rejection.reason),
            "hook",
            tuple(encode(headers)),
            rejection.close_code,
        )

    def _complain(
        self, hook: Hook, text: str, *args: object, error: Exception | None = None
    ) -> None:
        complaints = self._service.complaints
        complaints.error(logger, text, text, hook.label, *args, error=error)


def _sendable(headers: HeaderPairs) -> bool:
    try:
        return all(
            _TOKEN.fullmatch(name) and _FIELD_VALUE.fullmatch(value) for name, value in headers
        )
    except (TypeError, ValueError):
        return False


def encode(headers: HeaderPairs) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
