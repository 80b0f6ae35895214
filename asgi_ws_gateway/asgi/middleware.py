"""The ASGI application that users deploy: websockets for our namespaces, the rest for their app."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Final, Literal, cast

import anyio
from asgiref import compatibility

from ..errors import ConfigurationError
from ..protocol.paths import strip_root
from ..runtime.cancellation import CancelledError
from ..runtime.event_loop import has_own_task, in_own_task
from ..runtime.log import Log, quoted
from ..service import WebSocketService
from .handshake import handshake
from .lifespan import lifespan
from .transport import ASGITransport
from .types import ASGIApp, ASGIReceive, ASGISend, Scope

__all__ = ["GatewayMiddleware"]

logger = Log(__name__)

_BYPASSES: Final = frozenset({"run", "run_task", "test_client"})
"""What would start or call the wrapped app around us, on frameworks that have it."""


FLUSH_SECONDS: Final = 1.0


class GatewayMiddleware:
    """Wraps an ASGI app, and serves the registered namespaces in front of it.

    Args:
        app: Gets everything else, with the very same objects; `None` for no app at all.
        service: What to serve; a new one is made when left out.
        gateways: Registered with it.
        unmatched: `"pass"` hands websockets of other paths to `app`, `"reject"` answers 403.
        service_options: Of a new `WebSocketService`.

    Raises:
        ConfigurationError: A gateway has a mistake, or there are options beside a service.
    """

    def __init__(
        self,
        app: ASGIApp | None,
        service: WebSocketService | None = None,
        *,
        gateways: Iterable[object] = (),
        unmatched: Literal["pass", "reject"] = "pass",
        **service_options: Any,
    ) -> None:
        if unmatched not in ("pass", "reject"):
            raise ConfigurationError(f"unmatched= is 'pass' or 'reject', not {unmatched!r}")
        if service is not None and service_options:
            names = ", ".join(sorted(service_options))
            raise ConfigurationError(
                f"GatewayMiddleware was given a service and options of one ({names}): "
                "give the options to WebSocketService(...)"
            )
        if service is not None and not isinstance(service, WebSocketService):
            raise ConfigurationError(
                f"service= is a WebSocketService, not {service!r}: gateways go into gateways=[...]"
            )
        self.app = app
        self._app = None if app is None else _single_callable(app)
        self.service = WebSocketService(**service_options) if service is None else service
        self._rejects = unmatched == "reject" or app is None
        self.service.register(*gateways)

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        """Serves one scope. For those served here, nothing is raised but cancellation."""
        kind = scope["type"]
        if kind == "websocket":
            # Taken off once and first: apps further in change the path in place.
            path = strip_root(scope.get("path") or "", scope.get("root_path") or "")
            match = self.service.find(path)
            if match is not None:
                serving = handshake(self.service, match, scope, receive, send)
                try:
                    await (serving if has_own_task() else in_own_task(serving))
                except CancelledError:
                    if "daphne" not in sys.modules:
                        raise
                    await _flush(receive)
                return
            if self._rejects:
                await self._reject(path, scope, receive, send)
                return
        elif kind == "lifespan":
            await lifespan(self.service, self._app, scope, receive, send)
            return
        if self._app is not None:
            await self._app(scope, receive, send)
        elif kind == "http":
            await _not_found(send)

    def __getattr__(self, name: str) -> Any:
        """Whatever is not ours is the wrapped app's, such as `state` or `routes`."""
        if name in _BYPASSES:
            raise AttributeError(
                f"{name!r} of the wrapped app would go around the gateways: wrap its inner ASGI "
                "callable instead (Quart: app.asgi_app = GatewayMiddleware(app.asgi_app, ...))"
            )
        # Not before __init__ has run (copy, pickle), and nothing that Python itself looks for.
        if name.startswith("__") or "app" not in self.__dict__ or self.app is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.app, name)

    async def _reject(self, path: str, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        self.service.complaints.warn(
            logger,
            "unmatched",
            "Namespace %s is not registered. Connection rejected. "
            "Give a class @namespace(...) and register an instance of it",
            quoted(path),
        )
        telemetry = self.service.telemetry
        telemetry.refused(None, "unmatched")
        transport = ASGITransport(scope, receive, send, binary=False, telemetry=telemetry)
        try:
            await transport.deny(403, "Forbidden")
        except Exception:
            logger.debug("The server did not take a refusal", exc_info=True)


def _single_callable(app: ASGIApp) -> ASGIApp:
    """The app in the form of ASGI 3, whichever form it has."""
    single: ASGIApp = cast("Any", compatibility).guarantee_single_callable(app)  # it has no types
    return single


async def _flush(receive: ASGIReceive) -> None:
    """Waits, in place of being cancelled, until the client has the close.

    daphne (4.2) stops its loop once one of the applications that it has cancelled raises, or the
    last one returns, and what is unsent then is lost.
    """
    with anyio.move_on_after(FLUSH_SECONDS, shield=True):
        while (await receive()).get("type") != "websocket.disconnect":
            pass


async def _not_found(send: ASGISend) -> None:
    body = b"Not Found"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    try:
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except Exception:
        logger.debug("The server did not take a 404", exc_info=True)
