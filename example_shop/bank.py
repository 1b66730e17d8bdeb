"""The shop's client of its bank: plain HTTP, short timeouts, and errors that say what is known."""

from __future__ import annotations

import json
from decimal import Decimal
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from django.conf import settings

from flowstate import StepError

# Cards to play with. The bank treats each one differently.
CARDS = [
    ("good", "Good card"),
    ("declined", "Declined card"),
    ("slow", "Slow card: charged, but the bank's first answer gets lost"),
    ("lost", "Silent card: charged, but the bank never answers"),
    ("down", "Dead line: no answer, nothing charged"),
    ("broken", "Broken bank: answers with an internal error"),
    ("stuck", "Stuck card: charged without an answer, and refunds fail at first"),
]


class CardDeclined(StepError):
    """The bank said no: nothing was charged."""

    status_code = 402
    default_code = "card_declined"
    default_detail = "The bank declined this card."


class BankClosed(StepError):
    """The bank was not reached or has refused to act: nothing happened there."""

    status_code = 503
    default_code = "bank_closed"
    default_detail = "The bank cannot do this at the moment."


class BankTimeout(StepError):
    """The bank was reached and gave no answer worth the name: nobody here knows whether money moved."""

    status_code = 504
    default_code = "bank_timeout"
    default_detail = "The bank did not answer."


def charge(*, card: str, amount: Decimal, key: str) -> dict[str, str]:
    """Take `amount` euros from the card; return the bank's `reference`.

    The same key again returns the same charge. Raises CardDeclined, BankClosed or BankTimeout.
    """
    return _post("/charges", {"card": card, "amount": str(amount)}, key)


def refund(*, key: str, reference: str = "", charge_key: str = "") -> dict[str, str]:
    """Give back the charge with this reference, or the one asked for under `charge_key`; return `status`.

    `nothing_charged` means that the bank knows no such charge and will refuse it if it arrives later.
    Raises BankClosed or BankTimeout.
    """
    return _post("/refunds", {"reference": reference, "charge_key": charge_key}, key)


def _post(path: str, body: dict[str, str], key: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    request = Request(settings.BANK_URL + path, json.dumps(body).encode(), headers)  # noqa: S310 the setting says http
    opener = build_opener(ProxyHandler({}))  # no proxy stands between the shop and its bank
    try:
        with opener.open(request, timeout=settings.BANK_TIMEOUT) as answer:
            result: dict[str, str] = json.load(answer)
            return result
    except HTTPError as error:
        with error:  # it holds the connection
            raise _meaning(error) from error
    except URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            raise BankClosed from error  # it never heard of the request
        raise BankTimeout from error
    except (OSError, HTTPException, ValueError) as error:  # a timeout, a cut line, half an answer
        raise BankTimeout from error


def _meaning(error: HTTPError) -> StepError:
    """Return what an error status of the bank says about the money."""
    if error.code == 402:
        return CardDeclined(_detail(error))
    if error.code == 500:
        return BankTimeout("The bank answered with an internal error.")  # it may have charged before
    return BankClosed(_detail(error))


def _detail(error: HTTPError) -> str | None:
    try:
        body: Any = json.load(error)
        return str(body["detail"])
    except (ValueError, KeyError, TypeError):
        return None
