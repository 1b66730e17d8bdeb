"""An app of awkward models."""

from __future__ import annotations
