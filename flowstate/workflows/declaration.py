"""Declaration: what a workflow class declares, checked and ready for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, NoReturn

from flowstate.exceptions import DeclarationInvalid
from flowstate.workflows import graph, names
from flowstate.workflows.options import Options
from flowstate.workflows.steps import Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Declaration:
    """The steps of one workflow class and how they hang together; `Workflow.declaration`."""

    label: str
    """How messages call the workflow."""
    steps: tuple[Step, ...]
    """Bound copies in declared order, the parent's first."""
    meta: Options
    hooks: frozenset[str]
    """The hooks that the class or a parent defines; the others do nothing."""
    importable: bool
    """Whether another process finds the class by importing its name."""

    @property
    def name(self) -> str:
        """The name under which runs are stored."""
        return self.meta.name

    @property
    def version(self) -> int:
        """The version of its shape."""
        return self.meta.version

    @property
    def findable(self) -> bool:
        """Whether another process can find the workflow by its name: by its path, or since it is registered."""
        holder = names.holder_of(self.name)
        return self.importable or (holder is not None and vars(holder).get("declaration") is self)

    @cached_property
    def by_name(self) -> Mapping[str, Step]:
        """The steps by their names."""
        return MappingProxyType({step.name: step for step in self.steps})

    @cached_property
    def graph(self) -> graph.Graph:
        """The names that each step waits for."""
        return MappingProxyType({step.name: step.depends_on for step in self.steps})

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The names so that each comes after all it waits for; as declared where that is such an order."""
        return graph.order(self.graph)

    @cached_property
    def dependents(self) -> Mapping[str, tuple[str, ...]]:
        """The names that wait for each step directly."""
        return MappingProxyType(graph.dependents(self.graph))

    @cached_property
    def loose_ends(self) -> tuple[str, ...]:
        """The steps that nothing waits for although others are declared below them; a check warns of them.

        A branch of a choice may end: the steps below it may well be those of another branch.
        """
        return tuple(name for name in graph.loose_ends(self.graph) if not self._behind_a_choice(name))

    def _behind_a_choice(self, name: str) -> bool:
        return any(self.by_name[other].branches for other in {name, *graph.ancestors(self.graph, name)})

    @cached_property
    def all_transactional(self) -> bool:
        """Whether no step works outside a transaction."""
        return all(step.transactional for step in self.steps)


class NoDeclaration:
    """Stands for the declaration of a class without steps: a parent for others, which cannot run itself."""

    def __get__(self, instance: object, owner: type[Any]) -> NoReturn:
        message = (
            f"{names.path_of(owner)} has no steps, so it can be a parent of workflows but not run: "
            "declare a step in it, or use a subclass that does."
        )
        raise DeclarationInvalid(message)


class AbstractDeclaration(NoDeclaration):
    """Stands for the declaration of a class that leaves what some of its steps do to its subclasses."""

    def __init__(self, outline: Declaration) -> None:
        self.outline: Final = outline
        """What the class declares but for that."""

    def __get__(self, instance: object, owner: type[Any]) -> NoReturn:
        names = ", ".join(step.name for step in self.outline.steps if step.abstract)
        message = (
            f"{self.outline.label} leaves to a subclass what its steps do ({names}), so it cannot run itself: "
            "define these methods in one, as (self, ctx)."
        )
        raise DeclarationInvalid(message)


def outline_of(cls: type[Any]) -> Declaration | None:
    """Return what the class itself declares, abstract or not; None for a class without steps and for others."""
    found = vars(cls).get("declaration")
    if isinstance(found, AbstractDeclaration):
        return found.outline
    return found if isinstance(found, Declaration) else None
