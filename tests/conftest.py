"""Fixtures that all suites share."""

from __future__ import annotations
