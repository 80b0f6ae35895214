"""Stand-ins for calling handlers directly: nothing is sent, everything is recorded."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple, TypeVar

from ..errors import AskTimeout, PeerClosed
from ..peer import BlockingPeer, Peer
from ..protocol.audience import DeliveryReport, Everyone
from ..protocol.close_codes import Close, check_code, cut_reason
from ..protocol.codec import JSONCodec
from ..protocol.paths import normalise
from ..request import ConnectionRequest
from ..runtime.running import check_event
from .scope import HeaderPairs, websocket_scope

__all__ = ["FakeBlockingPeer", "FakeBroadcast", "FakePeer", "fake_request"]

T = TypeVar("T")


class FakeBroadcast(NamedTuple):
    """One broadcast that a fake peer was asked for.

    Attributes:
        event: The event's name.
        data: Its data.
        room: The room, or `ALL`.
        others: Whether it was `broadcast_others`.
    """

    event: str
    data: Any
    room: str | Everyone | None
    others: bool


def fake_request(
    url: str = "/",
    *,
    headers: HeaderPairs = (),
    subprotocols: Iterable[str] = (),
    client: tuple[str, int] | None = ("testclient", 50000),
    path_params: dict[str, str] | None = None,
) -> ConnectionRequest:
    """A handshake for `url`, for calling an attempt hook directly."""
    scope = websocket_scope(url, headers=headers, subprotocols=subprotocols, client=client)
    return ConnectionRequest(scope, normalise(scope["path"]), dict(path_params or {}))


class _Recorder:
    """The link of a fake peer. What cannot be encoded fails, as it does on a real one."""

    def __init__(self, codec: JSONCodec) -> None:
        self._codec = codec
        self.sent: list[tuple[str, Any]] = []
        self.asked: list[tuple[str, Any]] = []
        self.broadcasts: list[FakeBroadcast] = []
        self.answers: dict[str, Any] = {}
        self.joined: set[str] = set()
        self.closed: Close | None = None

    @property
    def connected(self) -> bool:
        return self.closed is None

    @property
    def rooms(self) -> frozenset[str]:
        return frozenset(self.joined)

    async def send(self, event: str, data: Any, latest: str | None) -> bool:
        self._check(event, data)
        if self.closed is not None:
            return False
        self.sent.append((event, data))
        return True

    async def broadcast(
        self,
        event: str,
        data: Any,
        room: str | Everyone | None,
        latest: str | None,
        exclude: tuple[str, ...],
    ) -> DeliveryReport:
        self._check(event, data)
        self.broadcasts.append(FakeBroadcast(event, data, room, bool(exclude)))
        return DeliveryReport(0, 0, True)

    async def ask(self, event: str, data: Any, timeout: Any) -> Any:
        self._check(event, data)
        if self.closed is not None:
            raise PeerClosed("the peer is gone")
        self.asked.append((event, data))
        if event not in self.answers:
            raise AskTimeout(f"no answer: say FakePeer(answers={{{event!r}: ...}})")
        answer = self.answers[event]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def join(self, room: str) -> bool:
        if type(room) is not str or not room:
            raise ValueError(f"a room's name is a str that is not empty, not {room!r}")
        if self.closed is None:
            self.joined.add(room)
        return self.closed is None

    def leave(self, room: str) -> bool:
        if self.closed is None:
            self.joined.discard(room)
        return self.closed is None

    async def close(self, code: int, reason: str) -> None:
        check_code(code)
        if self.closed is None:
            self.closed = Close(code, cut_reason(reason))

    def _check(self, event: str, data: Any) -> None:
        check_event(event)
        self._codec.encode(event, data)


class FakePeer(Peer[Any]):
    """A peer for calling handlers of `async def` directly.

    Args:
        namespace: Its path.
        user: As the attempt hook would say it.
        state: The same.
        presence: The same.
        rooms: Rooms it is in already.
        request: Its handshake; made for `namespace` when left out.
        answers: What `ask` returns, by event; an exception is raised.
        id: Its id.
        codec: Checks that what is sent can be encoded.

    Attributes:
        sent: Events and data sent to it, in order.
        broadcasts: What it was asked to broadcast.
        asked: Events and data of `ask`.
        closed: Code and reason, once it was closed.
    """

    def __init__(
        self,
        *,
        namespace: str = "/",
        user: str | None = None,
        state: Any = None,
        presence: Any = None,
        rooms: Iterable[str] = (),
        request: ConnectionRequest | None = None,
        answers: dict[str, Any] | None = None,
        id: str = "fake",
        codec: JSONCodec | None = None,
    ) -> None:
        self._recorder = _Recorder(JSONCodec() if codec is None else codec)
        self._recorder.joined.update(rooms)
        self._recorder.answers.update(answers or {})
        request = fake_request(namespace) if request is None else request
        super().__init__(
            self._recorder,
            id=id,
            namespace=normalise(namespace),
            request=request,
            user=user,
            state={} if state is None else state,
            presence=presence,
        )

    @property
    def sent(self) -> list[tuple[str, Any]]:
        """Events and data sent to it, in order."""
        return self._recorder.sent

    @property
    def broadcasts(self) -> list[FakeBroadcast]:
        """What it was asked to broadcast, in order."""
        return self._recorder.broadcasts

    @property
    def asked(self) -> list[tuple[str, Any]]:
        """Events and data of `ask`, in order."""
        return self._recorder.asked

    @property
    def closed(self) -> Close | None:
        """Code and reason, once it was closed."""
        return self._recorder.closed


class FakeBlockingPeer(BlockingPeer[Any]):
    """A peer for calling plain `def` handlers directly; arguments and records as `FakePeer`."""

    def __init__(self, **options: Any) -> None:
        self.fake = FakePeer(**options)
        super().__init__(self.fake, _Inline())

    @property
    def sent(self) -> list[tuple[str, Any]]:
        """See `FakePeer.sent`."""
        return self.fake.sent

    @property
    def broadcasts(self) -> list[FakeBroadcast]:
        """See `FakePeer.broadcasts`."""
        return self.fake.broadcasts

    @property
    def asked(self) -> list[tuple[str, Any]]:
        """See `FakePeer.asked`."""
        return self.fake.asked

    @property
    def closed(self) -> Close | None:
        """See `FakePeer.closed`."""
        return self.fake.closed


class _Inline:
    """A portal to nowhere: a recorder's coroutines never wait."""

    def run(self, call: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        coroutine = call(*args)
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        coroutine.close()
        raise RuntimeError("a fake peer's call waited")

    def run_sync(self, call: Callable[..., T], *args: Any) -> T:
        return call(*args)
