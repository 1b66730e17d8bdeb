"""A large order waits for a manager, who says yes to one and no to another."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.demo_process import Demo

pytestmark = pytest.mark.usefixtures("nothing_is_wrong_with_the_page")


def order_for_1500(visitor: Visitor) -> str:
    """Order what takes a manager, begin to pay, and return where the order is."""
    order = visitor.order("espresso", 1)
    visitor.pay("Good card")
    visitor.expect_step("review", "waiting")
    expect(visitor.page.locator(".headline").first).to_contain_text("Waits for a manager")
    return order


def decide(page: Page, order: str, button: str, text: str) -> None:
    """Find the order in the inbox, and decide it there."""
    page.goto("/admin/flowstate/approval/")
    number = order.rstrip("/").rpartition("/")[2]
    page.get_by_role("link", name=f"Checkout: order {number}", exact=True).click()
    expect(page.locator(".flowstate-large")).to_contain_text("1500.00")
    page.get_by_label("Comment:" if button == "Approve" else "Reason:").fill(text)
    page.get_by_role("button", name=button).click()
    expect(page.locator(".messagelist")).to_contain_text(f"Checkout: order {number}")


def test_a_manager_decides_what_a_customer_cannot(visitor: Visitor, browser: Browser, demo: Demo) -> None:
    """P44 to P46, by people: without JavaScript on the manager's side."""
    visitor.log_in("ada")
    before = visitor.stock("espresso")
    yes, no = order_for_1500(visitor), order_for_1500(visitor)
    assert visitor.stock("espresso") == before - 2
    assert visitor.page.request.get("/api/approvals/").json()["results"] == []

    staff = browser.new_context(base_url=demo.url, java_script_enabled=False)
    manager = Visitor(staff.new_page())
    manager.log_in_as_staff("manager")
    expect(manager.page.get_by_role("link", name="Waiting for me (").first).to_be_visible()
    decide(manager.page, yes, "Approve", "A good customer.")
    decide(manager.page, no, "Reject", "One is enough.")
    staff.close()

    visitor.page.goto(yes)
    visitor.expect_status("paid")
    visitor.expect_step("send_receipt", "done")
    visitor.page.goto(no)
    visitor.expect_status("open")
    visitor.expect_step("reserve", "undone")
    expect(visitor.page.get_by_text("Why: It was not approved: One is enough.")).to_be_visible()
    assert visitor.stock("espresso") == before - 1
