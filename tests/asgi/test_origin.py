"""Which origins may connect: exact, and fooled by no spelling."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.asgi.origin import origin_allowed
from asgi_ws_gateway.request import ConnectionRequest


def request(*origins: str | bytes, hosts: tuple[str, ...] = ("good.example",)) -> ConnectionRequest:
    headers = [(b"host", host.encode("latin-1")) for host in hosts]
    for origin in origins:
        raw = origin if isinstance(origin, bytes) else origin.encode("latin-1")
        headers.append((b"Origin", raw))
    return ConnectionRequest({"headers": headers}, "/chat", {})


def same(origin: str, host: str) -> bool:
    return origin_allowed(request(origin, hosts=(host,)), "same-origin")


def listed(origin: str | bytes, *allowed: str) -> bool:
    return origin_allowed(request(origin), allowed)


@pytest.mark.parametrize("allowed", ["same-origin", "*", ["https://other.example"], []])
def test_no_origin_at_all_is_no_browser_and_allowed(allowed: Any) -> None:
    assert origin_allowed(request(), allowed)
    assert origin_allowed(request(hosts=()), allowed)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "file://", "\xff"])
def test_a_star_allows_any(origin: str) -> None:
    assert origin_allowed(request(origin), "*")
    assert origin_allowed(request(origin, origin), "*")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://good.example", "good.example"),
        ("https://good.example", "good.example"),
        ("http://good.example", "good.example:80"),
        ("https://good.example", "good.example:443"),
        ("http://good.example:80", "good.example"),
        ("https://good.example:443", "good.example"),
        ("http://good.example:8000", "good.example:8000"),
        ("https://good.example:8000", "good.example:8000"),
        ("HTTPS://Good.Example", "gOOD.example"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://my_service", "my_service"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://[::1]", "[::1]"),
        ("https://[2001:DB8::1]", "[2001:db8::1]:443"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_the_same_host_and_port_is_the_same_origin_whatever_ends_tls(
    origin: str, host: str
) -> None:
    assert same(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "good.example"),
        ("http://good.example.evil.com", "good.example"),
        ("http://evil-good.example", "good.example"),
        ("http://sub.good.example", "good.example"),
        ("http://good.example", "sub.good.example"),
        ("http://good.example.", "good.example"),
        ("http://good.example", "good.example."),
        ("http://good.example:8000", "good.example"),
        ("http://good.example", "good.example:8000"),
        ("http://good.example:8000", "good.example:8001"),
        ("https://good.example", "good.example:80"),
        ("http://good.example", "good.example:443"),
        ("http://good.example:443", "good.example"),
        ("http://good.example@evil.example", "good.example"),
        ("http://evil.example@good.example", "good.example"),
        ("http://user:secret@good.example", "good.example"),
        ("http://good.example/", "good.example"),
        ("http://good.example/path", "good.example"),
        ("http://good.example?", "good.example"),
        ("http://good.example#", "good.example"),
        ("http://good.example?x#y", "good.example"),
        ("http://good.example\\", "good.example"),
        ("http://evil.example\\.good.example", "good.example"),
        ("http:/good.example", "good.example"),
        ("http:good.example", "good.example"),
        ("//good.example", "good.example"),
        ("good.example", "good.example"),
        ("://good.example", "good.example"),
        ("http://", "good.example"),
        ("http://:80", "good.example"),
        ("http://good.example:99999999999", "good.example"),
        ("http://good.example:+80", "good.example"),
        ("http://good.example:8 0", "good.example:80"),
        ("http://good.example:\xb2", "good.example"),
        ("http://good.example:80:80", "good.example"),
        ("http://goo\xf0.example", "good.example"),
        ("http://[::1", "[::1"),
        ("http://::1", "[::1]"),
        ("http://[::1]", "[::2]"),
        ("http://[good.example]", "good.example"),
        ("null", "good.example"),
        ("null", "null"),
        ("", "good.example"),
        ("", ""),
        ("http://", ""),
        ("http://good.example", ""),
        ("http://good.example", "user@good.example"),
        ("http://good.example", "good.example/path"),
        ("http://good.example", "good.example?x"),
        ("http://good.example", "evil.example, good.example"),
        ("http://good.example, http://good.example", "good.example"),
        ("http://good.example http://good.example", "good.example"),
        ("http://good.exam\tple", "good.example"),
        ("http://good.example\r\n", "good.example"),
        ("\x00http://good.example", "good.example"),
        ("\x01http://good.example", "good.example"),
        (" http://good.example", "good.example"),
        ("http://good.example\x00", "good.example"),
        ("chrome-extension://abcdef", "abcdef"),
        ("file://good.example", "good.example"),
        ("data://good.example", "good.example"),
        ("http\u00b5://good.example", "good.example"),
    ],
    ids=count(),
)
def test_anything_else_is_another_origin(origin: str, host: str) -> None:
    assert not same(origin, host)


def test_several_origins_are_refused_even_when_they_agree() -> None:
    twice = request("http://good.example", "http://good.example")
    assert not origin_allowed(twice, "same-origin")
    assert not origin_allowed(twice, ["http://good.example"])


def test_an_origin_is_the_same_as_no_host_and_as_none_of_several() -> None:
    origin = "http://good.example"
    assert not origin_allowed(request(origin, hosts=()), "same-origin")
    assert not origin_allowed(
        request(origin, hosts=("good.example", "good.example")), "same-origin"
    )


def test_one_of_a_list_is_allowed_and_the_own_host_only_if_listed() -> None:
    allowed = ["https://app.example", "http://localhost:3000"]
    for origin in allowed:
        assert origin_allowed(request(origin), allowed)
    assert not origin_allowed(request("http://good.example"), allowed)


def test_one_origin_as_a_text_is_a_list_of_one() -> None:
    assert origin_allowed(request("https://app.example"), "https://app.example")
    assert not origin_allowed(request("https://app.example.evil.com"), "https://app.example")


@pytest.mark.parametrize(
    ("origin", "entry"),
    [
        ("https://app.example", "https://app.example:443"),
        ("https://app.example:443", "https://app.example"),
        ("http://APP.example", "http://app.EXAMPLE"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("null", "null"),
        ("http://[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_an_entry_is_compared_as_an_origin(origin: str, entry: str) -> None:
    assert listed(origin, "https://unrelated.example", entry)


@pytest.mark.parametrize(
    ("origin", "entry"),
    [
        ("http://app.example", "https://app.example"),
        ("https://app.example", "http://app.example"),
        ("https://app.example:8443", "https://app.example"),
        ("https://app.example.evil.com", "https://app.example"),
        ("https://sub.app.example", "https://app.example"),
        ("https://app.example.", "https://app.example"),
        ("https://app.example/", "https://app.example"),
        ("https://user@app.example", "https://app.example"),
        ("https://app.example", "*.example"),
        ("https://app.example", "https://*"),
        ("https://app.example", "*"),
        ("https://app.example", "app.example"),
        ("https://app.example", ""),
        ("null", "https://app.example"),
        ("NULL", "null"),
        ("", "null"),
        ("good.example", "https://good.example"),
        (b"https://b\xc3\xbccher.example", "https://bücher.example"),
    ],
)
def test_no_entry_matches_more_than_the_origin_it_names(origin: str | bytes, entry: str) -> None:
    assert not listed(origin, entry)


@given(st.binary(), st.binary(), st.sampled_from(["same-origin", ["https://app.example"]]))
def test_arbitrary_bytes_are_refused_and_never_raise(
    origin: bytes, host: bytes, allowed: Any
) -> None:
    headers = [(b"host", host), (b"origin", origin)]
    assert not origin_allowed(ConnectionRequest({"headers": headers}, "/chat", {}), allowed)


def test_headers_of_text_are_read_as_well() -> None:
    headers: Any = [("Host", "here"), ("Origin", "http://elsewhere"), ("\u20ac", "x")]
    request = ConnectionRequest({"headers": headers}, "/chat", {})
    assert not origin_allowed(request, "same-origin")
    assert origin_allowed(request, ["http://elsewhere"])


@pytest.mark.parametrize(
    "kind", [bytearray, type("Name", (bytes,), {}), str], ids=["array", "subclass", "text"]
)
def test_the_origin_is_found_whatever_its_name_is_made_of(kind: Any) -> None:
    name = "Origin" if kind is str else kind(b"Origin")
    headers: Any = [(b"host", b"here"), (name, b"http://elsewhere")]
    assert not origin_allowed(ConnectionRequest({"headers": headers}, "/chat", {}), "same-origin")


def test_headers_that_can_be_read_only_once_are_not_lost() -> None:
    pairs = [(b"host", b"here"), (b"origin", b"http://here"), (b"cookie", b"a=1")]
    scope: Any = {"headers": iter(pairs)}
    request = ConnectionRequest(scope, "/chat", {})
    assert origin_allowed(request, "same-origin")
    assert request.cookies == {"a": "1"}
