"""No spelling of a guarded path reaches its namespace without its hook.

Sent byte by byte, since a client would tidy them up.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.app import SECRET
from tests.servers.client import Raw, raw
from tests.servers.processes import Served

SPELLINGS = [
    "/area/secret",
    "/area/secret/",
    "/area/secret//",
    "/area/secret///",
    "//area/secret",
    "///area/secret",
    "/area//secret",
    "/area///secret",
    "//area//secret//",
    "/./area/secret",
    "/area/./secret",
    "/area/secret/.",
    "/area/secret/./",
    "/area/secret/..",
    "/area/x/../secret",
    "/x/../area/secret",
    "/../area/secret",
    "/area/../area/secret",
    "/area/secret/../secret",
    "/%2e/area/secret",
    "/area/%2e%2e/area/secret",
    "/area/%2E/secret",
    "/area%2fsecret",
    "/area%2Fsecret",
    "/area%2f%2fsecret",
    "%2farea/secret",
    "/%2farea/secret",
    "/area/secret%2f",
    "/area%5csecret",
    "/area\\secret",
    "\\area\\secret",
    "/Area/secret",
    "/AREA/SECRET",
    "/area/Secret",
    "/area/%53ecret",
    "/area/%73ecret",
    "/area/%73%65%63%72%65%74",
    "/%61rea/%73ecret",
    "/area/%2573ecret",
    "/area%252fsecret",
    "/area/secret%00",
    "/area/%00secret",
    "/area%00/secret",
    "/area/secret%00.html",
    "/area/secret%20",
    "/area/secret%09",
    "/area/secret%0a",
    "/area/secret%0d%0a",
    "/area/secret;x",
    "/area/secret;x=1",
    "/area;x/secret",
    "/;x/area/secret",
    "/area/secret/;x",
    "/area/;x/secret",
    "/area/secret.",
    "/area/secret..",
    "/area/secret.json",
    "/area/secret%3f",
    "/area/secret%3ftoken=",
    "/area/secret%23",
    "/area/secret?",
    "/area/secret??token=",
    "/area/secret?token",
    "/area/secret#",
    "/area/secret#x",
    "/area/secret&x",
    "/area/s%65cret%c0%af",
    "/area%c0%afsecret",
    "/area/%ff",
    "/area/s\u0435cret".encode().decode("latin-1"),
    "/area/%ef%bc%b3ecret",
    "/area/%u0073ecret",
    "/area/*",
    "/area/",
    "/area",
    "area/secret",
    "http://127.0.0.1/area/secret",
    "http://evil.example/area/secret",
    "http:/area/secret",
    "//evil.example/area/secret",
    "*",
    "/api/area/secret",
    "/api//area/secret",
    "//api/area/secret",
    "/api/api/area/secret",
    "/API/area/secret",
    "/ap%69/area/secret",
    "/api%2farea/secret",
    "/api/../area/secret",
    "/apiarea/secret",
    "/mount/area/secret",
    "/vault/7/door",
    "/vault/7/door/",
    "/vault//door",
    "/vault/%2f/door",
    "/vault/7%2fdoor",
    "/vault/7/8/door",
    "/vault/{room}/door",
    "/vault/%7broom%7d/door",
    "/vault/../door",
    "/vault/7;x/door",
    "/vault/7/door;x",
    "/Vault/7/door",
    "/vault/7//door",
]


async def _reaches(served: Served, target: str) -> bool:
    """Whether it leads to the guarded namespace, for those who have the token."""
    async with raw(served) as client:
        if await client.handshake(target.encode("latin-1")) == 101:
            await _check_open(client)
    separator = "&" if "?" in target else "?"
    async with raw(served) as client:
        with_token = f"{target}{separator}token={SECRET}"
        if await client.handshake(with_token.encode("latin-1")) == 101:
            welcome = await client.read_text()
            if welcome["event"] == "guarded":
                judged: bool = welcome["data"][2]
                assert judged
                return True
            _check_open_data(welcome["data"])
    return False


async def _check_open(client: Raw) -> None:
    """Without the token only the open namespace beside the guarded one may answer."""
    welcome = await client.read_text()
    assert welcome["event"] == "open"
    _check_open_data(welcome["data"])


def _check_open_data(data: tuple[str, dict[str, str]]) -> None:
    namespace, parameters = data
    assert parameters["name"] != "secret"
    assert "/" not in parameters["name"]
    assert namespace == f"/area/{parameters['name']}"


@pytest.mark.parametrize("mounted", [False, True], ids=["plain", "under-root-path"])
async def test_no_spelling_goes_around_the_hook(
    served: Served, start: Callable[..., Served], mounted: bool
) -> None:
    assert len(set(SPELLINGS)) == len(SPELLINGS)
    if mounted:
        served = start(mounted=True)
    reaching = set()
    for target in SPELLINGS:
        try:
            if await _reaches(served, target):
                reaching.add(target)
        except Exception as error:
            error.add_note(f"target: {target!r}")
            raise
    # The app is found below its root path, whether the server puts it into the path or not.
    assert {"/area/secret", "/area/secret/", "/area/%73ecret", "/vault/7/door"} <= reaching
    assert ("/api/area/secret" in reaching) <= mounted


async def test_the_spellings_that_do_reach_it(served: Served) -> None:
    for target in ("/area/secret", "/area/secret/", "/area/%73ecret", "/vault/7/door"):
        async with raw(served) as client:
            assert await client.handshake(f"{target}?token={SECRET}") == 101, target
            assert (await client.read_text())["event"] == "guarded"
        async with raw(served) as client:
            assert await client.handshake(target) == 403, target
