"""Runs one message through its route: validate, invoke, and emit what came of it."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

import anyio

from ..emitters import SKIP
from ..errors import EncodeError, MessageRejected, PeerClosed, ValidationFailed
from ..limits import DEFAULT
from ..protocol.messages import RESERVED_EVENTS, Failure, Message, error_data
from ..routing.table import Hook, Kind, Namespace, Route
from .cancellation import as_failure
from .emission import Emission
from .invoke import Interrupted, Stage, Suspended
from .log import Log, quoted
from .origin import Origin
from .patience import CLEANUP_SECONDS
from .running import Running

__all__ = ["Dispatcher"]

logger = Log(__name__)

_END = object()
_COROUTINE: Final = Kind.COROUTINE
"""Looked at for every message, and an attribute of an Enum is dear."""


class Dispatcher:
    """Handles the messages of one namespace.

    Args:
        running: The service's lifetime.
        namespace: What is registered for them.

    Attributes:
        routes: What handles which event, but for the fallback.
    """

    __slots__ = (
        "_codec",
        "_emission",
        "_namespace",
        "_running",
        "_telemetry",
        "_timeout",
        "routes",
    )

    def __init__(self, running: Running, namespace: Namespace) -> None:
        self._running = running
        self._telemetry = running.telemetry
        self._namespace = namespace
        self.routes = namespace.routes
        self._codec = namespace.codec
        self._emission = Emission(running, namespace.codec)
        self._timeout = namespace.limits.handler_timeout

    def route(self, event: str) -> Route | None:
        """What handles an event."""
        route = self.routes.get(event)
        if route is None and event not in RESERVED_EVENTS:
            return self._namespace.fallback
        return route

    async def handle(self, route: Route, message: Message, origin: Origin, stage: Stage) -> None:
        """Handles a message wholly, its answer included.

        Raises:
            Interrupted: The handler was interrupted, and the answer is the caller's.
        """
        started = perf_counter() if self._telemetry.observed else 0.0
        try:
            value = message.data
            if route.validator is not None:
                try:
                    value = route.validator.validate(value)
                except ValidationFailed as error:
                    failure = Failure(
                        "validation_failed", message.event, message.id, error.issues[:8]
                    )
                    await self.fail(failure, origin)
                    return
            subject = value if route.event is not None else message
            if route.kind is _COROUTINE:
                call = route.call(subject, origin.peer)
                result = stage.begin(call)
                if type(result) is Suspended:
                    result = await stage.end(call, result, self._seconds(route))
                if not self._emission.answer(route, message, result, origin):
                    await self._emission.emit(route, message, value, result, origin)
            elif route.kind is Kind.THREAD:
                work = self._running.threads.run(route.call, subject, origin.blocking_peer)
                result = await stage.run(work, self._seconds(route))
                await self._emission.emit(route, message, value, result, origin)
            else:
                await self._stream(route, message, value, subject, origin, stage)
        except Interrupted:
            raise
        except BaseException as raised:
            failed = as_failure(raised)
            rejection = _rejection(failed, message)
            if rejection is None:
                rejection = await self._failed(failed, route, message, origin, stage)
            await self.fail(rejection, origin)
        else:
            self._telemetry.stats.handled += 1
            if started:
                self._telemetry.handled(origin.peer, route.event, perf_counter() - started)

    async def refuse(self, failure: Failure, origin: Origin) -> None:
        """Answers what no handler could make sense of."""
        origin.complaints.warn(
            logger, "refused", "Refused a message of peer %s: %s", origin.id, failure.code
        )
        await self.fail(failure, origin)

    async def refuse_unknown(self, message: Message, origin: Origin) -> None:
        """Answers an event that nothing handles."""
        origin.complaints.warn(
            logger,
            "refused",
            "No message handler for event %s in namespace %s",
            quoted(message.event),
            quoted(origin.peer.namespace),
        )
        await self.fail(Failure("unknown_event", message.event, message.id), origin)

    async def fail(self, failure: Failure, origin: Origin) -> None:
        """Tells the client what went wrong."""
        payload = self.error(failure, origin)
        await origin.make_room([payload])
        origin.reply("error", payload, answer=failure.id is not None)

    def error(self, failure: Failure, origin: Origin) -> str | bytes:
        """A failure as its client is told, counted."""
        known = failure.event if failure.event in self._namespace.routes else None
        try:
            payload = self._codec.encode("error", error_data(failure), failure.id)
        except EncodeError as error:
            text = "What a MessageRejected says cannot be encoded"
            origin.complaints.error(logger, text, text, error=error)
            failure = Failure("handler_failed", failure.event, failure.id)
            payload = self._codec.encode("error", error_data(failure), failure.id)
        self._telemetry.failed(origin.peer, known, failure.code)
        return payload

    async def run_hook(self, hook: Hook, stage: Stage, timeout: float | None, *args: Any) -> Any:
        """Runs a hook; raises what it raises."""
        if hook.kind is Kind.THREAD:
            return await stage.run(self._running.threads.run(hook.call, *args), timeout)
        return await stage.run(hook.call(*args), timeout)

    def _seconds(self, route: Route) -> float | None:
        timeout: float | None = route.timeout
        return self._timeout if timeout is DEFAULT else timeout

    async def _stream(
        self,
        route: Route,
        message: Message,
        value: Any,
        subject: Any,
        origin: Origin,
        stage: Stage,
    ) -> None:
        # Between its steps, too, a stream can be cancelled and its peer can leave.
        origin.read_ahead()
        threads = self._running.threads
        timeout = self._seconds(route)
        in_thread = route.kind is Kind.THREAD_STREAM
        peer = origin.blocking_peer if in_thread else origin.peer
        generator = route.call(subject, peer)
        thrown: BaseException | None = None
        left: list[None] = []
        try:
            while True:
                if in_thread:
                    step = threads.run(_next_in_thread, generator, left)
                else:
                    step = _next(generator, thrown)
                result = await stage.run(step, timeout)
                if result is _END:
                    break
                if stage.interrupted_by is not None:
                    raise Interrupted
                thrown = None
                try:
                    if result is not SKIP:
                        await self._emission.emit_value(route, message, value, result, origin)
                    if origin.turn.over():
                        await origin.turn.give_way()
                except anyio.get_cancelled_exc_class() as error:
                    # Perhaps of a scope, or asyncio.timeout, that the generator is in.
                    if in_thread:
                        raise
                    thrown = error
        finally:
            left.append(None)
            await self._close_generator(route, generator, stage)
        if message.id is not None:
            await self._emission.acknowledge(None, message.id, origin)

    async def _close_generator(self, route: Route, generator: Any, stage: Stage) -> None:
        try:
            if route.kind is Kind.THREAD_STREAM:
                with anyio.move_on_after(CLEANUP_SECONDS, shield=True):
                    await self._running.threads.run(generator.close)
            else:
                # In no scope of ours inside one of the generator's own, which it leaves.
                await stage.run(generator.aclose(), CLEANUP_SECONDS)
        except Exception:
            # A thread that is still in its step cannot be closed; it does so when that ends.
            logger.debug("%s could not be closed", route.label, exc_info=True)

    async def _failed(
        self, error: Exception, route: Route, message: Message, origin: Origin, stage: Stage
    ) -> Failure:
        if isinstance(error, PeerClosed):
            logger.info("%s: peer %s left before it answered", route.label, origin.id)
        else:
            origin.complaints.error(
                logger,
                route.label,
                "%s failed on event %s of peer %s",
                route.label,
                quoted(message.event),
                origin.id,
                error=error,
            )
        hook = self._namespace.on_error
        if hook is not None:
            peer = origin.blocking_peer if hook.kind.threaded else origin.peer
            try:
                answer = await self.run_hook(hook, stage, self._timeout, error, peer, message.event)
            except MessageRejected as rejection:
                answer = rejection
            except Interrupted:
                raise
            except Exception as failure:
                label = hook.label
                origin.complaints.error(logger, label, "%s failed", label, error=failure)
                answer = None
            said = _rejection(answer, message)
            if said is not None:
                return said
        return Failure("handler_failed", message.event, message.id)


async def _next(generator: Any, thrown: BaseException | None) -> Any:
    if thrown is None:
        return await anext(generator, _END)
    try:
        return await generator.athrow(thrown)
    except StopAsyncIteration:
        return _END


def _rejection(answer: Any, message: Message) -> Failure | None:
    """What a `MessageRejected` says; `None` of anything else, and of one that cannot be read."""
    if not isinstance(answer, MessageRejected):
        return None
    try:
        code, text, data = str(answer.code), str(answer.message), answer.data
    except Exception:  # a subclass that left out __init__, or a text that is none
        return None
    return Failure(code, message.event, message.id, text=text, extra=data)


def _next_in_thread(generator: Any, left: list[None]) -> Any:
    """Closes it if nobody waits for the step any more: its last words block, too."""
    value = next(generator, _END)
    if left:
        generator.close()
    return value
