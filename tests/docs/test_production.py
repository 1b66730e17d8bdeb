"""The settings of `docs/guide/production.md` are what its check asks for."""

from __future__ import annotations

from pathlib import Path

from tests.docs import scratch
from tests.docs.pages import README, ROOT, blocks_of

PAGE = ROOT / "docs" / "guide" / "production.md"

ALERT = """
import logging
import django
django.setup()
from django.conf import settings
from django.core import mail
settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
from flowstate.signals import run_event
run_event.send(object, run_id="7", kind="attention", step="", status="attention")
assert [message.to for message in mail.outbox] == [["ada@example.org"]], mail.outbox
assert "Run 7 needs a person" in mail.outbox[0].subject
"""


def test_the_settings_of_the_page_pass_its_check_and_alert_a_person(tmp_path: Path) -> None:
    scratch.build(tmp_path, [*blocks_of(README), *blocks_of(PAGE)])

    checked = scratch.run(tmp_path, "manage.py", "flowstate_check", "--deploy", "--no-runs")
    scratch.run(tmp_path, "-c", ALERT, more={"DJANGO_SETTINGS_MODULE": "project.settings"})

    assert "no issues" in checked


def test_every_block_of_python_on_the_page_belongs_to_a_file() -> None:
    """So that the test above has used it."""
    assert [block.place for block in blocks_of(PAGE) if block.language != "console" and not block.file] == []
