"""What is printed: a table for each suite, then the targets."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.background import Background, Burst
from benchmarks.inline import Counted, Rounds
from benchmarks.numbers import Spread, percentile, ratio, ratio_of_p50
from benchmarks.targets import Verdict

STEPS = 3


def say(text: str = "") -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown, its columns aligned."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    say(f"\n## {title}\n")
    say("\n".join([lines[0], rule, *lines[1:]]))


def inline(title: str, rounds: Rounds, limits: Mapping[str, str], counted: Mapping[str, Counted]) -> None:
    """Print what ran in the caller's process; `limits` names the limit of each peer."""
    table(
        title,
        (
            *("peer", "runs/s", "steps/s", "p50/p95/p99 ms", "CPU ms", "limit", "ratio by rate", "by p50"),
            *("SQL", "tx", "commits", "WAL B"),
        ),
        (_inline_row(name, rounds, limits[name], counted.get(name)) for name in rounds),
    )


def _inline_row(name: str, rounds: Rounds, limit: str, counted: Counted | None) -> list[str]:
    own = rounds[name]
    seconds = [value for one in own for value in one.seconds]
    rate = Spread.of([one.rate for one in own])
    latency = "/".join(f"{1e3 * percentile(seconds, percent):.2f}" for percent in (50, 95, 99))
    cpu = 1e3 * sum(one.cpu for one in own) / len(seconds)
    to_limit = f"{ratio(rounds[limit], own).show()}x" if limit in rounds else ""
    steps = f"{rate.middle * STEPS:.0f}"
    by_p50 = f"{ratio_of_p50(rounds[limit], own).show()}x" if limit in rounds else ""
    return [name, rate.show(0), steps, latency, f"{cpu:.2f}", limit, to_limit, by_p50, *_costs(counted)]


def _costs(counted: Counted | None) -> list[str]:
    if counted is None:
        return ["", "", "", ""]
    commits = "-" if counted.commits is None else f"{counted.commits:.1f}"
    wal = "-" if counted.wal is None else f"{counted.wal:.0f}"
    return [f"{counted.sql:.1f}", f"{counted.tx:.1f}", commits, wal]


def background(found: Background) -> None:
    """Print what workers did."""
    runs = next((bursts[0].runs for bursts in found.one.values() if bursts), 0)
    table(
        f"In the background, PostgreSQL, {runs} runs queued at once",
        (
            *("crew", "1 worker runs/s", "steps/s", "ratio", "2 workers runs/s", "ratio", "2 / 1"),
            *("enqueued/s", "first done ms", "low load p50/p95/p99 ms"),
            *("SQL", "tx", "commits", "WAL B", "Redis queued", "Redis single"),
        ),
        (_background_row(crew, found) for crew in found.one),
    )


def _background_row(crew: str, found: Background) -> list[str]:
    one, two = found.one[crew], found.two[crew]
    rate = Spread.of([burst.rate for burst in one])
    return [
        crew,
        rate.show(0),
        f"{rate.middle * STEPS:.0f}",
        _to_raw(found.one, crew),
        Spread.of([burst.rate for burst in two]).show(0),
        _to_raw(found.two, crew),
        Spread.of([more.rate / less.rate for more, less in zip(two, one, strict=True)]).show(),
        Spread.of([burst.enqueued for burst in one]).show(0),
        Spread.of([1e3 * burst.first for burst in one]).show(0),
        "/".join(f"{1e3 * percentile(found.low_load[crew], percent):.1f}" for percent in (50, 95, 99)),
        *_costs(found.counted.get(crew)),
        f"{found.redis_queued[crew]:.1f}" if crew in found.redis_queued else "",
        f"{found.redis_single[crew]:.1f}" if crew in found.redis_single else "",
    ]


def _to_raw(bursts: Mapping[str, list[Burst]], crew: str) -> str:
    if "raw" not in bursts:
        return ""
    pairs = zip(bursts["raw"], bursts[crew], strict=True)
    return f"{Spread.of([raw.rate / own.rate for raw, own in pairs]).show()}x"


def targets(verdicts: Iterable[Verdict]) -> None:
    """Print which targets were reached."""
    table(
        "Targets",
        ("", "what", "target", "measured", "reached"),
        (
            (verdict.id, verdict.what, verdict.target, verdict.measured, "yes" if verdict.reached else "NO")
            for verdict in verdicts
        ),
    )
