"""The targets of performance.md, section 6, and how they are judged from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.background import Background
from benchmarks.inline import Rounds
from benchmarks.numbers import Spread, percentile, ratio_of_p50
from benchmarks.recovery import LEASE, Recovery


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target."""

    id: str
    what: str
    target: str
    measured: str
    reached: bool


def of_inline(postgres: Rounds, sqlite: Rounds) -> Iterator[Verdict]:
    """Judge T1 to T5 and T13."""
    yield from _ratio("T1", "atomic, PostgreSQL", postgres, "raw/journal-run", "flowstate/atomic", 3.2)
    yield from _ratio("T1", "the same to plain Django", postgres, "django/atomic", "flowstate/atomic", 2.0)
    yield from _ratio("T2", "atomic, SQLite", sqlite, "raw/journal-run", "flowstate/atomic", 6.0)
    yield from _ratio(
        "T3", "commit per step, PostgreSQL", postgres, "raw/journal-step", "flowstate/step", 2.4
    )
    yield from _ratio("T4", "commit per step, SQLite", sqlite, "raw/journal-step", "flowstate/step", 4.5)
    yield from _ratio("T5", "compensation, PostgreSQL", postgres, "raw/undo", "flowstate/undo", 2.6)
    for ours, plain in (("flowstate/atomic", "django/atomic"), ("flowstate/step", "django/atomic-step")):
        if ours in sqlite and plain in sqlite:
            milliseconds = 1e3 * (_cpu(sqlite, ours) - _cpu(sqlite, plain))
            limit = 0.5 + 3 * 0.15
            yield Verdict(
                "T13",
                f"{ours} minus {plain}, SQLite, CPU",
                f"<= {limit:.2f} ms",
                f"{milliseconds:.2f} ms",
                milliseconds <= limit,
            )


def of_background(found: Background) -> Iterator[Verdict]:
    """Judge T6 to T9."""
    if not {"raw", "flowstate"} <= found.one.keys():
        return
    ours, raw, two = found.one["flowstate"], found.one["raw"], found.two["flowstate"]
    spread = Spread.of([limit.rate / burst.rate for limit, burst in zip(raw, ours, strict=True)])
    yield Verdict("T6", "background, 1 worker, to raw", "<= 2.6x", f"{spread.show()}x", spread.middle <= 2.6)
    scale = Spread.of([more.rate / one.rate for more, one in zip(two, ours, strict=True)])
    yield Verdict("T7", "2 workers / 1 worker", ">= 1.5", scale.show(), scale.middle >= 1.5)
    p50, p95 = (1e3 * percentile(found.low_load["flowstate"], percent) for percent in (50, 95))
    yield Verdict(
        "T8", "low load p50 / p95", "<= 9 / 14 ms", f"{p50:.1f} / {p95:.1f} ms", p50 <= 9 and p95 <= 14
    )
    first = 1e3 * median(burst.first for burst in ours)
    queued = ours[0].runs
    yield Verdict("T9", f"first of {queued} queued done", "<= 30 ms", f"{first:.0f} ms", first <= 30)


def of_recovery(found: Recovery) -> Iterator[Verdict]:
    """Judge T12."""
    limit = 1.3 * found.expected + LEASE
    yield Verdict(
        "T12",
        f"{found.runs} runs, kill -9 at half",
        "all done, 0 doubled, <= 1 body twice",
        f"{found.finished} done, {found.doubled} doubled, {found.twice} twice",
        found.finished == found.runs and not found.doubled and found.twice <= 1,
    )
    yield Verdict(
        "T12",
        f"restart to done (lease {LEASE:g} s)",
        f"<= {limit:.1f} s",
        f"{found.seconds:.1f} s",
        found.seconds <= limit,
    )


def _ratio(name: str, what: str, rounds: Rounds, limit: str, peer: str, target: float) -> Iterator[Verdict]:
    if limit in rounds and peer in rounds:
        spread = ratio_of_p50(rounds[limit], rounds[peer])
        yield Verdict(
            name, f"{what}, to {limit}", f"<= {target:g}x", f"{spread.show()}x", spread.middle <= target
        )


def _cpu(rounds: Rounds, name: str) -> float:
    """Return the seconds of CPU time per run; what the disk does is not Python's."""
    return sum(one.cpu for one in rounds[name]) / sum(len(one.seconds) for one in rounds[name])
