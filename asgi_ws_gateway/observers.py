"""What can be watched of a running service."""

from __future__ import annotations

from typing import Any, Protocol

from .peer import Peer

__all__ = ["Observer"]


class Observer(Protocol):
    """Override what you want to know; every default does nothing.

    All are called on the event loop, in the middle of the work: return at once. What one raises is
    logged and goes no further. Event names are those of registered handlers, or `None`: what a
    client makes up is never passed on, so that it may serve as a metric's label.

    Its contract suite is `asgi_ws_gateway.testing.contracts.ObserverContract`.
    """

    # Without a `return`, mypy takes a protocol's method for one that has to be overridden.

    def refused(self, namespace: str | None, reason: str) -> None:
        """A handshake was refused.

        Args:
            namespace: As it was registered, `{name}` and all; `None` for a path of nobody.
            reason: One of a fixed set, such as `origin` or `hook`.
        """
        return

    def connected(self, peer: Peer[Any]) -> None:
        """A peer was accepted."""
        return

    def disconnected(self, peer: Peer[Any], code: int) -> None:
        """A peer is gone, and its disconnect hook has ended."""
        return

    def received(self, peer: Peer[Any]) -> None:
        """A peer sent something, whatever it turns out to be."""
        return

    def handled(self, peer: Peer[Any], event: str | None, seconds: float) -> None:
        """A message was handled without an error."""
        return

    def failed(self, peer: Peer[Any], event: str | None, code: str) -> None:
        """A message was answered, or would have been, with an error of this code."""
        return

    def sent(self, namespace: str, event: str, queued: int, dropped: int) -> None:
        """One encoded message, be it an answer or an error, was handed to `queued` peers.

        Args:
            namespace: The concrete path; if it has parameters, clients chose some of its text.
            event: The event's name.
            queued: How many peers it was handed to.
            dropped: How many did not take it, by their overflow policy or because they leave.
        """
        return

    def dropped(self, peer: Peer[Any], reason: str, count: int) -> None:
        """A peer lost messages that were meant for it.

        Args:
            peer: Whose outbox it was.
            reason: `overflow` (by policy), `closed` (they waited when it was closed) or `gone`
                (they came when it was closing).
            count: How many.
        """
        return

    def ignored(self, reason: str) -> None:
        """Something that made no sense was passed over.

        Args:
            reason: `stale_answer`, to a question that was not or no longer open; or `server_fault`,
                a message of the ASGI server.
        """
        return
