"""Leaves out what only PostgreSQL can tell where the tests run on another database."""

from __future__ import annotations

import pytest

from django.conf import settings

ONLY = "only_postgres"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{ONLY}: asks PostgreSQL for its plans; not even collected elsewhere")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    engine = settings.DATABASES["default"].get("ENGINE", "")
    if engine.endswith("postgresql"):
        return
    left_out = [item for item in items if item.get_closest_marker(ONLY)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
