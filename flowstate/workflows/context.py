"""Context: what a step, a condition, a compensation or a hook is told about its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

Entity = TypeVar("Entity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The plain facts of one call into user code."""

    run_id: str
    workflow: str
    version: int
    action: str
    started_at: datetime
    total_steps: int
    step: str = ""
    step_index: int = 0
    attempt: int = 1
    idempotency_key: str = ""
    forward_key: str = ""
    entity_id: Any = None


class Source(Protocol):
    """Where a context fetches what it does not carry; the engine's side of it."""

    def input(self) -> dict[str, Any]:
        """Return a copy of the run's input."""

    def data(self) -> dict[str, Any]:
        """Return a copy of the run's shared data as the steps so far have left it."""

    def entity(self) -> Any:
        """Return the row of the run, read now. Raises `EntityGone`."""

    def entity_model(self) -> Any:
        """Return the model of the row, or None."""

    def user(self) -> Any:
        """Return who asked for the run."""

    def result(self, name: str) -> Any:
        """Return a copy of a step's journaled value. Raises KeyError."""

    def result_names(self) -> list[str]:
        """Return the names of the steps that have a value now."""

    def last_result(self) -> Any:
        """Return the result of the last declared step that is done and not optional."""

    def service(self, name: str) -> Any:
        """Return a registered service. Raises `ServiceUnknown`."""

    def event_token(self, step: str) -> str:
        """Return the token that brings a step its event. Raises KeyError."""

    def deadline(self) -> datetime | None:
        """Return when the run must have ended."""

    def cancelled(self) -> bool:
        """Return whether the run is being undone by now."""

    def heartbeat(self) -> None:
        """Restart the attempt's timeout and its lease."""


class Results(Mapping[str, Any]):
    """The results of the steps before, by name: journaled values, each access a copy."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __getitem__(self, name: str) -> Any:
        return self._source.result(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.result_names())

    def __len__(self) -> int:
        return len(self._source.result_names())

    def __repr__(self) -> str:
        return f"<Results of {', '.join(self)}>"


_UNREAD: Any = object()


class Context(Generic[Entity]):
    """What one call into user code may know and do.

    `ctx.entity` is read when it is first touched and afresh for each step. `ctx.results` and `ctx.input`
    are copies of what the journal holds. What `ctx.set` stores is journaled with the step that set it.
    """

    def __init__(self, call: Call, source: Source):
        self._call = call
        self._source = source
        self._entity: Any = _UNREAD
        self._changes: dict[str, Any] = {}
        self.results = Results(source)

    def __repr__(self) -> str:
        return f"<Context of {self._call.step or self._call.workflow} in run {self._call.run_id}>"

    @property
    def entity(self) -> Entity:
        """The row that the action works on. Raises `EntityGone` when it no longer exists."""
        if self._entity is _UNREAD:
            self._entity = self._source.entity()
        entity: Entity = self._entity
        return entity

    @property
    def entity_id(self) -> Any:
        """The row's key; known even when the row is gone. None on collection actions."""
        return self._call.entity_id

    @property
    def entity_model(self) -> Any:
        """The model of the row; None on collection actions."""
        return self._source.entity_model()

    def use_entity(self, row: Entity) -> None:
        """Let `ctx.entity` be this very row, which the engine holds under lock."""
        self._entity = row

    @property
    def user(self) -> Any:
        """Who asked for the run; `SYSTEM` where nobody did."""
        return self._source.user()

    # Decoded when it is first asked for: most steps look at one of the two, or at neither.
    @cached_property
    def input(self) -> dict[str, Any]:
        """The validated input; a copy."""
        return self._source.input()

    @cached_property
    def _data(self) -> dict[str, Any]:
        return self._source.data()

    @property
    def data(self) -> dict[str, Any]:
        """The run's shared data as this step sees it; a copy."""
        return deepcopy(self._data)

    def get(self, name: str, default: Any = None) -> Any:
        """Return one value of the shared data."""
        return deepcopy(self._data.get(name, default))

    def set(self, name: str, value: Any) -> None:
        """Store a JSON value in the shared data; it is journaled when this step is."""
        self._data[name] = value
        self._changes[name] = value

    @property
    def changes(self) -> dict[str, Any]:
        """What this step has set so far."""
        return self._changes

    @property
    def last_result(self) -> Any:
        """The result of the last declared step that is done and not optional; a copy, None without one."""
        return self._source.last_result()

    @property
    def step_index(self) -> int:
        """Which step this is, counted from 0 in declared order."""
        return self._call.step_index

    @property
    def total_steps(self) -> int:
        """How many steps the run has."""
        return self._call.total_steps

    @property
    def attempt(self) -> int:
        """Which try this is, counted from 1; failures count, lost workers do not."""
        return self._call.attempt

    @property
    def idempotency_key(self) -> str:
        """The key to send to the outside: the same for all attempts, another one for the compensation."""
        return self._call.idempotency_key

    @property
    def forward_key(self) -> str:
        """In a compensation: the key that the forward call sent."""
        return self._call.forward_key

    @property
    def deadline(self) -> datetime | None:
        """When the whole run must have ended; None without `Meta.timeout`."""
        return self._source.deadline()

    @property
    def cancelled(self) -> bool:
        """Whether the run is being undone by now, so that a long step may stop early. One query."""
        return self._source.cancelled()

    def heartbeat(self) -> None:
        """Restart the timeout and the lease of a long external step. Commits one small write."""
        self._source.heartbeat()

    def event_token(self, step: str) -> str:
        """Return the secret that brings the `EventStep` of this name its event, once; for a URL to give away.

        The same at every call. Raises KeyError for what is no `EventStep` of the run.
        """
        return self._source.event_token(step)

    def service(self, name: str) -> Any:
        """Return what FLOWSTATE["SERVICES"] registers under this name. Raises `ServiceUnknown`."""
        return self._source.service(name)

    @property
    def metadata(self) -> dict[str, Any]:
        """Which run this is, of which workflow and version, since when."""
        return {
            "run_id": self._call.run_id,
            "workflow": self._call.workflow,
            "action": self._call.action,
            "version": self._call.version,
            "started_at": self._call.started_at,
        }
