"""The first example of the documentation, as it stands there."""

from __future__ import annotations

from collections.abc import Callable

from tests.servers.client import connect, denied
from tests.servers.processes import Served


async def test_the_first_example_runs_unchanged(start: Callable[..., Served]) -> None:
    served = start("tests.servers.first_example:application")
    server = served.server

    refusal = await denied(served, "/chat?token=wrong")
    assert refusal.status == server.status(401)
    if server.denial:
        assert refusal.body == "unknown token"
    assert (await denied(served, "/chat")).status == server.status(401)
    assert (await denied(served, "/other")).status == 403

    async with connect(served, "/chat?token=t") as alice:
        assert await alice.request("ping") == {}
        async with connect(served, "/chat/?token=t") as second:
            assert await alice.expect("joined") == {"user": "Alice"}
            await alice.send("send", {"text": "hi"})
            assert await alice.expect("sent") == {"from": "Alice", "text": "hi"}
            assert await second.expect("new") == {"from": "Alice", "text": "hi"}

            await second.send("send", {"text": "", "more": 1})
            error = await second.expect("error")
            assert (error["code"], error["event"]) == ("validation_failed", "send")
            rules = {(issue["path"], issue["rule"]) for issue in error["issues"]}
            assert rules == {("/text", "minLength"), ("", "additionalProperties")}

            await second.send("ping")
            assert await second.expect("pong") == {}
        assert await alice.expect("left") == {"user": "Alice"}
    log = served.log()
    assert "Traceback" not in log
    assert "ERROR" not in log
