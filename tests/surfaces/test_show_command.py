"""`flowstate_show`: a run in the terminal, and following it to its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import StringIO
from itertools import pairwise
from typing import Any

import pytest

from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from flowstate import SYSTEM
from flowstate.models import EventKind, Run, RunEvent
from flowstate.testing import carry_due
from tests.kiosk import returns
from tests.kiosk.families import Order
from tests.kiosk.models import Sale
from tests.kiosk.returns import Chain, Waits
from tests.kiosk.stall import on_sale, sale, user
from tests.kiosk.workflows import Bank, CardDeclined
from tests.kiosk.workflows import bank as the_bank
from tests.surfaces.terminal import Terminal

__all__ = ["on_sale", "sale", "user"]

pytestmark = pytest.mark.django_db(transaction=True)

SLEEP = "flowstate.management.commands.flowstate_show.time.sleep"


@pytest.fixture(autouse=True)
def bank() -> Iterator[Bank]:
    returns.forget()
    the_bank.reset()
    yield the_bank
    returns.forget()
    the_bank.reset()


def shown(run: object, *arguments: str, stream: Any = None) -> str:
    out = stream or StringIO()
    call_command("flowstate_show", str(run), *arguments, stdout=out)
    return str(out.getvalue())


def declined(sale: Sale, bank: Bank) -> Run:
    def decline() -> None:
        raise CardDeclined

    bank.script.append(decline)
    return sale.actions.checkout.run(user=sale.owner, input={"card": "tok_7"})


# --- what it shows ---------------------------------------------------------------------------------


def test_a_run_is_shown_with_its_steps_and_what_happened(sale: Sale, bank: Bank) -> None:
    run = declined(sale, bank)

    text = re.sub(r"\d+\.\d\ds|20\d\d-\d\d-\d\d [\d:]{8}", "_", shown(run.pk)).replace(str(run.pk), "ID")

    lines = [re.sub(" +", " ", line).strip() for line in text.splitlines()]
    assert lines[:7] == [
        "checkout ID",
        "compensated, 100 % of the steps have settled",
        "asked for by ada at _, took _",
        f"row kiosk.sale {sale.pk}",
        "at charge: card_declined: The card was declined.",
        "",
        "step status tries time undo",
    ]
    assert "reserve done 1 _ done" in lines
    assert "charge failed 1 _ pending" in lines
    assert "+_ started, by ada" in lines
    assert "+_ charge: failed, try 1" in lines
    assert "+_ reserve: compensation done" in lines
    assert lines[-2] == "+_ compensated"


def test_it_fits_into_eighty_columns(sale: Sale, bank: Bank) -> None:
    def fail() -> None:
        message = "The bank said: " + "nothing doing, " * 30 + "x" * 200
        raise OSError(message)

    bank.script.append(fail)
    run = sale.actions.checkout.run(user=sale.owner)

    assert max(map(len, shown(run.pk).splitlines())) <= 80


def test_neither_input_nor_results_are_shown(sale: Sale) -> None:
    run = sale.actions.checkout.run(user=sale.owner, input={"card": "tok_7"})

    text = shown(run.pk)

    assert "tok_7" not in text
    assert "ch_1" not in text


def test_an_error_cannot_steer_the_terminal(sale: Sale, bank: Bank) -> None:
    def fail() -> None:
        message = "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe"
        raise OSError(message)

    bank.script.append(fail)
    run = sale.actions.checkout.run(user=sale.owner)

    assert not set("\x1b\x07\u202e").intersection(shown(run.pk))


def test_acts_of_people_are_told_with_who_and_why(sale: Sale) -> None:
    run = Chain.run(user=SYSTEM)
    RunEvent.objects.record(
        run, EventKind.UNDO_WAIVED, step="pay", actor_label="ada", data={"detail": "refunded by hand"}
    )

    assert "pay: undo waived, by ada\n             refunded by hand\n" in shown(run.pk)


def test_colours_are_for_terminals_only(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Chain.run(user=SYSTEM)
    monkeypatch.setenv("DJANGO_COLORS", "dark")

    assert "\x1b[" not in shown(run.pk)
    assert "\x1b[" in shown(run.pk, "--force-color", stream=Terminal())


# --- which run -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        lambda run: str(run.pk),
        lambda run: run.pk.hex,
        lambda run: run.pk.hex[-8:],
        lambda run: run.pk.hex[-8:].upper(),
        lambda run: f"{run.pk}:pay",
        lambda run: f"{run.pk}:pay:undo",
    ],
    ids=["id", "hex", "end", "END", "key of a step", "key of a compensation"],
)
def test_a_run_is_found_by_its_id_the_end_of_it_or_the_key_of_a_step(name: Callable[[Run], str]) -> None:
    Chain.run(user=SYSTEM)
    run = Chain.run(user=SYSTEM)

    assert str(run.pk) in shown(name(run))


def test_an_end_that_two_runs_have_is_not_guessed_at() -> None:
    first, second = Chain.run(user=SYSTEM), Chain.run(user=SYSTEM)
    for run, digit in ((first, "a"), (second, "b")):
        Run.objects.filter(pk=run.pk).update(id=f"01a212e3-e061-7741-949d-f{digit}3ded7de5ab")

    with pytest.raises(CommandError, match=r"^2 of the latest 10,000 runs end in e5ab: .*, ") as refused:
        shown("e5ab")
    assert "01a212e3-e061-7741-949d-fa3ded7de5ab" in str(refused.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("01a212e3-e061-7741-949d-f903ded7de5b", "There is no run"),
        ("beef", "None of the latest"),
        ("abc", "is no id"),
        ("checkout", "is no id"),
        ("%", "is no id"),
    ],
)
def test_what_is_no_run_is_refused(given: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        shown(given)


# --- following -------------------------------------------------------------------------------------


def test_following_prints_what_happens_until_the_end(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Order.run(user=SYSTEM)
    assert run.status == "running"
    monkeypatch.setattr(SLEEP, lambda _seconds: carry_due())

    text = shown(run.pk, "--follow")

    first, last = text.split("step ", 1)[1].rsplit("step ", 1)
    assert "ship                           waiting" in first
    assert "thank: done, try 1" in first
    assert "run: succeeded" in first
    assert "ship                           done" in last
    assert text.count("pay: done") == 1


@pytest.mark.parametrize(
    ("errors", "code", "status"),
    [
        ({"ship": [OSError("no")]}, 4, "compensated"),
        ({"ship": [OSError("no")], "refund": [OSError("stuck")] * 3}, 6, "attention"),
    ],
)
def test_the_exit_code_says_how_it_ended(
    sale: Sale, on_sale: Any, monkeypatch: pytest.MonkeyPatch, errors: dict[str, Any], code: int, status: str
) -> None:
    run = on_sale(Waits).run(user=SYSTEM)
    returns.errors |= errors
    monkeypatch.setattr(SLEEP, lambda _seconds: carry_due())

    with pytest.raises(CommandError, match=rf"\(trial\): {status}\.$") as ended:
        shown(run.pk, "--follow")

    assert ended.value.returncode == code


def test_a_run_that_ended_well_is_followed_no_further() -> None:
    run = Chain.run(user=SYSTEM)

    assert shown(run.pk, "--follow") == shown(run.pk)


def test_each_look_takes_three_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Order.run(user=SYSTEM)
    looks: list[int] = []

    def look(_seconds: float) -> None:
        looks.append(len(queries))
        if len(looks) == 4:
            carry_due()
            looks.append(len(queries))

    monkeypatch.setattr(SLEEP, look)
    with CaptureQueriesContext(connection) as queries:
        shown(run.pk, "--follow")

    assert [later - earlier for earlier, later in pairwise(looks[:4])] == [3, 3, 3]
    assert len(queries) - looks[4] == 3
