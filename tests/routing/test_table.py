"""The table of namespaces: a path leads to one of them, and two never share one."""

from typing import Any

import pytest

from asgi_ws_gateway.limits import Limits
from asgi_ws_gateway.protocol.codec import JSONCodec
from asgi_ws_gateway.protocol.paths import Match
from asgi_ws_gateway.routing.compile import Defaults, compile_gateway
from asgi_ws_gateway.routing.decorators import namespace
from asgi_ws_gateway.routing.table import Kind, Namespace, RoutingTable


def serving(path: str) -> Namespace:
    gateway: Any = namespace(path)(type("Gateway", (), {}))()
    made, mistakes = compile_gateway(gateway, Defaults(Limits(), JSONCodec(), "same-origin"))
    assert mistakes == []
    assert made is not None
    return made


def test_a_path_leads_to_its_namespace_and_its_parameters() -> None:
    table = RoutingTable()
    lobby, room = serving("/rooms/lobby"), serving("/rooms/{id}")
    assert table.add(room) is None
    assert table.add(lobby) is None
    assert table.find("/rooms/lobby/") == Match("/rooms/lobby", {}, lobby)
    assert table.find("/rooms/7") == Match("/rooms/7", {"id": "7"}, room)
    assert table.find("/rooms") is None
    assert list(table) == [room, lobby]


def test_the_first_namespace_of_a_path_stays_and_is_named_to_the_second() -> None:
    table = RoutingTable()
    first = serving("/rooms/{id}")
    table.add(first)
    assert table.add(serving("/rooms/{name}")) is first
    assert list(table) == [first]
    match = table.find("/rooms/1")
    assert match is not None
    assert match.target is first


def test_an_empty_table_leads_nowhere() -> None:
    assert RoutingTable().find("/") is None
    assert list(RoutingTable()) == []


@pytest.mark.parametrize(
    ("kind", "threaded", "streams"),
    [
        (Kind.COROUTINE, False, False),
        (Kind.THREAD, True, False),
        (Kind.STREAM, False, True),
        (Kind.THREAD_STREAM, True, True),
    ],
)
def test_a_kind_tells_whether_it_runs_in_a_thread_and_whether_it_streams(
    kind: Kind, threaded: bool, streams: bool
) -> None:
    assert (kind.threaded, kind.streams) == (threaded, streams)
