"""What PostgreSQL does for each statement: its plan, the rows it examines and the pages it touches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from django.db import connections

_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE")
_REMOVED = ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter")


@dataclass(frozen=True, slots=True)
class Plan:
    """How one statement was carried out."""

    sql: str
    nodes: list[dict[str, Any]]

    @property
    def words(self) -> str:
        """The statement without its values, so that two of one kind are alike."""
        text = re.sub(r"'(?:[^']|'')*'(?:::\w+)?", "?", self.sql)
        return re.sub(r"\b\d+(?:\.\d+)?\b", "?", text)

    @property
    def examined(self) -> int:
        """The rows that it looked at, whether or not it then took them."""
        return sum(_examined(node) for node in self.nodes)

    @property
    def pages(self) -> int:
        """The pages it touched, in memory or not."""
        top = self.nodes[0]
        return int(top.get("Shared Hit Blocks", 0)) + int(top.get("Shared Read Blocks", 0))

    @property
    def scanned(self) -> list[str]:
        """The tables that it read, or would have read, from one end to the other."""
        return [node["Relation Name"] for node in self.nodes if node["Node Type"].endswith("Seq Scan")]


def _examined(node: dict[str, Any]) -> int:
    if "Relation Name" not in node or "Scan" not in node["Node Type"]:
        return 0
    each: float = node["Actual Rows"] + sum(node.get(key, 0) for key in _REMOVED)
    loops: int = node["Actual Loops"]
    return round(each * loops)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


@dataclass(slots=True)
class Watch:
    """Has each statement explained, rolled back, and then carried out as it was asked for."""

    plans: list[Plan] = field(default_factory=list)

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: Any, context: Any) -> Any:
        if sql.lstrip("( ").upper().startswith(_EXPLAINED):
            raw = context["connection"].connection
            # A key that is taken, say: it fails once more, in its own place.
            with suppress(psycopg.Error), raw.transaction(force_rollback=True):
                self._explain(psycopg.ClientCursor(raw), sql, params)
        return execute(sql, params, many, context)

    def _explain(self, cursor: psycopg.ClientCursor[Any], sql: str, params: Any) -> None:
        asked = cursor.mogrify(sql, params) if params else sql
        answer = cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {asked}").fetchone()
        assert answer is not None
        explained = json.loads(answer[0]) if isinstance(answer[0], str) else answer[0]
        self.plans.append(Plan(asked, list(_nodes(explained[0]["Plan"]))))


@contextmanager
def watched(using: str = "default") -> Iterator[Watch]:
    """Watch the statements of a block."""
    watch = Watch()
    with connections[using].execute_wrapper(watch):
        yield watch
