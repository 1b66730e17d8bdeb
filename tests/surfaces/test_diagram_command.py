"""`manage.py flowstate_diagram`."""

from __future__ import annotations

from io import StringIO

import pytest

from django.core.management import CommandError, call_command

from example_shop.models import Order
from tests.kiosk.workflows import Fork


def printed(name: str) -> str:
    out = StringIO()
    call_command("flowstate_diagram", name, stdout=out)
    return out.getvalue()


def test_a_workflow_is_named_by_its_path() -> None:
    assert printed("tests.kiosk.workflows.Fork") == Fork.to_mermaid()


def test_an_action_is_named_by_its_key() -> None:
    assert printed("shop.order.checkout") == Order.actions.checkout.workflow.to_mermaid()


@pytest.mark.parametrize("name", ["tests.kiosk.workflows.Nothing", "shop.order.nothing", "x", ""])
def test_a_name_of_nothing_is_said_to_be_one(name: str) -> None:
    with pytest.raises(CommandError, match="No workflow is named"):
        printed(name)
