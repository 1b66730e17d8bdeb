"""The Django signals for observers outside: what has happened, and is committed."""

from __future__ import annotations

from django.dispatch import Signal

run_event = Signal(use_caching=True)
"""Sent after commit with `run_id` (str), `kind` (str), `step` (str or "") and `status` (str).

A receiver that raises is logged and changes nothing.
"""

entity_restored = Signal()
"""Sent after commit for each row that a derived inverse has touched, for search indexes and caches.

`sender` is the model (never a proxy), `pk` the row's key, `change` is "back" (a deleted row is there again),
"changed" (columns or many-to-many links are as they were) or "removed" (a created row is gone again), `run_id`
and `step` (str) say what was undone, `using` in which database. A receiver that raises is logged and changes
nothing.
"""
