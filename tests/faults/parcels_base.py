"""Parcel, made of its diagram by `manage.py flowstate_scaffold`: derive from it, do not edit it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from flowstate import ChoiceStep, Chosen, Context, Retry, Workflow, step


class ParcelByWeight:
    """What `weigh` may return; the steps behind it find the payload as `ctx.get("weigh")`."""

    def is_light(self, payload: Any = None) -> Chosen:
        """Go on with bike."""
        return Chosen("isLight", payload)

    def is_heavy(self, payload: Any = None) -> Chosen:
        """Go on with van."""
        return Chosen("isHeavy", payload)


class ParcelBase(Workflow):
    """What the diagram draws; a subclass defines what each step does, as a method."""

    diagram = "parcels.mmd"

    by_weight = ParcelByWeight()

    @ChoiceStep(options=["isLight", "isHeavy"], depends_on=())
    @abstractmethod
    def weigh(self, ctx: Context[Any]) -> Chosen:
        """Return an option of `self.by_weight`, as `self.by_weight.is_light(payload)`."""

    @step(depends_on=weigh["isLight"])
    @abstractmethod
    def bike(self, ctx: Context[Any]) -> Any: ...

    @step(depends_on=weigh["isHeavy"], retry=Retry(3, delay=0.0))
    @abstractmethod
    def van(self, ctx: Context[Any]) -> Any: ...

    @step(depends_on=[bike, van])
    @abstractmethod
    def hand_over(self, ctx: Context[Any]) -> Any: ...
