"""Counts the steps down that wait for what has settled: in the transaction that settles it, on their own rows.

Whoever settles the last one knows it by the counter, without having read the others, and however many
settle at the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from flowstate.engine.execution import Execution


def count_down(execution: Execution, settled: Iterable[str]) -> None:
    """Have all that waits for these steps wait for so many fewer: where a look may not follow, or find otherwise."""
    _count_down(execution, Counter(name for step in settled for name in execution.followers_of(step)))


def count_joins(execution: Execution, settled: Iterable[str]) -> None:
    """Have what waits for these steps and others wait for so many fewer; before the caller looks at the run.

    What waits for one of them alone is let go by that look.
    """
    followers = Counter(name for step in settled for name in execution.followers_of(step))
    _count_down(
        execution, Counter({name: n for name, n in followers.items() if execution.rows[name].is_join})
    )


def _count_down(execution: Execution, fewer: Counter[str]) -> None:
    for by in sorted(set(fewer.values())):
        # In their order, as whoever locks several rows of steps does.
        pks = [row.pk for row in execution.rows.values() if fewer.get(row.name) == by]
        execution.step_runs.count_down(pks, by=by)
