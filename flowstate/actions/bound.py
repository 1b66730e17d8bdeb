"""BoundAction: an action under its name on a model or on one of its rows; what every surface works with."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import sync_to_async

from django.db.models import Model

from flowstate import verbs
from flowstate.actions.action import Action
from flowstate.actions.authorize import allows
from flowstate.exceptions import EntityMismatch
from flowstate.workflows import Workflow

if TYPE_CHECKING:
    from flowstate.models import Run


@dataclass(frozen=True, slots=True)
class BoundAction:
    """What `order.actions.checkout` and, without a row, `Order.actions.checkout` give."""

    name: str
    action: Action
    model: type[Model]
    """The concrete model that declares the action; the row may be one of a child or a proxy."""

    entity: Model | None = None

    def __repr__(self) -> str:
        return f"<{self.key}>" if self.entity is None else f"<{self.key} on {self.entity_id}>"

    @property
    def key(self) -> str:
        """What runs store: `app_label.model_name.action_name` of the concrete model that declares it."""
        return f"{self.model._meta.label_lower}.{self.name}"

    @property
    def workflow(self) -> type[Workflow]:
        """The workflow class. Raises ImportError or DeclarationInvalid where the declaration leads nowhere."""
        return self.action.workflow_for(self.key)

    @property
    def entity_id(self) -> Any:
        """The key of the row in `model`'s own table, also for a row of a child with another key; or None."""
        if self.entity is None:
            return None
        return getattr(self.entity, cast("Any", self.model._meta.pk).attname)

    @property
    def input_serializer(self) -> type[Any] | None:
        """The serializer class that input must fit: the action's own, or the workflow's."""
        return self.action.serializer("input") or self.workflow.input

    @property
    def output_serializer(self) -> type[Any] | None:
        """The serializer class that shapes the run's value for REST; None for the value as it is."""
        return self.action.serializer("output")

    @property
    def path(self) -> str:
        """The action's part of the URL: `import_orders` answers at `import-orders`."""
        return self.action.path or self.name.replace("_", "-")

    @property
    def label(self) -> str:
        """The name for people, on buttons."""
        return self.name.replace("_", " ").capitalize()

    @property
    def description(self) -> str:
        """The docstring of the handler or the workflow; empty without one."""
        source = self.workflow if self.action.handler is None else self.action.handler
        return inspect.cleandoc(getattr(getattr(source, "fn", source), "__doc__", None) or "")

    @property
    def summary(self) -> str:
        """One line for API docs and tooltips: the action's own, or the docstring's first, or the name."""
        return self.action.summary or self.description.partition("\n")[0] or self.label

    def bind(self, entity: Model) -> BoundAction:
        """Return this action on that row. Raises EntityMismatch for a row of another model."""
        if not isinstance(entity, self.model):
            message = f"{self.key} is an action of {self.model._meta.label}, not of {type(entity).__name__}."
            raise EntityMismatch(message)
        return replace(self, entity=entity)

    def allows(self, user: Any) -> bool:
        """Return whether the rules let this user do it with this row now; never raises for a rule's own code."""
        return allows(self, user, self.entity)

    def run(self, *, user: Any, input: Any = None, idempotency_key: str | None = None) -> Run:
        """Run until the end or until it must wait; return the run. `user` is a user or SYSTEM.

        Raises ActionDenied, InputInvalid, StartRefused and its kinds before anything is done; what steps raise
        is in the run.
        """
        return self._start(user=user, input=input, idempotency_key=idempotency_key, inline=True)

    def enqueue(self, *, user: Any, input: Any = None, idempotency_key: str | None = None) -> Run:
        """Commit the run, hand it to the workers and return it; refuses what `run` refuses."""
        return self._start(user=user, input=input, idempotency_key=idempotency_key, inline=False)

    async def arun(self, *, user: Any, input: Any = None, idempotency_key: str | None = None) -> Run:
        """Do what `run` does, for async callers."""
        return await sync_to_async(self.run)(user=user, input=input, idempotency_key=idempotency_key)

    async def aenqueue(self, *, user: Any, input: Any = None, idempotency_key: str | None = None) -> Run:
        """Do what `enqueue` does, for async callers."""
        return await sync_to_async(self.enqueue)(user=user, input=input, idempotency_key=idempotency_key)

    def _start(self, **request: Any) -> Run:
        self._check_entity()
        return verbs.start(workflow=self.workflow, action=self, entity=self.entity, **request)

    def _check_entity(self) -> None:
        model = self.model.__name__
        if self.action.detail and self.entity is None:
            message = f"{self.key} works on a row: call it on one, as {model.lower()}.actions.{self.name}."
            raise EntityMismatch(message)
        if not self.action.detail and self.entity is not None:
            message = (
                f"{self.key} works on the collection: call it on the class, as {model}.actions.{self.name}."
            )
            raise EntityMismatch(message)
        if self.entity is not None and (self.entity._state.adding or self.entity_id is None):
            message = f"{self.key} works on a row that is in the database: save this {model} first."
            raise EntityMismatch(message)
