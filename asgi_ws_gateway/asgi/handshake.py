"""From a handshake to an accepted connection, or to a refusal.

Whatever happens, the server is answered: daphne lets a client hang otherwise, and granian says 403
on its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias, cast

import anyio

from ..errors import ConnectionRejected
from ..protocol.close_codes import GOING_DOWN, INTERNAL_ERROR, cut_reason
from ..protocol.paths import Match
from ..request import Accept, ConnectionRequest
from ..routing.table import Hook, Namespace
from ..runtime.cancellation import cancellations, harmless, raise_if_cancelled
from ..runtime.connection import Connection
from ..runtime.invoke import Interrupted, Reason, Stage
from ..runtime.log import Log, quoted
from ..runtime.running import Running
from ..runtime.telemetry import Telemetry
from ..service import WebSocketService
from .origin import origin_allowed
from .transport import ASGITransport
from .types import ASGIReceive, ASGISend, Scope

__all__ = ["handshake"]

logger = Log(__name__)

HeaderPairs: TypeAlias = Iterable[tuple[str, str]]

MAX_QUERY_BYTES: Final = 8192
MAX_QUERY_PARAMETERS: Final = 256

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class _Refusal(NamedTuple):
    status: int
    reason: str
    cause: str
    """For the counters."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close_code: int | None = None


_ACCEPT: Final = Accept()
_FORBIDDEN: Final = _Refusal(403, "Forbidden", "hook")
_UNAVAILABLE: Final = _Refusal(503, "Service Unavailable", "timeout")
_DRAINING: Final = _UNAVAILABLE._replace(cause="draining")


async def handshake(
    service: WebSocketService,
    match: Match[Namespace],
    scope: Scope,
    receive: ASGIReceive,
    send: ASGISend,
) -> None:
    """Answers a handshake and serves the connection, if it is let in, until its end."""
    before = cancellations()
    telemetry = service.telemetry
    namespace = match.target
    transport = ASGITransport(
        scope,
        receive,
        send,
        binary=namespace.codec.binary,
        telemetry=telemetry,
    )
    request = ConnectionRequest(scope, match.path, match.params)
    try:
        await service.start()
        running = service.running  # it may have ended while we waited
    except Exception:
        logger.exception("The service could not be started: refused with 503")
        await _refuse(telemetry, transport, namespace, _UNAVAILABLE._replace(cause="not_started"))
        return
    limit = running.admission.enter(request.ip)
    if limit is not None:
        status = 429 if limit == "max_connections_per_ip" else 503
        phrase = "Too Many Requests" if status == 429 else "Service Unavailable"
        await _refuse(telemetry, transport, namespace, _Refusal(status, phrase, limit))
        return
    try:
        outcome = await _Attempt(service, running, namespace, transport, request).decide()
        raise_if_cancelled(before)
        if isinstance(outcome, Accept) and running.draining_since is not None:
            outcome = _DRAINING  # it came in time, but its hook was slow
        if isinstance(outcome, _Refusal):
            await _refuse(telemetry, transport, namespace, outcome)
        elif outcome is not None:
            await _serve(service, running, namespace, transport, request, outcome, before)
    finally:
        try:
            await transport.stop_watching()
        finally:
            running.admission.leave(request.ip)
    await transport.discard()


async def _serve(
    service: WebSocketService,
    running: Running,
    namespace: Namespace,
    transport: ASGITransport,
    request: ConnectionRequest,
    accept: Accept,
    before: int,
) -> None:
    try:
        headers = _encode(cast("HeaderPairs", accept.headers))
        with anyio.fail_after(namespace.limits.send_timeout):
            await transport.accept(accept.subprotocol, headers)
    except BaseException as error:
        if not harmless(error):
            raise
        # The client has left: uvicorn raises, others tell with the first receive.
        logger.debug("The server did not take the accept", exc_info=True)
        running.telemetry.refused(namespace.pattern.text, "left")
        return
    if running.draining_since is not None:
        running.telemetry.refused(namespace.pattern.text, "draining")
        await transport.close(*GOING_DOWN)
        return
    try:
        dispatcher = service.dispatcher(running, namespace)
        connection = Connection(running, namespace, dispatcher, transport, request, accept)
        await connection.run(before)
    except Exception:
        logger.exception("A connection to namespace %s failed", quoted(request.namespace))
        await transport.close(*INTERNAL_ERROR)


async def _refuse(
    telemetry: Telemetry, transport: ASGITransport, namespace: Namespace, refusal: _Refusal
) -> None:
    telemetry.refused(namespace.pattern.text, refusal.cause)
    try:
        with anyio.fail_after(namespace.limits.send_timeout):
            if refusal.close_code is not None:
                await transport.accept(None, ())
                await transport.close(refusal.close_code, cut_reason(refusal.reason))
            else:
                await transport.deny(refusal.status, refusal.reason, refusal.headers)
    except BaseException as error:
        if not harmless(error):
            raise
        logger.debug("The server did not take a refusal: the client has left", exc_info=True)


class _Attempt:
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

    async def decide(self) -> Accept | _Refusal | None:
        """Lets in, refuses, or has nobody to answer any more."""
        request = self._request
        if self._running.draining_since is not None:
            return _DRAINING
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
            return _UNAVAILABLE._replace(cause="max_attempts")
        try:
            return await self._ask(hook)
        finally:
            self._running.admission.end_attempt()

    async def _ask(self, hook: Hook) -> Accept | _Refusal | None:
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
            return _DRAINING
        self._complain(hook, "%s took longer than %s s: refused with 503", seconds)
        return _UNAVAILABLE

    def _watch(self) -> None:
        self._transport.watch(self._running.background, self._on_left)

    def _on_left(self) -> None:
        self._left = True
        if self._stage.busy:
            self._stage.interrupt(Reason.GONE)

    def _judge(self, hook: Hook, answer: Any) -> Accept | _Refusal:
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

    def _check(self, hook: Hook, accept: Accept) -> Accept | _Refusal:
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

    def _rejected(self, hook: Hook, rejection: ConnectionRejected) -> _Refusal:
        headers = rejection.headers
        if not _sendable(headers):
            self._complain(hook, "%s rejected with an illegal header: it is left out")
            headers = ()
        return _Refusal(
            rejection.status,
            str(rejection.reason),
            "hook",
            tuple(_encode(headers)),
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


def _encode(headers: HeaderPairs) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
