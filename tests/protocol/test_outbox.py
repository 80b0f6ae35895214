"""The outbox: by example for each policy, and against a model that keeps a plain list."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.limits import Overflow
from asgi_ws_gateway.protocol.outbox import Outbox, Verdict

QUEUED, DROPPED, OVERFLOW = Verdict.QUEUED, Verdict.DROPPED, Verdict.OVERFLOW
KEY = ("moved", "cursor")
OTHER = ("moved", "hand")


def drained(outbox: Outbox) -> list[str | bytes]:
    return [outbox.pop() for _ in range(len(outbox))]


def filled(overflow: Overflow, *payloads: str, max_messages: int = 3) -> Outbox:
    outbox = Outbox(100, max_messages, overflow)
    for payload in payloads:
        assert outbox.push(payload, 10) is QUEUED
    return outbox


def test_first_in_is_first_out() -> None:
    assert drained(filled("close", "a", "b", "c")) == ["a", "b", "c"]


def test_it_counts_what_waits_in_messages_and_bytes() -> None:
    outbox = filled("close", "a", "b")
    assert (len(outbox), outbox.bytes) == (2, 20)
    outbox.pop()
    assert (len(outbox), outbox.bytes) == (1, 10)


def test_an_empty_one_has_nothing_to_pop() -> None:
    with pytest.raises(IndexError):
        Outbox(1, 1, "close").pop()


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize("limits", [(1, 1), (0, 0), (1, None), (None, 1)])
def test_an_empty_one_takes_one_message_of_any_size(
    overflow: Overflow, limits: tuple[int | None, int | None]
) -> None:
    outbox = Outbox(*limits, overflow)
    assert outbox.fits(10**9)
    assert outbox.push("huge", 10**9) is QUEUED
    assert not outbox.fits(1)


def test_without_limits_everything_is_taken() -> None:
    outbox = Outbox(None, None, "close")
    assert {outbox.push("x", 10**9) for _ in range(5000)} == {QUEUED}
    assert not outbox.over_half


def test_exactly_full_is_not_too_full() -> None:
    outbox = filled("close", "a", "b", max_messages=100)
    assert outbox.push("c", 80) is QUEUED
    assert outbox.push("d", 1) is OVERFLOW
    assert outbox.push("", 0) is QUEUED


def test_close_takes_no_more_and_loses_nothing_that_waits() -> None:
    outbox = filled("close", "a", "b", "c")
    assert outbox.push("d", 1) is OVERFLOW
    assert (outbox.bytes, outbox.dropped) == (30, 0)
    assert drained(outbox) == ["a", "b", "c"]


def test_drop_newest_loses_what_comes() -> None:
    outbox = filled("drop_newest", "a", "b", "c")
    assert outbox.push("d", 1) is DROPPED
    assert outbox.dropped == 1
    assert drained(outbox) == ["a", "b", "c"]


def test_drop_oldest_loses_as_many_as_it_takes() -> None:
    outbox = filled("drop_oldest", "a", "b", "c")
    assert outbox.push("d", 85) is QUEUED
    assert outbox.dropped == 2
    assert drained(outbox) == ["c", "d"]


def test_drop_oldest_makes_room_even_for_what_is_larger_than_the_outbox() -> None:
    outbox = filled("drop_oldest", "a", "b")
    assert outbox.push("huge", 1000) is QUEUED
    assert outbox.dropped == 2
    assert drained(outbox) == ["huge"]


def test_drop_oldest_passes_over_answers() -> None:
    outbox = Outbox(100, 3, "drop_oldest")
    outbox.push("answer", 10, answer=True)
    outbox.push("a", 10)
    outbox.push("b", 10)
    assert outbox.push("c", 10) is QUEUED
    assert drained(outbox) == ["answer", "b", "c"]


def test_drop_oldest_loses_what_comes_when_only_answers_wait() -> None:
    outbox = Outbox(100, 3, "drop_oldest")
    for payload in ("1", "2", "3"):
        outbox.push(payload, 10, answer=True)
    assert outbox.push("a", 10) is DROPPED
    assert outbox.dropped == 1
    assert drained(outbox) == ["1", "2", "3"]


def test_drop_oldest_drops_nothing_where_that_would_not_make_room() -> None:
    outbox = Outbox(100, 10, "drop_oldest")
    outbox.push("answer", 50, answer=True)
    outbox.push("a", 10)
    assert outbox.push("b", 60) is DROPPED
    assert outbox.dropped == 1
    assert drained(outbox) == ["answer", "a"]


def test_drop_newest_counts_all_that_it_loses() -> None:
    outbox = filled("drop_newest", "a", "b", "c")
    assert [outbox.push("d", 1) for _ in range(3)] == [DROPPED] * 3
    assert outbox.dropped == 3


@pytest.mark.parametrize(
    ("answers", "size", "verdict"),
    [
        ([50], 50, QUEUED),
        ([50], 51, DROPPED),
        ([20, 30], 50, QUEUED),
        ([30, 20], 51, DROPPED),
        ([0, 0, 0], 90, QUEUED),
        ([0, 0, 0, 0], 1, DROPPED),
    ],
)
def test_drop_oldest_makes_room_beside_all_answers_that_wait(
    answers: list[int], size: int, verdict: Verdict
) -> None:
    outbox = Outbox(100, 4, "drop_oldest")
    for each in answers:
        outbox.push("answer", each, answer=True)
    while len(outbox) < 4:
        outbox.push("a", 1)
    assert outbox.push("b", size) is verdict
    kept = [payload for payload in drained(outbox) if payload == "answer"]
    assert len(kept) == len(answers)


@pytest.mark.parametrize("leave", ["pop", "clear"])
def test_answers_that_have_left_make_room_again(leave: str) -> None:
    outbox = Outbox(100, 1, "drop_oldest")
    for _ in range(3):
        outbox.push("answer", 60, answer=True)
    if leave == "pop":
        assert drained(outbox) == ["answer"] * 3
    else:
        outbox.clear()
    outbox.push("a", 10)
    assert outbox.push("b", 1000) is QUEUED
    assert drained(outbox) == ["b"]


def test_answers_that_have_left_make_room_beside_those_that_wait() -> None:
    outbox = Outbox(100, 3, "drop_oldest")
    outbox.push("answer", 60, answer=True)
    outbox.push("other", 30, answer=True)
    assert outbox.pop() == "answer"
    outbox.push("a", 60)
    assert outbox.push("b", 70) is QUEUED
    assert drained(outbox) == ["other", "b"]


@pytest.mark.parametrize("overflow", ["close", "drop_oldest", "drop_newest"])
def test_an_answer_is_queued_however_full_it_is_and_drops_nothing(overflow: Overflow) -> None:
    outbox = filled(overflow, "a", "b", "c")
    assert outbox.push("answer", 1000, answer=True) is QUEUED
    assert outbox.dropped == 0
    assert drained(outbox) == ["a", "b", "c", "answer"]


def test_latest_replaces_what_is_unsent_in_its_place() -> None:
    outbox = Outbox(100, 3, "close")
    outbox.push("old", 10, key=KEY)
    outbox.push("other", 10, key=OTHER)
    outbox.push("plain", 10)
    assert outbox.push("new", 25, key=KEY) is QUEUED
    assert (len(outbox), outbox.bytes, outbox.dropped) == (3, 45, 0)
    assert drained(outbox) == ["new", "other", "plain"]


def test_latest_replaces_nothing_that_has_been_sent() -> None:
    outbox = Outbox(100, 3, "close")
    outbox.push("old", 10, key=KEY)
    assert outbox.pop() == "old"
    outbox.push("new", 10, key=KEY)
    assert drained(outbox) == ["new"]


def test_latest_of_a_full_outbox_still_replaces() -> None:
    outbox = filled("close", "a", "b")
    outbox.push("old", 80, key=KEY)
    assert outbox.push("new", 80, key=KEY) is QUEUED
    assert drained(outbox) == ["a", "b", "new"]


@pytest.mark.parametrize(("overflow", "verdict"), [("close", OVERFLOW), ("drop_newest", DROPPED)])
def test_a_replacement_that_does_not_fit_leaves_the_older_one(
    overflow: Overflow, verdict: Verdict
) -> None:
    outbox = filled(overflow, "a")
    outbox.push("old", 10, key=KEY)
    assert outbox.push("new", 95, key=KEY) is verdict
    assert outbox.bytes == 20
    assert drained(outbox) == ["a", "old"]


def test_a_replacement_that_does_not_fit_in_its_place_goes_to_the_end_behind_what_is_kept() -> None:
    outbox = filled("drop_oldest", "a", max_messages=5)
    outbox.push("old", 10, key=KEY)
    outbox.push("b", 10)
    assert outbox.push("new", 85, key=KEY) is QUEUED
    assert outbox.dropped == 1  # "a": "old" was replaced, not lost
    assert drained(outbox) == ["b", "new"]


def test_what_was_dropped_is_not_replaced_any_more() -> None:
    outbox = filled("drop_oldest", max_messages=1)
    outbox.push("old", 10, key=KEY)
    outbox.push("a", 10)
    outbox.push("new", 10, key=KEY)
    assert drained(outbox) == ["new"]
    assert outbox.dropped == 2


def test_clear_empties_it_and_tells_how_much_that_was() -> None:
    outbox = filled("close", "a")
    outbox.push("b", 10, key=KEY)
    assert outbox.clear() == 2
    assert (len(outbox), outbox.bytes) == (0, 0)
    outbox.push("c", 10, key=KEY)
    assert drained(outbox) == ["c"]


@pytest.mark.parametrize(
    ("sizes", "over"),
    [([], False), ([1000], False), ([50, 0], False), ([51, 0], True), ([0, 0], False)],
)
def test_over_half_is_more_than_half_of_the_bytes_and_more_than_one_message(
    sizes: list[int], over: bool
) -> None:
    outbox = Outbox(100, 10, "close")
    for size in sizes:
        outbox.push("x", size, answer=True)
    assert outbox.over_half is over


@pytest.mark.parametrize(("count", "over"), [(5, False), (6, True)])
def test_over_half_is_more_than_half_of_the_messages(count: int, over: bool) -> None:
    outbox = Outbox(1000, 10, "close")
    for _ in range(count):
        outbox.push("x", 1)
    assert outbox.over_half is over


@pytest.mark.parametrize(
    ("size", "messages", "fits"), [(90, 1, True), (91, 1, False), (90, 2, True), (2, 3, False)]
)
def test_several_messages_fit_when_both_their_bytes_and_their_number_do(
    size: int, messages: int, fits: bool
) -> None:
    assert filled("close", "a").fits(size, messages) is fits


@dataclass
class Waiting:
    payload: str
    size: int
    answer: bool
    key: tuple[str, str] | None


@dataclass
class Model:
    """What the outbox does, without regard to speed."""

    max_bytes: float
    max_messages: float
    overflow: Overflow
    queue: list[Waiting] = field(default_factory=list)
    dropped: int = 0

    def fits(self, size: int, queue: list[Waiting]) -> bool:
        return not queue or (
            len(queue) < self.max_messages
            and sum(each.size for each in queue) + size <= self.max_bytes
        )

    def push(self, new: Waiting) -> Verdict:
        unsent = [each for each in self.queue if new.key is not None and each.key == new.key]
        others = [each for each in self.queue if each not in unsent]
        if unsent and self.fits(new.size, others):
            self.queue[self.queue.index(unsent[0])] = new
            return QUEUED
        if not new.answer and not self.fits(new.size, self.queue):
            if self.overflow == "close":
                return OVERFLOW
            answers = [each for each in self.queue if each.answer]
            if self.overflow == "drop_newest" or not self.fits(new.size, answers):
                self.dropped += 1
                return DROPPED
            while not self.fits(new.size, others):
                others.remove(next(each for each in others if not each.answer))
                self.dropped += 1
        self.queue = [*others, new]
        return QUEUED


pushes = st.tuples(
    st.integers(0, 12),
    st.sampled_from(["plain", "plain", "answer", "latest-a", "latest-b"]),
)
bounds = st.one_of(st.none(), st.integers(0, 30))


@given(
    bounds,
    st.one_of(st.none(), st.integers(0, 5)),
    st.sampled_from(["close", "drop_oldest", "drop_newest"]),
    st.lists(st.one_of(pushes, st.none()), max_size=40),
)
def test_it_does_what_its_model_does(
    max_bytes: int | None,
    max_messages: int | None,
    overflow: Overflow,
    steps: list[tuple[int, str] | None],
) -> None:
    outbox = Outbox(max_bytes, max_messages, overflow)
    model = Model(
        float("inf") if max_bytes is None else max_bytes,
        float("inf") if max_messages is None else max_messages,
        overflow,
    )
    answers: list[str | bytes] = []
    for number, step in enumerate(steps):
        if step is None:
            if model.queue:
                sent = outbox.pop()
                assert sent == model.queue.pop(0).payload
                if sent in answers:
                    answers.remove(sent)
        else:
            size, kind = step
            answer = kind == "answer"
            key = ("moved", kind) if kind.startswith("latest") else None
            payload = f"{number}"
            if answer:
                answers.append(payload)
            verdict = outbox.push(payload, size, answer=answer, key=key)
            assert verdict is model.push(Waiting(payload, size, answer, key))
            assert not answer or verdict is QUEUED
        # Counted in whole, with nothing forgotten and nothing left over.
        waiting = model.queue
        assert len(outbox) == len(waiting)
        assert outbox.bytes == sum(each.size for each in waiting)
        assert outbox.dropped == model.dropped
        for each in (0, 1, 10):
            assert outbox.fits(each) is model.fits(each, waiting)
        # Over its bounds it is by answers only, or by the one message of any size.
        if len(waiting) > 1 and not any(each.answer for each in waiting):
            assert outbox.bytes <= model.max_bytes
            assert len(outbox) <= model.max_messages
    left = [each.payload for each in model.queue]
    assert [each for each in left if each in answers] == answers
    assert drained(outbox) == left
