"""Processes that count on one row at once, while others undo what they had counted: nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from django.db import connection

from flowstate.models import Run
from tests.faults.afterwards import broken
from tests.faults.counting import A_CENT, A_MOMENT, ROUNDS
from tests.faults.crowd import until
from tests.faults.workshop import ROOT, kill_group
from tests.zoo.models import Everything

pytestmark = pytest.mark.django_db(transaction=True)

MOST_SECONDS = 240.0


@contextmanager
def processes(folder: Path, *roles: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yield one process for each role, all at the starting line; none outlives the block."""
    database = {"WORKER_DATABASE": str(connection.settings_dict["NAME"])}
    started: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "log").open("ab") as log:
            for role in roles:
                command = [sys.executable, "-m", "tests.faults.counting", role, str(folder)]
                started.append(
                    subprocess.Popen(  # noqa: S603 - our own program and arguments
                        command,
                        cwd=ROOT,
                        env={**os.environ, **database},
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        until(lambda: len(list(folder.glob("*.ready"))) == len(roles), "all processes are there")
        yield started
    finally:
        for process in started:
            kill_group(process)


def result_of(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    assert process.wait(MOST_SECONDS) == 0, (folder / "log").read_text()
    return dict(json.loads((folder / f"{process.pid}.json").read_text()))


def test_two_processes_that_fail_and_undo_leave_exactly_what_a_third_has_added(tmp_path: Path) -> None:
    """I17, I19: two times two hundred runs; each undoes its own deltas and no others."""
    Everything.objects.create(duration=timedelta(0))

    with processes(tmp_path, "run", "run", "add") as (one, other, adding):
        (tmp_path / "go").touch()
        statuses = [result_of(process, tmp_path) for process in (one, other)]
        (tmp_path / "stop").touch()
        added = result_of(adding, tmp_path)["added"]

    assert statuses == [{"compensated": ROUNDS}] * 2
    assert added > ROUNDS / 4, "the third was hardly there"
    assert Everything.objects.values_list("integer", "big", "decimal", "duration").get() == (
        added,
        added,
        added * A_CENT,
        added * A_MOMENT,
    )
    assert Run.objects.filter(status="compensated").count() == 2 * ROUNDS
    assert broken() == []
