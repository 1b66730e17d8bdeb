"""What people have still to decide about a row, on the row's own page."""

from __future__ import annotations

import pytest

from django.test import Client

from flowstate.models import Approval
from tests.surfaces.admin.conftest import MakeRun
from tests.zoo.models import Feed

pytestmark = pytest.mark.django_db


def test_the_page_of_a_row_shows_what_is_to_be_decided_about_it(
    desk: Client, oats: Feed, make_run: MakeRun
) -> None:
    waiting = {"review": {"kind": "approval", "status": "waiting"}}
    live, other = make_run("running", on=oats, steps=waiting), make_run("running", steps=waiting)
    approvals = [
        Approval.objects.create(
            run=run, step_run=run.step_runs.get(), step="review", attempt=1, digest="d", quorum=2
        )
        for run in (live, other)
    ]

    response = desk.get(f"/barn/zoo/feed/{oats.pk}/change/")

    assert [line.approval for line in response.context["flowstate_approvals"]] == [approvals[0]]
    content = response.content.decode()
    assert content.count("Refill: feed") == content.count("0 of 2") == 1
