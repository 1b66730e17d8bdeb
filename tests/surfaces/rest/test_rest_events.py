"""Events over HTTP: who may send one, what is refused, and what counts once."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine

from django.http import HttpResponse
from django.test import Client

from flowstate import SYSTEM
from flowstate.models import Event, Run
from flowstate.rest import event_signatures, sign_event
from flowstate.testing import carry_due
from tests.faults.crowd import at_once
from tests.kiosk import returns
from tests.kiosk.waits import ByLink, Confirmed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.surfaces.rest.urls")]

SECRET, OLD_SECRET = "s3cr3t-of-the-sender", "s3cr3t-of-last-year"
NAME = "order.confirmed"
URL = f"/api/events/{NAME}/"
ROOT = Path(event_signatures.__file__).parents[1]


@pytest.fixture(autouse=True)
def secrets(settings: Any) -> Iterator[None]:
    settings.FLOWSTATE = {"EVENT_SECRETS": {NAME: [OLD_SECRET, SECRET], "other": "s3cr3t-of-another"}}
    returns.forget()
    yield
    returns.forget()


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def waiting() -> Run:
    return Confirmed.run(user=SYSTEM)


def post(client: Client, body: Any, *, url: str = URL, **headers: str) -> HttpResponse:
    """Send a body as it is, or what it is as JSON, signed unless the headers are given."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(  # type: ignore[return-value]  # the test client's own class
        url, raw, content_type="application/json", headers=headers or sign_event(raw, SECRET)
    )


def code_of(response: HttpResponse) -> str:
    code = json.loads(response.content)["code"]
    assert isinstance(code, str)
    return code


# --- signed --------------------------------------------------------------------------------------------


def test_a_signed_event_ends_the_wait(client: Client) -> None:
    """S7: without a session, so without a CSRF token."""
    run = waiting()

    response = post(client, {"key": "k", "payload": {"by": "Ada"}})
    carry_due()

    assert response.status_code == 202
    assert json.loads(response.content) == {"event": NAME, "key": "k"}
    assert run.refresh().value == {"by": "Ada"}


def test_both_secrets_count_while_one_is_replaced(client: Client) -> None:
    body = b'{"key": "k"}'

    for secret in (OLD_SECRET, SECRET):
        assert post(client, body, **sign_event(body, secret)).status_code == 202


def test_a_name_of_one_secret_takes_no_list(client: Client) -> None:
    body = b'{"key": "k"}'

    response = post(client, body, url="/api/events/other/", **sign_event(body, "s3cr3t-of-another"))

    assert response.status_code == 202


BODY = b'{"key": "k", "payload": 1}'
SIGNED = sign_event(BODY, SECRET)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {"X-Other": "nothing"}),
        (BODY.replace(b"1", b"2"), SIGNED),
        (BODY, sign_event(BODY, "a guess of somebody")),
        (BODY, sign_event(BODY, "s3cr3t-of-another")),
        (BODY, {**SIGNED, "X-Flowstate-Timestamp": str(int(SIGNED["X-Flowstate-Timestamp"]) + 1)}),
        (BODY, {**SIGNED, "X-Flowstate-Signature": SIGNED["X-Flowstate-Signature"].removeprefix("sha256=")}),
        (BODY, {**SIGNED, "X-Flowstate-Signature": "sha256="}),
        (BODY, {**SIGNED, "X-Flowstate-Signature": "sha256=ä"}),
        (BODY, {"X-Flowstate-Signature": SIGNED["X-Flowstate-Signature"]}),
    ],
    ids=["none", "other body", "guess", "other name's", "other time", "no scheme", "empty", "odd", "no time"],
)
def test_what_is_not_signed_by_who_may_send_it_is_refused(
    client: Client, body: bytes, headers: dict[str, str]
) -> None:
    """S21."""
    run = waiting()

    response = post(client, body, **headers)

    assert response.status_code == 403
    assert code_of(response) == "event_signature_invalid"
    assert not Event.objects.exists()
    assert run.refresh().waiting_for == "event"


@pytest.mark.parametrize("off", [-301, 301, "soon", "-5", "٣"])
def test_a_request_of_another_time_is_refused(client: Client, off: Any) -> None:
    """S21: the window is five minutes."""
    now = int(time.time())
    moment = str(now + off) if isinstance(off, int) else off
    signature = event_signatures._digest(moment, BODY, SECRET)
    headers = {"X-Flowstate-Timestamp": moment, "X-Flowstate-Signature": f"sha256={signature}"}
    if not moment.isascii():
        headers["X-Flowstate-Timestamp"] = moment.encode().decode("latin-1")

    with time_machine.travel(now, tick=False):  # else a slow machine answers within the window
        response = post(client, BODY, **headers)

    assert code_of(response) == "event_signature_invalid"
    assert not Event.objects.exists()


@pytest.mark.parametrize("off", [-295, 295])
def test_within_the_window_the_clocks_may_differ(client: Client, off: int) -> None:
    now = int(time.time())
    headers = sign_event(BODY, SECRET, timestamp=now + off)

    with time_machine.travel(now, tick=False):
        assert post(client, BODY, **headers).status_code == 202


def test_an_event_that_nobody_may_send_is_refused_in_the_same_words(client: Client) -> None:
    """S23."""
    known = post(client, BODY, **sign_event(BODY, "wrong"))
    unknown = post(client, BODY, url="/api/events/no.such/", **sign_event(BODY, "wrong"))

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


def test_a_request_that_is_sent_again_as_it_is_is_refused(client: Client) -> None:
    """S21: with an id or without."""
    for body in (b'{"key": "k"}', b'{"key": "k", "id": "evt_1"}'):
        headers = sign_event(body, SECRET)
        assert post(client, body, **headers).status_code == 202

        again = post(client, body, **headers)

        assert again.status_code == 409
        assert code_of(again) == "event_replayed"
    assert Event.objects.count() == 2


def test_one_request_many_times_at_once_counts_once(client: Client) -> None:
    """S21."""
    headers = sign_event(BODY, SECRET)

    responses = at_once(*[lambda: post(Client(), BODY, **headers)] * 6)

    assert sorted(response.status_code for response in responses) == [202, 409, 409, 409, 409, 409]
    assert Event.objects.count() == 1


def test_an_event_that_its_sender_signs_anew_is_known_by_its_id(client: Client) -> None:
    """A sender that got no answer may ask again."""
    body = b'{"key": "k", "payload": 1, "id": "evt_1"}'
    now = int(time.time())
    first = post(client, body, **sign_event(body, SECRET, timestamp=now))

    again = post(client, body, **sign_event(body, SECRET, timestamp=now + 1))

    assert (first.status_code, again.status_code) == (202, 200)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert Event.objects.count() == 1


def test_an_event_for_one_only_goes_to_the_oldest(client: Client) -> None:
    first, second = waiting(), waiting()

    post(client, {"key": "k", "once": True})
    carry_due()

    assert (first.refresh().success, second.refresh().success) == (True, False)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", "parse_error", "not JSON"),
        (b"{", "parse_error", "not JSON"),
        (b"\xff", "parse_error", "not JSON"),
        (b"[" * 100_000, "parse_error", "not JSON"),
        (b'{"key": "k", "payload": NaN}', "parse_error", "NaN is no JSON"),
        (b"[1]", "parse_error", "The body is a JSON object"),
        (b'{"payload": 1}', "invalid_input", "key"),
        (b'{"key": ""}', "invalid_input", "key"),
        (b'{"key": "k", "kay": 1}', "invalid_input", "kay"),
        (b'{"key": "k", "payload": "\\u0000"}', "event_invalid", "payload"),
        (b'{"key": "k", "payload": ' + b"[" * 60 + b"]" * 60 + b"}", "event_invalid", "50 levels"),
    ],
    ids=range(11),
)
def test_a_body_that_says_nothing_is_refused(client: Client, body: bytes, code: str, words: str) -> None:
    """S24."""
    response = post(client, body)

    assert response.status_code == 400
    assert code_of(response) == code
    assert words in response.content.decode()
    assert not Event.objects.exists()


def test_a_key_with_too_many_events_is_told_to_wait(client: Client, settings: Any) -> None:
    settings.FLOWSTATE = {**settings.FLOWSTATE, "MAX_EVENTS": 1}
    post(client, {"key": "k"})

    response = post(client, {"key": "k", "payload": 2})

    assert (response.status_code, code_of(response)) == (429, "inbox_full")


def test_an_event_is_posted_and_nothing_else(client: Client) -> None:
    """S7."""
    for url in (URL, "/api/events/tokens/x/"):
        assert client.get(url).status_code == 405
        assert client.put(url, b"{}", content_type="application/json").status_code == 405


def test_the_views_have_no_transaction_around_them(client: Client, settings: Any) -> None:
    settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
    try:
        run = waiting()
        assert post(client, {"key": "k"}).status_code == 202
        assert run.refresh().step_runs.get(name="confirmed").status == "done"
    finally:
        settings.DATABASES["default"]["ATOMIC_REQUESTS"] = False


# --- by token ------------------------------------------------------------------------------------------


def test_whoever_has_the_token_brings_the_step_its_event_once(client: Client) -> None:
    run = ByLink.run(user=SYSTEM)
    url = f"/api/events/tokens/{run.results['send']}/"

    first = client.post(url, b'{"yes": true}', content_type="application/json")
    second = client.post(url, b'{"yes": false}', content_type="application/json")
    carry_due()

    assert first.status_code == 202
    assert (second.status_code, code_of(second)) == (410, "event_token_spent")  # type: ignore[arg-type]
    assert run.refresh().value == {"yes": True}


def test_a_token_without_a_body_brings_an_event_without_a_payload(client: Client) -> None:
    run = ByLink.run(user=SYSTEM)

    url = f"/api/events/tokens/{run.results['send']}/"

    form = client.post(url, {"payload": "of a form"})
    client.post(url, b"", content_type="application/json")
    carry_due()

    assert form.status_code == 415

    assert run.refresh().success
    assert run.value is None


def test_a_token_that_nobody_gave_out_leads_nowhere(client: Client) -> None:
    ByLink.run(user=SYSTEM)

    response: Any = client.post(f"/api/events/tokens/{'x' * 67}/", b"", content_type="application/json")

    assert (response.status_code, code_of(response)) == (404, "event_token_unknown")


# --- comparing -----------------------------------------------------------------------------------------


def test_secrets_are_compared_in_constant_time() -> None:
    """S23: by `compare_digest`, and nowhere by `==`."""
    secret_words = ("token", "signature", "secret", "digest", "given", "proof", "stored")
    found = []
    for module in (ROOT / "engine" / "tokens.py", ROOT / "rest" / "event_signatures.py"):
        tree = ast.parse(module.read_text())
        assert "compare_digest" in module.read_text()
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and any(
                isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops
            ):
                names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                compared = {name for name in names if any(word in name for word in secret_words)}
                if compared and "len" not in names:
                    found.append(f"{module.name}:{node.lineno} {sorted(compared)}")

    assert found == []
