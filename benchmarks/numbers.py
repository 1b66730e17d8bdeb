"""Ratios and percentiles of what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


@dataclass(slots=True)
class Round:
    """What one peer did in one round."""

    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Runs per second."""
        return len(self.seconds) / sum(self.seconds)

    @property
    def p50(self) -> float:
        """Seconds that half of the runs do not exceed."""
        return percentile(self.seconds, 50)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and between what they lie."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one value per round."""
        return cls(median(values), min(values), max(values))

    def show(self, digits: int = 2) -> str:
        """Return `median (min-max)`."""
        return f"{self.middle:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def ratio(limit: Sequence[Round], peer: Sequence[Round]) -> Spread:
    """Return how many times the peer's rate goes into that of the limit in the same round."""
    return Spread.of([one.rate / other.rate for one, other in zip(limit, peer, strict=True)])


def ratio_of_p50(limit: Sequence[Round], peer: Sequence[Round]) -> Spread:
    """Return how many times longer the peer's middle run took: a disk that hiccups does not hide the rest."""
    return Spread.of([other.p50 / one.p50 for one, other in zip(limit, peer, strict=True)])
