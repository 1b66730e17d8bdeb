"""People buy, fail to pay, and see it undone."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visitor, approve_over_http
from tests.browser.demo_process import Demo

pytestmark = pytest.mark.usefixtures("nothing_is_wrong_with_the_page")


def test_buying_with_a_good_card_pays_the_order_and_takes_the_goods(visitor: Visitor) -> None:
    visitor.log_in("ada")
    before = visitor.stock("lamp")

    visitor.order("lamp", 2)
    visitor.pay("Good card")

    visitor.expect_status("paid")
    visitor.expect_step("send_receipt", "done")
    expect(visitor.page.get_by_text("bank reference")).to_be_visible()
    assert visitor.stock("lamp") == before - 2


def test_a_declined_card_shows_the_undo_and_the_goods_are_back(visitor: Visitor) -> None:
    visitor.log_in("ada")
    before = visitor.stock("pot")

    visitor.order("pot", 1)
    visitor.pay("Declined card")

    visitor.expect_step("charge", "failed")
    visitor.expect_step("reserve", "undone")
    visitor.expect_step("hold", "undone")
    visitor.expect_step("payment", "skipped")
    visitor.expect_status("open")
    expect(visitor.page.get_by_text("The goods are back in stock")).to_be_visible()
    expect(visitor.page.get_by_text("Why: The card has no cover.")).to_be_visible()
    assert visitor.stock("pot") == before


def test_a_payment_can_be_tried_again_with_another_card(visitor: Visitor) -> None:
    visitor.log_in("ada")
    visitor.order("honey", 1)
    visitor.pay("Declined card")
    visitor.expect_status("open")

    visitor.pay("Good card")

    visitor.expect_status("paid")
    expect(visitor.page.get_by_role("heading", name="Earlier")).to_be_visible()


def test_a_lost_answer_of_the_bank_charges_once(visitor: Visitor, demo: Demo) -> None:
    visitor.log_in("ada")
    visitor.order("tea", 1)
    before = len(demo.ledger()["charges"])

    visitor.pay("Slow card")

    visitor.expect_status("paid")
    charges = demo.ledger()["charges"]
    slow = charges[: len(charges) - before]  # the newest come first
    assert [(charge["card"], charge["status"]) for charge in slow] == [("slow", "charged")]
    assert slow[0]["asked"] == 2


def test_a_bank_that_charges_and_never_answers_gives_the_money_back(visitor: Visitor, demo: Demo) -> None:
    visitor.log_in("ada")
    before = visitor.stock("mug")
    visitor.order("mug", 3)

    visitor.pay("Silent card")

    visitor.expect_step("charge", "undone")
    visitor.expect_status("open")
    silent = [charge for charge in demo.ledger()["charges"] if charge["card"] == "lost"]
    assert [charge["status"] for charge in silent] == ["refunded"]
    assert visitor.stock("mug") == before


def test_cancelling_a_paid_order_returns_goods_and_money(
    visitor: Visitor, browser: Browser, demo: Demo
) -> None:
    visitor.log_in("ada")
    before = visitor.stock("tea")
    visitor.order("tea", 4)
    visitor.pay("Good card")
    visitor.expect_status("paid")

    visitor.page.get_by_role("button", name="Cancel this order").click()
    visitor.expect_step("agree", "waiting")
    for name in ("fay", "flora"):
        approve_over_http(browser, demo.url, name)

    visitor.page.reload()
    visitor.expect_status("cancelled")
    visitor.expect_step("pay_back", "done")
    assert demo.ledger()["refunds"][0]["status"] == "refunded"
    assert visitor.stock("tea") == before


def test_a_customer_without_an_address_gets_no_receipt_and_is_told_why(visitor: Visitor) -> None:
    visitor.log_in("bob")
    visitor.order("tea", 1)

    visitor.pay("Good card")

    visitor.expect_step("send_receipt", "skipped")
    expect(visitor.page.get_by_text("the customer has no e-mail address")).to_be_visible()


def test_the_order_page_goes_on_without_javascript(browser: Browser, base_url: str) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=base_url)
    visitor = Visitor(context.new_page())
    visitor.log_in("ada")
    visitor.order("tea", 1)

    visitor.pay("Good card")

    visitor.expect_status("paid")
    visitor.expect_step("send_receipt", "done")
    context.close()


def test_the_staff_see_the_run_in_the_admin(visitor: Visitor) -> None:
    page = visitor.page
    visitor.log_in("ada")
    visitor.order("honey", 2)
    visitor.pay("Declined card")
    visitor.expect_step("reserve", "undone")
    page.get_by_role("button", name="Log out").click()

    visitor.log_in_as_staff("admin")
    page.goto("/admin/flowstate/run/")
    page.locator("#result_list tbody tr").first.get_by_role("link").first.click()

    expect(page.get_by_text("The card has no cover.").first).to_be_visible()
    for step in ("hold", "reserve", "charge"):
        expect(page.get_by_role("rowheader", name=step)).to_be_visible()


def test_the_clerk_ships_an_order_by_a_button_of_the_admin(visitor: Visitor) -> None:
    page = visitor.page
    visitor.log_in("bob")
    order = visitor.order("tea", 1)
    visitor.pay("Good card")
    visitor.expect_status("paid")
    page.get_by_role("button", name="Log out").click()

    visitor.log_in_as_staff("clerk")
    page.goto(f"/admin/shop/{urlsplit(order).path.strip('/').replace('orders', 'order')}/change/")
    page.get_by_role("link", name="Ship", exact=True).click()
    page.get_by_label("Tracking code").fill("B-77")
    page.get_by_role("button", name="Ship").click()

    expect(page.get_by_text("succeeded").first).to_be_visible()
    page.goto(order)
    expect(page.get_by_text("B-77")).to_be_visible()


def test_a_shipped_order_waits_for_its_parcel_until_the_customer_says_that_it_has_arrived(
    visitor: Visitor,
) -> None:
    page = visitor.page
    visitor.log_in("bob")
    order = visitor.order("honey", 1)
    visitor.pay("Good card")
    visitor.expect_status("paid")
    page.get_by_role("button", name="Log out").click()
    visitor.log_in_as_staff("clerk")
    page.goto(f"/admin/shop/{urlsplit(order).path.strip('/').replace('orders', 'order')}/actions/ship/")
    page.get_by_label("Tracking code").fill(f"H{urlsplit(order).path}")
    page.get_by_role("button", name="Ship").click()
    expect(page.get_by_text("succeeded").first).to_be_visible()
    page.goto("/")
    page.get_by_role("button", name="Log out").click()
    visitor.log_in("bob")
    page.goto(order)
    visitor.expect_step("arrived", "waiting")

    page.get_by_role("button", name="My parcel has arrived").click()

    visitor.expect_status("delivered")
    visitor.expect_step("mark_delivered", "done")
    expect(page.get_by_role("button", name="My parcel has arrived")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_window(visitor: Visitor, width: int) -> None:
    page = visitor.page
    page.set_viewport_size({"width": width, "height": 800})
    visitor.log_in("ada")
    order = visitor.order("stool", 1)

    for path in ("/", "/orders/", order):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_staff_see_a_conflict_and_force_it_without_any_script(browser: Browser, demo: Demo) -> None:
    context = browser.new_context(base_url=demo.url, java_script_enabled=False)
    visitor = Visitor(context.new_page())
    visitor.log_in_as_staff("admin")
    page = visitor.page

    page.goto("/admin/flowstate/run/?status__exact=attention&action=shop.product.reprice")
    page.locator("#result_list tbody tr").first.get_by_role("link").first.click()
    page.get_by_role("link", name="Force").click()
    conflict = page.locator(".flowstate-conflict")
    expect(conflict).to_contain_text("119")
    expect(conflict).to_contain_text("99")
    expect(conflict).to_contain_text("129")
    page.get_by_label("Reason:").fill("Both were wrong.")
    page.get_by_role("button", name="Force change").click()

    expect(page.get_by_text("What could not be undone before is undone now.")).to_be_visible()
    expect(page.locator("#flowstate-history")).to_contain_text("Both were wrong.")
    page.goto("/")
    expect(page.locator("[data-sku=lamp]")).to_contain_text("129.00")
    context.close()
