"""The one Django signal for observers outside: something happened to a run, and it is committed."""

from __future__ import annotations

from django.dispatch import Signal

run_event = Signal()
"""Sent after commit with `run_id` (str), `kind` (str), `step` (str or "") and `status` (str).

A receiver that raises is logged and changes nothing.
"""
