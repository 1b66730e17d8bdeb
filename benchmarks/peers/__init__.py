"""The peers: each carries out one checkout, in the caller's process."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from benchmarks.shop.checkout import Facts

Run = Callable[[Facts], None]

PEERS = {
    "raw/none": "raw:without_journal",
    "raw/journal-run": "raw:journal_run",
    "raw/journal-step": "raw:journal_step",
    "raw/undo": "raw:undo",
    "django/atomic": "plain:atomic",
    "django/atomic-step": "plain:atomic_step",
    "django/undo": "plain:undo",
    "flowstate/atomic": "ours:atomic",
    "flowstate/atomic-exclusive": "ours:atomic_exclusive",
    "flowstate/step": "ours:steps",
    "flowstate/step-exclusive": "ours:steps_exclusive",
    "flowstate/entities": "ours:entities",
    "flowstate/undo": "ours:failing",
    "flowstate/undo-derived": "ours:failing_entities",
    "dbos/step": "durable:steps",
    "dbos/undo": "durable:undo",
}


def peer(name: str) -> Run:
    """Return what carries out one checkout; its connection is opened by now."""
    module, _, factory = PEERS[name].partition(":")
    make: Callable[[], Run] = getattr(import_module(f"benchmarks.peers.{module}"), factory)
    return make()
