"""The rate limiter, by example and against a model that keeps every moment it admitted."""

from hypothesis import given
from hypothesis import strategies as st

from asgi_ws_gateway.protocol.rate import RateLimiter, RateVerdict

ADMIT, REFUSE, CLOSE = RateVerdict.ADMIT, RateVerdict.REFUSE, RateVerdict.CLOSE


def takes(limiter: RateLimiter, now: float, times: int) -> list[RateVerdict]:
    return [limiter.take(now) for _ in range(times)]


def test_a_burst_is_admitted_at_once_and_then_one_message_as_each_comes_due() -> None:
    limiter = RateLimiter(rate=2, burst=3, now=100.0)
    assert takes(limiter, 100.0, 4) == [ADMIT, ADMIT, ADMIT, REFUSE]
    assert takes(limiter, 100.5, 2) == [ADMIT, REFUSE]
    assert takes(limiter, 101.5, 3) == [ADMIT, ADMIT, REFUSE]


def test_silence_saves_up_one_burst_and_no_more() -> None:
    limiter = RateLimiter(rate=10, burst=2, now=0.0)
    assert takes(limiter, 3600.0, 3) == [ADMIT, ADMIT, REFUSE]


def test_without_a_burst_as_many_as_one_second_allows_come_at_once() -> None:
    assert takes(RateLimiter(rate=5, burst=None, now=0.0), 0.0, 6) == [ADMIT] * 5 + [REFUSE]


def test_a_rate_below_one_a_second_still_admits_a_message() -> None:
    limiter = RateLimiter(rate=0.5, burst=None, now=0.0)
    assert takes(limiter, 0.0, 2) == [ADMIT, REFUSE]
    assert limiter.take(1.9) is REFUSE
    assert limiter.take(2.0) is ADMIT


def test_a_peer_that_goes_on_is_closed_after_ten_bursts_of_refusals() -> None:
    limiter = RateLimiter(rate=1, burst=3, now=0.0)
    assert takes(limiter, 0.0, 3 + 30 + 2) == [ADMIT] * 3 + [REFUSE] * 30 + [CLOSE] * 2


def test_a_peer_that_is_refused_now_and_then_is_never_closed() -> None:
    limiter = RateLimiter(rate=1, burst=1, now=0.0)
    verdicts = [limiter.take(second / 2) for second in range(2000)]
    assert CLOSE not in verdicts
    assert verdicts[:4] == [ADMIT, REFUSE, ADMIT, REFUSE]


def test_a_refusal_is_told_at_once_and_then_once_a_second() -> None:
    limiter = RateLimiter(rate=1, burst=None, now=7.0)
    assert [limiter.may_tell(7.0 + tenth / 10) for tenth in range(0, 25, 5)] == [
        True,
        False,
        True,
        False,
        True,
    ]


# Steps of 1/8 s and a rate of 8 are exact in floating point.
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=60),
)
def test_no_window_ever_holds_more_than_its_burst_and_its_time_allow(
    burst: int, arrivals: list[tuple[int, int]]
) -> None:
    limiter = RateLimiter(rate=8, burst=burst, now=0.0)
    ticks, level = 0, burst
    admitted: list[int] = []
    for pause, messages in arrivals:
        ticks += pause
        level = min(burst, level + pause)
        for _ in range(messages):
            wanted = level > 0
            assert (limiter.take(ticks / 8) is ADMIT) == wanted
            if wanted:
                level -= 1
                admitted.append(ticks)
    for start, first in enumerate(admitted):
        for end, last in enumerate(admitted[start:], start):
            assert end - start + 1 <= burst + last - first
