"""A small real shop that uses flowstate; copy from it."""

from __future__ import annotations

from example_shop.celery import app as celery_app

__all__ = ["celery_app"]
