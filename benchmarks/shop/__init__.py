"""The shop of the benchmark: one checkout of three steps, for every peer the same."""

from __future__ import annotations
