"""From a handshake to an accepted connection, or to a refusal.

Whatever happens, the server is answered: daphne lets a client hang otherwise, and granian says 403
on its own.
"""

from __future__ import annotations

from typing import cast

import anyio

from ..protocol.close_codes import GOING_DOWN, INTERNAL_ERROR, cut_reason
from ..protocol.paths import Match
from ..request import Accept, ConnectionRequest
from ..routing.table import Namespace
from ..runtime.cancellation import cancellations, harmless, raise_if_cancelled
from ..runtime.connection import Connection
from ..runtime.log import Log, quoted
from ..runtime.running import Running
from ..runtime.telemetry import Telemetry
from ..service import WebSocketService
from .attempt import DRAINING, UNAVAILABLE, Attempt, HeaderPairs, Refusal, encode
from .transport import ASGITransport
from .types import ASGIReceive, ASGISend, Scope

__all__ = ["handshake"]

logger = Log(__name__)


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
        await _refuse(telemetry, transport, namespace, UNAVAILABLE._replace(cause="not_started"))
        return
    limit = running.admission.enter(request.ip)
    if limit is not None:
        status = 429 if limit == "max_connections_per_ip" else 503
        phrase = "Too Many Requests" if status == 429 else "Service Unavailable"
        await _refuse(telemetry, transport, namespace, Refusal(status, phrase, limit))
        return
    try:
        outcome = await Attempt(service, running, namespace, transport, request).decide()
        raise_if_cancelled(before)
        if isinstance(outcome, Accept) and running.draining_since is not None:
            outcome = DRAINING  # it came in time, but its hook was slow
        if isinstance(outcome, Refusal):
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
        headers = encode(cast("HeaderPairs", accept.headers))
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
    telemetry: Telemetry, transport: ASGITransport, namespace: Namespace, refusal: Refusal
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
