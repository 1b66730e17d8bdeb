"""What the tests of this folder share: how a refused declaration is asked for its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowstate import DeclarationInvalid, Step, Workflow
from flowstate.workflows.workflow import made


def refused(make: Callable[[], Any]) -> str:
    """Return why a declaration is refused, without the path of the test that makes it."""
    with pytest.raises(DeclarationInvalid) as refusal:
        make()
    return str(refusal.value).replace(f"{make.__module__}.{make.__qualname__}.<locals>.", "")


def free(**options: Any) -> Step:
    """Return a step whose attribute is its name and which does nothing."""
    return Step(fn=nothing, **options)


def nothing(ctx: Any) -> None:
    """Do nothing."""


def flow_of(body: dict[str, Any], parent: type[Workflow] = Workflow) -> type[Workflow]:
    """Return the workflow class `shop.Flow` with this body, whose names a test may choose."""
    return made("Flow", parent, {"__module__": "shop", "__qualname__": "Flow", **body})
