"""The fake bank and the shop's client of it, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django import Settings

from example_shop import bank
from example_shop.fake_bank import BankServer

AMOUNT = Decimal("12.50")


@pytest.fixture
def server(tmp_path: Path, settings: Settings) -> Iterator[BankServer]:
    server = BankServer(tmp_path / "bank.sqlite3")
    server.start()
    settings.BANK_URL = server.url
    settings.BANK_TIMEOUT = 0.2
    yield server
    server.stop()


def test_the_same_key_charges_once(server: BankServer) -> None:
    first = bank.charge(card="good", amount=AMOUNT, key="k")
    second = bank.charge(card="good", amount=AMOUNT, key="k")

    assert first == second
    (charge,) = server.ledger.entries()["charges"]
    assert (charge["amount"], charge["asked"]) == ("12.50", 2)


def test_a_declined_card_is_an_answer_for_people(server: BankServer) -> None:
    with pytest.raises(bank.CardDeclined, match="The card has no cover") as declined:
        bank.charge(card="declined", amount=AMOUNT, key="k")

    assert declined.value.status_code == 402
    assert server.ledger.entries()["charges"] == []


def test_a_lost_answer_is_given_when_asked_again(server: BankServer) -> None:
    with pytest.raises(bank.BankTimeout):
        bank.charge(card="slow", amount=AMOUNT, key="k")

    assert bank.charge(card="slow", amount=AMOUNT, key="k")["reference"]
    assert len(server.ledger.entries()["charges"]) == 1


@pytest.mark.parametrize(("card", "charges"), [("lost", 1), ("down", 0), ("broken", 0)])
def test_no_usable_answer_says_nothing_about_the_money(server: BankServer, card: str, charges: int) -> None:
    with pytest.raises(bank.BankTimeout):
        bank.charge(card=card, amount=AMOUNT, key="k")

    assert len(server.ledger.entries()["charges"]) == charges


def test_a_bank_that_is_not_there_has_done_nothing(server: BankServer) -> None:
    server.stop()

    with pytest.raises(bank.BankClosed):
        bank.charge(card="good", amount=AMOUNT, key="k")


def test_a_charge_is_refunded_by_the_key_it_was_asked_under(server: BankServer) -> None:
    with pytest.raises(bank.BankTimeout):
        bank.charge(card="lost", amount=AMOUNT, key="k")

    answers = [bank.refund(charge_key="k", key="k:undo")["status"] for _ in range(2)]

    assert answers == ["refunded", "refunded"]
    entries = server.ledger.entries()
    assert [charge["status"] for charge in entries["charges"]] == ["refunded"]
    assert len(entries["refunds"]) == 1


def test_a_charge_that_arrives_after_its_refund_is_refused(server: BankServer) -> None:
    assert bank.refund(charge_key="k", key="k:undo")["status"] == "nothing_charged"

    with pytest.raises(bank.BankClosed, match="called off"):
        bank.charge(card="good", amount=AMOUNT, key="k")


def test_refunds_of_a_stuck_card_work_at_the_fourth_try(server: BankServer) -> None:
    with pytest.raises(bank.BankTimeout):
        bank.charge(card="stuck", amount=AMOUNT, key="k")
    for _ in range(3):
        with pytest.raises(bank.BankClosed, match="stopped"):
            bank.refund(charge_key="k", key="k:undo")

    assert bank.refund(charge_key="k", key="k:undo")["status"] == "refunded"


def test_the_bank_remembers_after_it_was_gone(server: BankServer, tmp_path: Path) -> None:
    first = bank.charge(card="good", amount=AMOUNT, key="k")
    server.stop()

    again = BankServer(tmp_path / "bank.sqlite3")
    assert again.ledger.charge("k", {}).body["reference"] == first["reference"]
    again.server_close()
