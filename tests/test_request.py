"""The handshake as the attempt hook sees it: nothing in a scope makes an accessor raise."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from itertools import count
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.request import Accept, ConnectionRequest, Headers, Query

ACCESSORS = (
    "path",
    "query",
    "params",
    "headers",
    "cookies",
    "origin",
    "host",
    "ip",
    "scheme",
    "subprotocols",
)


def request(**scope: Any) -> ConnectionRequest:
    return ConnectionRequest(scope, "/chat", {"room": "7"})


def with_headers(*headers: tuple[bytes, bytes]) -> ConnectionRequest:
    return request(headers=list(headers))


def read_all(request: ConnectionRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in ACCESSORS}


NOTHING = {
    "path": "",
    "query": {},
    "params": {},
    "headers": {},
    "cookies": {},
    "origin": None,
    "host": None,
    "ip": None,
    "scheme": "ws",
    "subprotocols": (),
}


def test_a_scope_without_optional_keys_reads_as_nothing() -> None:
    assert read_all(request()) == NOTHING


def test_a_scope_whose_keys_are_all_none_reads_as_nothing() -> None:
    keys = ("path", "query_string", "headers", "client", "scheme", "subprotocols")
    assert read_all(request(**dict.fromkeys(keys))) == NOTHING


def test_an_ordinary_handshake() -> None:
    seen = request(
        path="/ws/chat",
        query_string=b"token=a%20b&x=1&x=2&flag",
        headers=[
            (b"host", b"example.com"),
            (b"origin", b"https://example.com"),
            (b"cookie", b"sid=abc; theme=dark"),
        ],
        client=("192.0.2.1", 5000),
        scheme="wss",
        subprotocols=["v2", "v1"],
        user="set by middleware",
    )
    assert seen.path == "/ws/chat"
    assert seen.namespace == "/chat"
    assert seen.path_params == {"room": "7"}
    assert seen.params == {"token": "a b", "x": "2", "flag": ""}
    assert seen.query.get_all("x") == ["1", "2"]
    assert seen.headers["Host"] == seen.host == "example.com"
    assert seen.origin == "https://example.com"
    assert seen.cookies == {"sid": "abc", "theme": "dark"}
    assert seen.ip == "192.0.2.1"
    assert seen.scheme == "wss"
    assert seen.subprotocols == ("v2", "v1")
    assert seen.scope["user"] == "set by middleware"


def test_a_request_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        request().namespace = "/other"  # type: ignore[misc]


def test_a_request_shows_no_credentials_in_a_traceback() -> None:
    seen = request(query_string=b"token=secret", headers=[(b"authorization", b"secret")])
    assert seen.params == {"token": "secret"}
    assert "secret" not in repr(seen)
    assert "secret" not in repr(seen.headers)
    assert "authorization" in repr(seen.headers)
    assert "secret" not in repr(seen.query)
    assert "token" in repr(seen.query)


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        (b"", []),
        (b"&&&", []),
        (b"=", [("", "")]),
        (b"a", [("a", "")]),
        (b"a=", [("a", "")]),
        (b"a=1=2", [("a", "1=2")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a+b=c+d", [("a b", "c d")]),
        (b"a=%2B%26%3d", [("a", "+&=")]),
        (b"a=%", [("a", "%")]),
        (b"a=%zz%4", [("a", "%zz%4")]),
        (b"a=%00", [("a", "\x00")]),
        (b"a=%C3%A9", [("a", "é")]),
        (b"a=\xc3\xa9", [("a", "é")]),
        (b"\xff=%ff", [("\ufffd", "\ufffd")]),
        (b"a=%ED%A0%80", [("a", "\ufffd\ufffd\ufffd")]),
        (b"a=%2561", [("a", "%61")]),
        (
            b"self=1&__proto__=2&__class__=3",
            [("self", "1"), ("__proto__", "2"), ("__class__", "3")],
        ),
    ],
    ids=count(),
)
def test_a_query_is_decoded_once_and_badly_coded_parts_stay_readable(
    query: bytes, pairs: list[tuple[str, str]]
) -> None:
    assert list(request(query_string=query).query.pairs) == pairs


def test_the_last_of_repeated_parameters_wins_and_none_is_lost() -> None:
    query = request(query_string=b"token=bad&other=1&token=ok").query
    assert query["token"] == "ok"
    assert query.get_all("token") == ["bad", "ok"]
    assert query.get_all("none") == []
    assert list(query) == ["token", "other"]
    assert len(query) == 2
    assert "none" not in query


def test_headers_are_found_in_any_case_and_repeated_ones_are_all_seen() -> None:
    headers = with_headers(
        (b"X-Token", b"1"), (b"x-token", b"2"), (b"Cookie", b"a=1"), (b"cookie", b"b=2")
    ).headers
    assert headers["x-TOKEN"] == "1, 2"
    assert headers["COOKIE"] == "a=1; b=2"
    assert headers.get_all("X-TOKEN") == ["1", "2"]
    assert headers.get_all("none") == []
    assert list(headers) == ["x-token", "cookie"]
    assert len(headers) == 2
    assert "X-Token" in headers
    assert "none" not in headers
    with pytest.raises(KeyError):
        headers["none"]


def test_header_bytes_outside_ascii_read_as_latin_1() -> None:
    headers = with_headers((b"x-\xe9", b"\xff\x00\xc3\xa9")).headers
    assert headers["X-É"] == "\xff\x00Ã©"


def test_several_origins_and_hosts_are_all_shown() -> None:
    seen = with_headers((b"origin", b"a"), (b"origin", b"b"), (b"host", b"c"), (b"host", b"d"))
    assert seen.origin == "a, b"
    assert seen.host == "c, d"


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        (b"", {}),
        (b";;; ;", {}),
        (b"a", {}),
        (b"=1", {}),
        (b"a=", {"a": ""}),
        (b"a=1=2", {"a": "1=2"}),
        (b" a = 1 ;b=2", {"a ": " 1", "b": "2"}),
        (b"a=1; a=2", {"a": "2"}),
        (b'a="quoted"', {"a": "quoted"}),
        (b'a=""', {"a": ""}),
        (b'a="', {"a": '"'}),
        (b'a="x', {"a": '"x'}),
        (rb'a="say \"hi\" \\ \054"', {"a": 'say "hi" \\ ,'}),
        (rb'a="\351\777\9\"', {"a": "é7779\\"}),
        (rb'a="end\"', {"a": "end\\"}),
        (b"$Version=1; a[b]=c; \xe9=\xff", {"$Version": "1", "a[b]": "c", "é": "ÿ"}),
        (b"a=\x00\x01", {"a": "\x00\x01"}),
        (b"session=eyJ.x-y_z/+==", {"session": "eyJ.x-y_z/+=="}),
    ],
    ids=count(),
)
def test_cookies_are_read_and_what_is_none_is_passed_over(
    header: bytes, cookies: dict[str, str]
) -> None:
    assert with_headers((b"cookie", header)).cookies == cookies


def test_a_value_that_the_standard_library_quoted_is_unquoted() -> None:
    from http.cookies import SimpleCookie

    text = 'a; b, c="d" \\ é\x01'
    sent = SimpleCookie({"v": text})["v"].coded_value
    assert with_headers((b"cookie", f"v={sent}".encode("latin-1"))).cookies == {"v": text}


def test_thousands_of_cookies_and_of_backslashes_take_no_time_to_speak_of() -> None:
    many = b"; ".join(b"c%d=%d" % (number, number) for number in range(10_000))
    assert len(with_headers((b"cookie", many)).cookies) == 10_000
    hard = b'c="' + b"\\" * 1_000_000 + b'"'
    assert with_headers((b"cookie", hard)).cookies == {"c": "\\" * 500_000}


@pytest.mark.parametrize(
    ("client", "ip"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (["192.0.2.1", 1], "192.0.2.1"),
        (("::1", "80"), "::1"),
        (("192.0.2.1",), "192.0.2.1"),
        (("", 0), None),
        ((None, None), None),
        ((), None),
        ([], None),
        (None, None),
        ("192.0.2.1", None),
        ({"host": "192.0.2.1"}, None),
        (5, None),
    ],
    ids=count(),
)
def test_the_address_is_what_the_server_gave_if_it_gave_one(client: Any, ip: str | None) -> None:
    assert request(client=client).ip == ip


def test_text_where_asgi_says_bytes_is_taken_as_it_is() -> None:
    seen = request(
        query_string="a=é", headers=[("Host", "example.com"), (bytearray(b"x"), bytearray(b"1"))]
    )
    assert seen.params == {"a": "é"}
    assert dict(seen.headers) == {"host": "example.com", "x": "1"}


def test_any_mapping_is_a_scope() -> None:
    scope = MappingProxyType({"path": "/chat", "headers": ((b"host", b"h"),)})
    seen = ConnectionRequest(scope, "/chat", {})
    assert (seen.path, seen.host) == ("/chat", "h")


@given(
    st.binary(),
    st.lists(
        st.tuples(
            st.sampled_from([b"cookie", b"Cookie", b"origin", b"host"]) | st.binary(), st.binary()
        )
    ),
)
def test_no_bytes_of_a_client_make_an_accessor_raise(
    query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    seen = read_all(request(query_string=query, headers=headers))
    for name in ("params", "cookies"):
        assert all(isinstance(text, str) for pair in seen[name].items() for text in pair)
    assert sum(len(seen["headers"].get_all(name)) for name in seen["headers"]) == len(headers)


def test_query_and_headers_are_mappings_of_their_own() -> None:
    assert dict(Query([("a", "1"), ("a", "2")])) == {"a": "2"}
    assert dict(Headers([(b"A", b"1")])) == {"a": "1"}


# What a hook may answer.


def test_an_accept_says_nothing_unless_told_otherwise() -> None:
    accept = Accept()
    assert (accept.user, accept.state, accept.presence) == (None, None, None)
    assert (accept.subprotocol, accept.headers, accept.expires_at) == (None, (), None)


def test_an_accept_takes_its_arguments_in_the_order_of_the_api() -> None:
    state = {"a": 1}
    accept = Accept("Ada", state, {"mood": "good"}, "v2", [("x", "y")], 5.0)
    assert accept == Accept(
        user="Ada",
        state=state,
        presence={"mood": "good"},
        subprotocol="v2",
        headers=[("x", "y")],
        expires_at=5.0,
    )


@pytest.mark.parametrize("user", [1, b"Ada", ["Ada"], object, True])
def test_a_user_is_text(user: Any) -> None:
    with pytest.raises(TypeError, match=r"Accept\(user=...\) must be a str, not "):
        Accept(user=user)


@pytest.mark.parametrize("moment", [0, 1.5, datetime(2030, 1, 1, tzinfo=UTC)])
def test_an_expiry_is_a_moment(moment: datetime | float) -> None:
    assert Accept(expires_at=moment).expires_at == moment


def test_an_expiry_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        Accept(expires_at=datetime(2030, 1, 1))


@pytest.mark.parametrize("moment", ["2030-01-01", b"1", [1], object()])
def test_an_expiry_that_is_no_moment_is_refused(moment: Any) -> None:
    with pytest.raises(TypeError, match=r"Accept\(expires_at=...\) is a datetime or seconds"):
        Accept(expires_at=moment)
