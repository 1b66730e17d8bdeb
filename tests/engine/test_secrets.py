"""S14: secrets are nowhere but in the hands of the steps: a canary goes in by every door, then all is searched."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from django.db import connection

from flowstate import SYSTEM, SecretsUnavailable, StepFailed, deliver_event, redaction
from flowstate.exceptions import ValueNotSerializable
from flowstate.models import Event, Run, StepRun
from flowstate.models.secrets import Secret
from flowstate.models.values import decode, encode
from flowstate.rest.serializers import RunDetailSerializer
from flowstate.testing import carry_due
from tests.kiosk import vault
from tests.kiosk.models import Sale
from tests.kiosk.stall import OnSale
from tests.kiosk.vault import Vault

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    vault.seen.clear()
    vault.failing.clear()


@pytest.fixture
def canary() -> str:
    return f"c4nary-{uuid4().hex}"


def other_process() -> None:
    """Have forgotten what only this process's memory could know."""
    redaction.forget_all()


def journal() -> str:
    """Return every table as text, but for the users' own rows."""
    found: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if not table.startswith("kiosk_"):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - of the schema
                found += [repr(row) for row in cursor.fetchall()]
    return "\n".join(found)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    formatter = logging.Formatter("%(name)s %(message)s")
    return "\n".join(map(formatter.format, caplog.records))


def carried(on_sale: OnSale, canary: str) -> Run:
    """Give a run the canary by every door; each part of it is done by another process."""
    holder = {"name": "ada", "pin": f"pin-{canary}"}
    given = {"card": canary, "holder": holder, "others": [holder]}
    run = on_sale(Vault).enqueue(user=SYSTEM, input=given, idempotency_key="k")
    other_process()
    carry_due()
    other_process()
    deliver_event("vault.code", run.object_id, {"code": f"code-{canary}", "by": "sms"})
    other_process()
    carry_due()
    return run.refresh()


@pytest.mark.parametrize("failing", [(), ("charge",), ("charge", "forget"), ("output",)])
def test_a_canary_is_nowhere(
    on_sale: OnSale, canary: str, caplog: pytest.LogCaptureFixture, failing: tuple[str, ...]
) -> None:
    caplog.set_level(logging.DEBUG)
    vault.failing.update(failing)

    run = carried(on_sale, canary)

    ends = {
        (): "succeeded",
        ("charge",): "compensated",
        ("charge", "forget"): "attention",
        ("output",): "succeeded",
    }
    assert run.status == ends[failing]
    assert run.events.filter(kind="attempt_failed").exists() is ("charge" in failing)
    assert canary not in journal()
    assert canary not in logged(caplog)
    assert canary not in str(RunDetailSerializer(run).data)
    assert canary not in str(run.timeline())


def test_steps_of_other_processes_are_given_the_secrets(on_sale: OnSale, canary: str) -> None:
    run = carried(on_sale, canary)

    assert vault.seen == [("card", canary), ("charge", (canary, f"tok-{canary}", f"code-{canary}"))]
    assert run.input["holder"] == {"name": "ada", "pin": f"pin-{canary}"}
    assert run.value == {"charged": f"charged {canary}", "shown": "ok"}


def test_what_is_no_secret_stays_readable(on_sale: OnSale, canary: str) -> None:
    run = carried(on_sale, canary)

    rows: dict[str, Any] = {row.name: row.result_json for row in run.steps}
    assert rows["tokenize"]["brand"] == "visa"
    assert rows["code"]["by"] == "sms"
    assert run.input_json["others"][0]["name"] == "ada"
    assert RunDetailSerializer(run).data["value"] == {"charged": "***", "shown": "ok"}


def test_undoing_restores_a_sensitive_column(on_sale: OnSale, sale: Sale, canary: str) -> None:
    Sale.objects.filter(pk=sale.pk).update(note=f"was {canary}")
    vault.failing.add("charge")

    assert carried(on_sale, canary).status == "compensated"

    sale.refresh_from_db()
    assert sale.note == f"was {canary}"
    assert ("forget", f"tok-{canary}") in vault.seen


def test_an_error_says_what_went_wrong_without_the_secret(on_sale: OnSale, canary: str) -> None:
    vault.failing.add("charge")

    run = carried(on_sale, canary)

    assert run.error is not None
    assert run.error["detail"] == "card *** declined, code ***"
    with pytest.raises(StepFailed, match=r"card \*\*\* declined"):
        run.raise_for_status()


def test_an_event_can_be_called_sensitive_by_who_delivers_it(canary: str) -> None:
    deliver_event("anything", "k", {"code": canary, "by": "sms"}, sensitive=["code"])

    [event] = Event.objects.all()
    assert canary not in journal()
    assert event.payload == {"code": canary, "by": "sms"}


def test_after_a_key_was_rotated_secrets_are_read_by_the_old_one(settings: Any, canary: str) -> None:
    stored = encode(Secret({"pin": canary}), "A secret")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    assert decode(stored) == {"pin": canary}

    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(ValueNotSerializable, match="SECRET_KEY was changed"):
        decode(stored)


def test_without_cryptography_nothing_sensitive_begins(
    on_sale: OnSale, monkeypatch: pytest.MonkeyPatch, canary: str
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with pytest.raises(SecretsUnavailable, match=r"pip install \"flowstate\[secrets\]\""):
        on_sale(Vault).enqueue(user=SYSTEM, input={"card": canary})
    assert not StepRun.objects.exists()
