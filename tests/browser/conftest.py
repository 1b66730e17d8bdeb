"""The shop, a browser that accepts no error and no stranger, and what people do with them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from tests.browser.demo_process import Demo

# A run may wait for a bank that does not answer, three times over.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run the shop for all tests; what they look at must be their own order and product."""
    demo = Demo(data=tmp_path_factory.mktemp("shop")).start()
    yield demo
    assert demo.stop() == 0, demo.output


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the Chromium of the machine."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    return {**browser_type_launch_args, "executable_path": path, "args": arguments}


@pytest.fixture(scope="session")
def base_url(demo: Demo) -> str:
    return demo.url


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody in front of the browser."""

    page: Page

    def log_in(self, name: str) -> None:
        self.page.goto("/login/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(name)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("button", name=f"Log out {name}")).to_be_visible()

    def log_in_as_staff(self, name: str) -> None:
        self.page.goto("/admin/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(name)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_text("Welcome,")).to_be_visible()

    def stock(self, sku: str) -> int:
        """Return what the product list says is left."""
        self.page.goto("/")
        return int(self.page.locator(f"[data-sku={sku}] [data-stock]").text_content() or "")

    def order(self, sku: str, quantity: int) -> str:
        """Place an order and return its path."""
        self.page.goto("/")
        self.page.locator(f"[data-sku={sku}]").get_by_label("Quantity").fill(str(quantity))
        self.page.get_by_role("button", name="Place order").click()
        expect(self.page.get_by_role("heading", name="Order ")).to_be_visible()
        return self.page.url

    def pay(self, card: str) -> None:
        self.page.get_by_label(card).check()
        self.page.get_by_role("button", name="Pay €").click()

    def expect_status(self, status: str) -> None:
        expect(self.page.locator(f"[data-status={status}]")).to_be_visible()

    def expect_step(self, name: str, state: str) -> None:
        expect(self.page.locator(f"[data-step={name}]").first).to_have_attribute("data-state", state)


def approve_over_http(browser: Browser, url: str, name: str) -> None:
    """Have somebody approve all that waits for them, as a program of theirs would."""
    context = browser.new_context(base_url=url)
    Visitor(context.new_page()).log_in(name)
    token = next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "csrftoken")
    for approval in context.request.get("/api/approvals/").json()["results"]:
        answer = context.request.post(
            f"/api/approvals/{approval['id']}/approve/",
            data={"digest": approval["digest"]},
            headers={"X-CSRFToken": token},
        )
        assert answer.ok, answer.text()
    context.close()


@pytest.fixture
def visitor(page: Page) -> Visitor:
    return Visitor(page)


@pytest.fixture
def nothing_is_wrong_with_the_page(page: Page, base_url: str) -> Iterator[None]:
    """Fail on errors in the console, and on requests to anywhere but the shop."""
    wrong: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(f"console: {message.text} {message.location}")

    def see(request: Request) -> None:
        if not request.url.startswith((base_url, "data:", "blob:")):
            wrong.append(f"request: {request.url}")

    page.on("console", hear)
    page.on("pageerror", lambda error: wrong.append(f"page: {error}"))
    page.on("request", see)
    yield
    assert wrong == []
