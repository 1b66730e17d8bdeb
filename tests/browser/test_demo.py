"""The one command: it starts, stops, says what is wrong, and goes on where it was killed."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visitor
from tests.browser.demo_process import Demo


@pytest.fixture
def own_demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(data=tmp_path)
    yield demo
    demo.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_stops_cleanly_within_seconds(own_demo: Demo, number: int) -> None:
    own_demo.start()

    began = time.monotonic()
    code = own_demo.stop(number)

    assert code == 0, own_demo.output
    assert time.monotonic() - began < 8
    assert "Traceback" not in own_demo.output


def test_a_second_start_keeps_what_is_there_and_adds_nothing(own_demo: Demo) -> None:
    own_demo.start().stop()
    before = _rows(own_demo)

    own_demo.start().stop()

    assert _rows(own_demo) == before


def test_a_killed_demo_opens_again(own_demo: Demo) -> None:
    own_demo.start()
    own_demo.kill()

    own_demo.printed.clear()
    own_demo.start()

    with urlopen(own_demo.url, timeout=5) as page:  # noqa: S310 our own shop
        assert b"Green tea" in page.read()


def test_a_killed_demo_finishes_what_it_had_begun(own_demo: Demo, browser: Browser) -> None:
    own_demo.start()
    context = browser.new_context(base_url=own_demo.url)
    visitor = Visitor(context.new_page())
    visitor.log_in("ada")
    before = visitor.stock("lamp")
    order = visitor.order("lamp", 1)
    visitor.pay("Silent card")
    visitor.expect_step("charge", "busy")

    own_demo.kill()
    own_demo.port = urlsplit(own_demo.url).port or 0
    own_demo.printed.clear()
    own_demo.start()

    # The step belongs to the dead worker until its lease ends: 5 s timeout and 15 s of grace.
    visitor.page.goto(order)
    expect(visitor.page.locator("[data-step=charge]")).to_have_attribute(
        "data-state", "undone", timeout=60_000
    )
    visitor.expect_status("open")
    assert [charge["status"] for charge in own_demo.ledger()["charges"] if charge["card"] == "lost"] == [
        "refunded"
    ]
    assert visitor.stock("lamp") == before
    context.close()


def test_a_port_that_is_taken_is_said_in_plain_words(demo: Demo, tmp_path: Path) -> None:
    taken = urlsplit(demo.url).port or 0

    with pytest.raises(RuntimeError) as refused:
        Demo(data=tmp_path, port=taken).start()

    assert f"Port {taken} is taken" in str(refused.value)
    assert "Traceback" not in str(refused.value)


def _rows(demo: Demo) -> dict[str, int]:
    """Count what the first start has put there."""
    with closing(sqlite3.connect(demo.data / "shop.sqlite3")) as db:
        return {
            table: db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608 fixed names
            for table in ("auth_user", "shop_product", "shop_order", "shop_customer", "flowstate_run")
        }
