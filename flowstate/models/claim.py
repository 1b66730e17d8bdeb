"""Claim: what a process wants to take, before it is its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is to be claimed: a row, above which token, for how many seconds."""

    pk: int
    attempt: int
    lease: float
    missing: int | None = None
    """Of a join that is claimed by who settles the last of the steps it waits for: how many it still counts, 1."""
