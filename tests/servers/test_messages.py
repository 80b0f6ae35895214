"""What is answered to what, and in which order."""

from __future__ import annotations

import json

import pytest

from tests.servers.app import SECRET
from tests.servers.client import connect, control, fresh_key
from tests.servers.processes import Served

ERRORS = {
    "invalid_json": ["not json", '{"event": NaN}', '{"event": "echo"} {}', "[" * 100_000],
    "invalid_message": [
        "[]",
        '"text"',
        "{}",
        '{"event": ""}',
        '{"event": 7}',
        json.dumps({"event": "x" * 129}),
        '{"event": "echo", "id": true}',
        '{"event": "echo", "id": "s:1"}',
        '{"event": "ack"}',
        '{"event": "heartbeat", "id": null}',
    ],
    "unsupported_frame": [b"{}"],
    "message_too_large": ['{"event": "echo", "data": "' + "x" * 1_000_000 + '"}'],
}


@pytest.mark.parametrize("code", ERRORS)
async def test_what_cannot_be_read_is_an_error_and_the_connection_stays(
    served: Served, code: str
) -> None:
    async with connect(served, "/main") as client:
        for text in ERRORS[code]:
            error = await client.error(text)
            assert error["data"]["code"] == code
            assert error["data"].keys() == {"code", "message"}
            assert "id" not in error
        assert await client.request("echo", 1) == 1


@pytest.mark.parametrize(
    ("code", "event", "data"),
    [
        ("unknown_event", "nowhere", None),
        ("validation_failed", "validated", {"text": "x" * 30}),
        ("no_coffee", "reject", None),
        ("rejected", "reject_plainly", None),
        ("handler_failed", "fail", None),
        ("handler_failed", "fail_in_thread", None),
        ("handler_failed", "unencodable", None),
        ("handler_timeout", "slow", None),
        ("handler_timeout", "slow_in_thread", None),
        ("limit_reached", "join", "c"),
    ],
)
async def test_a_failure_is_told_with_the_id_and_the_connection_stays(
    served: Served, code: str, event: str, data: object
) -> None:
    async with connect(served, "/main") as client:
        if event == "join":
            assert await client.request("join", "a") == ["a"]
            assert await client.request("join", "b") == ["a", "b"]
        for id in (None, "c1", -7):
            envelope = {"event": event, "data": data}
            if id is not None:
                envelope["id"] = id
            error = await client.error(json.dumps(envelope))
            assert error.get("id") == id
            assert error["data"]["code"] == code
            assert error["data"]["event"] == event
            assert error["data"]["message"]
            assert ("issues" in error["data"]) == (code == "validation_failed")
            assert SECRET not in str(error)
            assert "xxxxx" not in str(error)
        assert await client.request("echo", 1) == 1


async def test_a_bad_envelope_is_told_with_its_id(served: Served) -> None:
    async with connect(served, "/main") as client:
        error = await client.error('{"id": "c1", "data": 1}')
        assert (error["id"], error["data"]["code"]) == ("c1", "invalid_message")


async def test_a_rejection_says_what_it_wants(served: Served) -> None:
    async with connect(served, "/main") as client:
        error = await client.error('{"event": "reject"}')
        assert error["data"] == {
            "code": "no_coffee",
            "message": "it is a teapot",
            "event": "reject",
            "data": {"size": 3},
        }


async def test_a_client_over_its_rate_is_told_then_closed(served: Served) -> None:
    key = fresh_key()
    async with connect(served, f"/rate?key={key}") as client, control(served) as looking:
        for number in range(4):
            await client.send("echo", number, id=number)
        answers = [await client.frame() for _ in range(4)]
        assert [answer["id"] for answer in answers] == [0, 1, 2, 3]
        assert [answer["event"] for answer in answers] == ["ack", "ack", "error", "error"]
        assert answers[3]["data"]["code"] == "rate_limited"
        await client.send_into_the_close("echo", 500)
        assert await client.closed() in served.server.flooded(1008, "rate limited")
        assert await looking.left(key) == (1008, "rate limited")


async def test_every_kind_of_answer(served: Served) -> None:
    async with connect(served, "/main") as client:
        await client.send_text('{"event": "echo", "data": {"a": [1, null, "\\u00e4"]}, "id": 1}')
        assert await client.frame() == {"event": "ack", "data": {"a": [1, None, "ä"]}, "id": 1}
        await client.send_text('{"event": "echo", "id": "c1"}')
        assert await client.frame() == {"event": "ack", "data": None, "id": "c1"}
        await client.send("say", "x", id="c2")
        assert await client.frame() == {"event": "said", "data": "x", "id": "c2"}
        await client.send("say", "x")
        assert await client.frame() == {"event": "said", "data": "x"}
        await client.send("skip", id="c3")
        assert await client.frame() == {"event": "ack", "data": None, "id": "c3"}
        await client.send("skip")
        await client.send("echo", "never answered")
        await client.send("nothing", id="c4")
        assert await client.frame() == {"event": "said", "data": None, "id": "c4"}


@pytest.mark.parametrize("event", ["count", "count_in_thread"])
async def test_a_stream_ends_with_an_answer(served: Served, event: str) -> None:
    async with connect(served, "/main") as client:
        await client.send(event, 3, id="c1")
        for number in range(3):
            tick = {"event": "tick", "data": number, "id": "c1", "more": True}
            assert await client.frame() == tick
        assert await client.frame() == {"event": "ack", "data": None, "id": "c1"}
        await client.send(event, 2)
        assert [await client.frame() for _ in range(2)] == [
            {"event": "tick", "data": 0},
            {"event": "tick", "data": 1},
        ]
        assert await client.request("echo", 1) == 1


async def test_a_stream_that_fails_ends_with_an_error(served: Served) -> None:
    async with connect(served, "/main") as client:
        await client.send("break_off", id="c1")
        assert (await client.frame())["more"] is True
        error = await client.frame()
        assert (error["event"], error["id"]) == ("error", "c1")
        assert error["data"]["code"] == "handler_failed"
        assert SECRET not in str(error)


async def test_cancelling_what_runs_waits_or_streams(served: Served) -> None:
    key = fresh_key()
    async with connect(served, f"/main?key={key}") as client, control(served) as looking:
        await client.send("hold", id="running")
        await client.send("echo", id="waiting")
        await looking.wait(key, "held")
        await client.send_text('{"cancel": "unknown"}')
        await client.send_text('{"cancel": "waiting"}')
        error = await client.frame()
        assert (error["id"], error["data"]["code"]) == ("waiting", "cancelled")
        await client.send_text('{"cancel": "running"}')
        error = await client.frame()
        assert (error["id"], error["data"]["code"]) == ("running", "cancelled")
        assert await looking.wait(key, "cancelled") == [[]]

        await client.send("endless", id=5)
        assert (await client.frame())["more"] is True
        await client.send_text('{"cancel": 5}')
        while (frame := await client.frame())["event"] == "tick":
            assert frame["more"] is True
        assert (frame["id"], frame["data"]["code"]) == (5, "cancelled")
        assert await looking.wait(key, "stream closed") == [[]]
        assert await client.request("echo", 1) == 1


async def test_questions_to_a_client(served: Served) -> None:
    async with connect(served, "/main") as client:
        for event in ("ask", "ask_in_thread"):
            await client.send(event, "sure?", id="c1")
            question = await client.frame()
            assert (question["event"], question["data"]) == ("question", "sure?")
            assert question["id"].startswith("s:")
            await client.send("ack", "yes", id=question["id"])
            answer = {"event": "ack", "data": {"answer": "yes"}, "id": "c1"}
            assert await client.frame() == answer
            await client.send("ack", "again", id=question["id"])
        await client.send("ask", "sure?", id="c2")
        question = await client.frame()
        await client.send("error", {"code": "busy", "message": "later"}, id=question["id"])
        answer = {"rejected": "busy", "message": "later"}
        assert await client.frame() == {"event": "ack", "data": answer, "id": "c2"}


async def test_a_question_to_a_client_that_leaves(served: Served) -> None:
    key = fresh_key()
    async with control(served) as looking:
        async with connect(served, f"/main?key={key}") as client:
            await client.send("ask")
            await client.frame()
        await looking.wait(key, "peer closed")
        await looking.left(key)


async def test_plain_functions_have_the_same_verbs(served: Served) -> None:
    async with connect(served, "/main") as client, connect(served, "/main") as other:
        await other.request("join", "thread")
        await client.send("note_in_thread", "x", id="c1")
        assert await client.expect("note") == ["thread"]
        assert await client.expect("note") == "all"
        assert await client.frame() == {"event": "said", "data": "x", "id": "c1"}
        assert await other.expect("heard") == "x"
        assert await other.expect("note") == "all"


async def test_broadcasts_go_to_a_room_with_and_without_the_sender(served: Served) -> None:
    data = {"room": fresh_key(), "text": "hi"}
    async with connect(served, "/main") as alice, connect(served, "/main") as bob:
        async with connect(served, "/main") as stranger:
            for client in (alice, bob):
                await client.request("join", data["room"])
            assert await alice.request("shout", data) == data
            assert await bob.expect("heard") == data
            await bob.send("all", data)
            assert await alice.expect("heard") == data
            assert await bob.expect("heard") == data
            assert await stranger.request("echo", 1) == 1


async def test_messages_to_a_user_and_its_end(served: Served) -> None:
    user, key = fresh_key(), fresh_key()
    path = f"/attempt?outcome=user&user={user}&key={key}"
    async with control(served) as looking, connect(served, path) as client:
        async with connect(served, path.replace(key, fresh_key())) as second:
            news = {"user": user, "event": "news", "data": [1]}
            assert await looking.request("emit_to_user", news) == 2
            assert await client.expect("news") == [1]
            assert await second.expect("news") == [1]
            await looking.request("disconnect_user", user)
            assert await client.closed() == (4003, served.server.reason("banned"))
            assert await second.closed() == (4003, served.server.reason("banned"))
        assert await looking.left(key) == (4003, "banned")


async def test_pipelined_messages_are_answered_in_order(served: Served) -> None:
    async with connect(served, "/main") as client:
        for number in range(200):
            await client.send("nap" if number % 7 == 0 else "echo", number, id=number)
        answers = [await client.frame() for _ in range(200)]
        assert [answer["id"] for answer in answers] == list(range(200))
        assert [answer["data"] for answer in answers] == list(range(200))


async def test_concurrent_handlers_answer_as_they_end(served: Served) -> None:
    key, first, second = fresh_key(), fresh_key(), fresh_key()
    async with connect(served, f"/main?key={key}") as client, control(served) as looking:
        await client.send("hold_aside", first, id=1)
        await client.send("hold_aside", second, id=2)
        await client.send("echo", 3, id=3)
        assert (await client.frame())["id"] == 3
        await looking.wait(key, "held", 2)
        await looking.request("release", second)
        assert (await client.frame())["id"] == 2
        await looking.request("release", first)
        assert (await client.frame())["id"] == 1


async def test_big_and_fragmented_messages(served: Served) -> None:
    big = "ä" * 450_000
    async with connect(served, "/main") as client:
        assert await client.request("echo", big) == big
        # A little under 1 MiB, which is the most that daphne sends or receives.
        assert len(await client.request("big", 1_000_000)) == 1_000_000
        text = json.dumps({"event": "echo", "data": "ä" * 1000, "id": 1}, ensure_ascii=False)
        parts = [text[start : start + 100] for start in range(0, len(text), 100)]
        await client.socket.send(parts)
        assert (await client.frame())["data"] == "ä" * 1000
    async with connect(served, "/main", compression=None) as client:
        assert await client.request("echo", big) == big
