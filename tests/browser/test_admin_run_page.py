"""Staff watch a run: the page follows it to its end, keeps what they have opened, and works without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import Visitor

pytestmark = pytest.mark.usefixtures("nothing_is_wrong_with_the_page")

POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"


@pytest.fixture
def strict(page: Page) -> Iterator[None]:
    """Serve every page under a strict content policy; what it forbids is an error in the console."""

    def add_policy(route: Route) -> None:
        answer = route.fetch(max_redirects=0)
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": POLICY})

    page.route(re.compile(r"/admin/"), add_policy)
    yield
    page.unroute_all(behavior="wait")


def pay_in_the_admin(visitor: Visitor, card: str) -> None:
    """Order as a customer, pay for it as staff, and stay on the page of the run."""
    visitor.log_in("ada")
    order = urlsplit(visitor.order("tea", 1)).path.strip("/").replace("orders", "order")
    visitor.page.get_by_role("button", name="Log out").click()
    visitor.log_in_as_staff("admin")
    visitor.page.goto(f"/admin/shop/{order}/actions/checkout/")
    visitor.page.get_by_label("Card").select_option(card)
    visitor.page.get_by_role("button", name="Checkout").click()
    expect(visitor.page.locator(".flowstate-graph")).to_be_visible()


@pytest.mark.usefixtures("strict")
def test_the_page_follows_the_run_keeps_what_is_opened_and_its_boxes_lead_to_steps(visitor: Visitor) -> None:
    pay_in_the_admin(visitor, "slow")
    page = visitor.page
    live = page.locator("#flowstate-live")
    expect(live).to_have_attribute("hx-trigger", "every 2s")
    more = page.locator("#flowstate-step-0-more")
    more.locator("summary").click()
    page.evaluate("window.stayed = true")

    expect(page.locator("#flowstate-summary .flowstate-badge")).to_contain_text("succeeded")

    expect(more).to_have_attribute("open", "")
    expect(more.locator("summary")).to_be_focused()
    expect(page.locator("#flowstate-told")).to_have_text("Status: succeeded")
    assert page.evaluate("window.stayed")
    assert live.get_attribute("hx-get") is None

    page.get_by_role("link", name=re.compile("^send_receipt")).first.press("Enter")
    expect(page).to_have_url(re.compile(r"#flowstate-step-\d+$"))
    expect(page.locator("tbody:target")).to_contain_text("send_receipt")
    expect(page.locator("tbody:target")).to_be_in_viewport()


def test_the_page_follows_the_run_without_scripts_too(browser: Browser, base_url: str) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=base_url)
    visitor = Visitor(context.new_page())

    pay_in_the_admin(visitor, "slow")

    expect(visitor.page.locator("#flowstate-summary .flowstate-badge")).to_contain_text("succeeded")
    expect(visitor.page.get_by_text("This page reloads")).to_have_count(0)
    context.close()


def test_staff_start_something_on_a_selection_and_settle_several_runs(visitor: Visitor) -> None:
    page = visitor.page
    visitor.log_in("ada")
    for _ in range(2):
        visitor.order("tea", 1)
    page.get_by_role("button", name="Log out").click()
    visitor.log_in_as_staff("admin")
    page.goto("/admin/shop/order/")
    for number in (0, 1):
        page.locator("#result_list tbody input.action-select").nth(number).check()
    page.get_by_label("Action:").select_option(label="Cancel order selected orders")
    page.get_by_role("button", name="Go").click()
    page.get_by_role("button", name=re.compile("^Cancel order: 2 rows")).click()
    started = page.locator("#flowstate-able tbody td a")
    expect(started).to_have_count(2)
    for url in [link.get_attribute("href") for link in started.all()]:
        page.goto(url or "")
        expect(page.locator("#flowstate-summary .flowstate-badge")).to_contain_text("succeeded")

    page.goto("/admin/flowstate/run/")
    page.locator("#action-toggle").check()
    page.get_by_label("Action:").select_option(label="Retry selected runs")
    page.get_by_role("button", name="Go").click()

    expect(page.locator("#flowstate-refused")).to_contain_text("It cannot be retried")
