"""Does in a real browser what a user does: signs in, triggers a Dag, and looks at an XCom and at a log.

The environment's Python starts this, because Playwright and Pillow are installed there. It reads its orders from
standard input as JSON, and prints what the pages showed as JSON. Pictures of the pages go into a folder.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

DAG, TASK = "custom_xcom_backend_test", "push_objects"
SECONDS = 180_000  # milliseconds that a page may take, on a busy machine


def main(orders: dict[str, str]) -> dict[str, Any]:
    """Do it all, and return what the pages showed.

    :param orders: the ``url`` of the web UI, ``user`` and ``password``, the ``browser``, and the folder ``pictures``
    """
    expect.set_options(timeout=SECONDS)
    with sync_playwright() as playwright:
        # Chromium refuses to be root's without the first; containers have little /dev/shm.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=orders["browser"], args=options)
        page = browser.new_page(viewport={"width": 1280, "height": 720}, locale="en-US")
        page.set_default_timeout(SECONDS)
        try:
            return visit(page, orders, Path(orders["pictures"]))
        except Exception:
            page.screenshot(path=Path(orders["pictures"], "failed.png"))
            raise
        finally:
            browser.close()


def visit(page: Page, orders: dict[str, str], pictures: Path) -> dict[str, Any]:
    """Sign in, trigger the Dag, and return its run ID, the log line of the push, and what the XCom tab shows."""
    page.goto(orders["url"])
    page.locator("input[name=username]").fill(orders["user"])
    page.locator("input[name=password]").fill(orders["password"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Welcome").wait_for()

    page.goto(f"{orders['url']}/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Trigger").click()
    page.wait_for_url(re.compile(rf"/dags/{DAG}/runs/"))  # the UI goes there by itself
    run = page.url.removeprefix(orders["url"])
    expect(page.get_by_text("Success")).to_have_count(3)  # the run and both tasks
    page.locator(f'a[href="{run}/tasks/{TASK}"]').last.click()

    line = page.get_by_text("XCom push: key=big_obj")
    line.wait_for()
    pushed = line.inner_text()
    picture(page, pictures / "cluster-log.png", height=560)

    page.get_by_role("link", name="Storage").click()
    page.get_by_role("link", name="XCom", exact=True).click()
    page.get_by_text("big_obj").first.wait_for()
    page.get_by_role("button", name="Expand all extra JSON").click()
    picture(page, pictures / "cluster-xcom.png", height=840)
    table = page.get_by_role("table").first.inner_text()
    return {"run": unquote(run), "log": pushed, "xcoms": table}


def picture(page: Page, file: Path, height: int) -> None:
    """Take a picture when nothing loads and nothing moves, of as many pixels as the page needs."""
    page.set_viewport_size({"width": 1280, "height": height})
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)
    page.screenshot(path=file)
    with Image.open(file) as image:
        few_colours = image.convert("RGB").quantize(64)  # a third of the bytes
    few_colours.save(file, optimize=True)


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
