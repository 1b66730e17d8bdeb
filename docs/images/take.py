"""Takes the pictures of these pages from the running demo: `.venv/bin/python -m docs.images.take`.

Needs the dev requirements, and a Chromium that CHROMIUM names or that is on PATH.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.demo_process import Demo

HERE = Path(__file__).resolve().parent
SIZE = {"width": 1280, "height": 800}
TALL = {"width": 1280, "height": 1320}


def log_in(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/login/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(name)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name=f"Log out {name}")).to_be_visible()


def order(page: Page, url: str, basket: dict[str, int], card: str, status: str) -> str:
    """Order these goods, pay with this card, and return the page where the order shows that status."""
    page.goto(url)
    for sku, quantity in basket.items():
        page.locator(f"[data-sku={sku}]").get_by_label("Quantity").fill(str(quantity))
    page.get_by_role("button", name="Place order").click()
    page.get_by_label(card).check()
    page.get_by_role("button", name="Pay €").click()
    last = "send_receipt" if status == "paid" else "hold"
    state = "done" if status == "paid" else "undone"
    expect(page.locator(f"[data-step={last}]").first).to_have_attribute("data-state", state, timeout=20_000)
    return page.url


def take(browser: Browser, url: str, scheme: str) -> None:
    customer = browser.new_context(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]  # light or dark
    page = customer.new_page()
    log_in(page, url, "ada")
    for name, card, status in (("paid", "Good card", "paid"), ("undone", "Declined card", "open")):
        page.goto(order(page, url, {"tea": 2, "honey": 1}, card, status))
        page.screenshot(path=HERE / f"order-{name}-{scheme}.png")
    staff = browser.new_context(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]  # light or dark
    page = staff.new_page()
    log_in(page, url, "admin")
    page.goto(f"{url}/admin/flowstate/run/")
    page.screenshot(path=HERE / f"admin-runs-{scheme}.png")
    page.locator("#result_list tbody tr").first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="History")).to_be_attached()
    page.set_viewport_size(TALL)  # the whole diagram
    page.screenshot(path=HERE / f"admin-run-{scheme}.png")
    manager = browser.new_context(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]  # light or dark
    page = manager.new_page()
    log_in(page, url, "manager")
    page.goto(f"{url}/admin/flowstate/approval/")
    page.get_by_role("link", name="Decide").first.click()
    expect(page.get_by_role("heading", name="Diagram")).to_be_attached()
    page.screenshot(path=HERE / f"admin-approval-{scheme}.png")


def main() -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        demo = Demo(data=Path(data)).start()
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            for scheme in ("light", "dark"):
                take(browser, demo.url, scheme)
        finally:
            browser.close()
            demo.stop()


if __name__ == "__main__":
    main()
