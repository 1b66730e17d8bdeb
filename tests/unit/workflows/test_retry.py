"""Retry and durations: how often, how long, and what is refused."""

from __future__ import annotations

import copy
import math
import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstate import DeclarationInvalid, Retry, Step

DELAYS = st.floats(0, 1e6)
CHANCE = st.floats(0, 1, exclude_max=True)


class Busy(Exception):
    pass


class Gone(Busy):
    pass


@given(DELAYS, st.floats(1, 1e6), st.floats(0, 1e6), st.integers(1, 10_000), CHANCE)
def test_a_wait_with_jitter_is_never_negative_and_never_above_the_longest(
    delay: float, backoff: float, more: float, failures: int, chance: float
) -> None:
    retry = Retry(delay=delay, backoff=backoff, max_delay=delay + more)
    plain = Retry(delay=delay, backoff=backoff, max_delay=delay + more, jitter=False)

    wait = retry.delay_before(failures, lambda: chance)

    assert 0 <= wait <= plain.delay_before(failures, lambda: chance) <= retry.max_delay


@given(DELAYS, st.floats(1, 100), st.integers(1, 50))
def test_waits_without_jitter_do_not_shrink(delay: float, backoff: float, failures: int) -> None:
    retry = Retry(delay=delay, backoff=backoff, max_delay=1e6, jitter=False)

    assert retry.delay_before(failures, lambda: 0.0) <= retry.delay_before(failures + 1, lambda: 0.0)


@given(st.integers(1, 100), st.integers(1, 200))
def test_failures_never_exceed_the_limit(max_attempts: int, failures: int) -> None:
    assert Retry(max_attempts=max_attempts).allows(Busy(), failures) is (failures < max_attempts)


def test_the_wait_doubles_up_to_the_longest() -> None:
    retry = Retry(max_attempts=9, delay=1, backoff=2, max_delay=5, jitter=False)

    assert [retry.delay_before(failures, lambda: 0.5) for failures in (1, 2, 3, 4)] == [1, 2, 4, 5]


def test_jitter_draws_between_nothing_and_the_whole_wait() -> None:
    retry = Retry(delay=4)

    assert retry.delay_before(2, lambda: 0.0) == 0
    assert retry.delay_before(2, lambda: 0.5) == 4


def test_delay_zero_means_at_once() -> None:
    """P15: 0 is not replaced by a default."""
    retry = Retry(delay=0)

    assert retry.delay_before(1, lambda: 0.9) == 0
    assert retry.delay_before(10_000, lambda: 0.9) == 0
    assert not retry.waits


def test_one_attempt_never_waits() -> None:
    assert not Retry(max_attempts=1, delay=30).waits
    assert Retry(max_attempts=2, delay=30).waits


def test_failures_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        Retry().delay_before(0, lambda: 0.0)


def test_only_what_is_named_is_tried_again() -> None:
    """P17."""
    retry = Retry(on=[Busy], give_up_on=[Gone])

    assert retry.allows(Busy(), 1)
    assert not retry.allows(Gone(), 1)
    assert not retry.allows(OSError(), 1)


def test_any_exception_is_tried_again_unless_it_ends_the_process() -> None:
    assert Retry().allows(OSError(), 1)
    assert not Retry().allows(KeyboardInterrupt(), 1)


def test_a_duration_is_seconds_or_a_timedelta() -> None:
    retry = Retry(delay=timedelta(milliseconds=500), max_delay=timedelta(minutes=2))

    assert (retry.delay, retry.max_delay) == (0.5, 120.0)


def test_a_policy_is_a_value() -> None:
    retry = Retry(max_attempts=5, on=[Busy])

    assert pickle.loads(pickle.dumps(retry)) == copy.deepcopy(retry) == retry  # noqa: S301 - our own bytes
    assert hash(retry) == hash(Retry(max_attempts=5, on=(Busy,)))


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Retry().delay = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong", [-1, -0.001, True, False, math.nan, math.inf, "1", None, timedelta(-1), 1e12]
)
def test_what_is_no_duration_is_refused(wrong: Any) -> None:
    with pytest.raises(DeclarationInvalid, match="Retry: delay is a"):
        Retry(delay=wrong)
    with pytest.raises(DeclarationInvalid, match="Retry: max_delay is a"):
        Retry(max_delay=wrong)


@pytest.mark.parametrize("wrong", [-1, True, math.nan, math.inf, "1", timedelta(-1), 0, timedelta()])
def test_what_is_no_time_limit_is_refused(wrong: Any) -> None:
    with pytest.raises(DeclarationInvalid, match="Step charge: timeout is"):
        Step("charge", print, timeout=wrong)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "3", True, None])
def test_attempts_are_a_whole_number_from_one(wrong: Any) -> None:
    with pytest.raises(DeclarationInvalid, match=r"^Retry: max_attempts is a whole number from 1, not "):
        Retry(max_attempts=wrong)


@pytest.mark.parametrize("wrong", [0.5, -2, True, math.nan, math.inf, "2"])
def test_waits_that_would_shrink_or_explode_are_refused(wrong: Any) -> None:
    with pytest.raises(DeclarationInvalid, match=r"^Retry: backoff is a finite number from 1, not "):
        Retry(backoff=wrong)


@pytest.mark.parametrize("wrong", [Busy, [Busy()], "OSError", [KeyboardInterrupt], [str]])
def test_exceptions_are_given_as_a_list_of_classes(wrong: Any) -> None:
    with pytest.raises(DeclarationInvalid, match="Retry: on takes a list of exception classes, not "):
        Retry(on=wrong)
    with pytest.raises(DeclarationInvalid, match="Retry: give_up_on takes a list of exception classes, not "):
        Retry(give_up_on=wrong)


def test_jitter_is_true_or_false() -> None:
    with pytest.raises(DeclarationInvalid, match="Retry: jitter is True or False, not 1"):
        Retry(jitter=1)  # type: ignore[arg-type]


def test_a_delay_that_the_cap_would_cut_is_refused() -> None:
    with pytest.raises(DeclarationInvalid, match=r"delay is 3600 s, above max_delay, which is 60 s"):
        Retry(delay=timedelta(hours=1))


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DeclarationInvalid) as refused:
        Retry(attempts=3)  # type: ignore[arg-type]

    assert str(refused.value) == (
        "Retry has no option attempts; there are backoff, delay, give_up_on, jitter, max_attempts, max_delay, on."
    )
