"""Looks at the explorer in a real Chromium, inside Airflow's own web UI and alone, as a user does.

The environment's Python starts this, because Playwright and axe are installed there. It reads its orders from standard
input as JSON, and prints what it saw as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, FrameLocator, Page, expect, sync_playwright

SECONDS = 120_000  # milliseconds that a page may take, on a busy machine
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 375, "height": 800}}
# Of the part that shows a value: what could run, or load, something.
ALIVE = (
    "script, iframe, object, embed, link, style, form, [onload], [onerror], [onclick], img:not([src^='data:image/'])"
)


class Look:
    """A browser that is signed in, and what went wrong in it."""

    def __init__(self, context: BrowserContext, orders: dict[str, Any]) -> None:
        """Sign in."""
        self.context, self.orders = context, orders
        self.problems: list[str] = []
        context.set_default_timeout(SECONDS)
        context.add_cookies([{"name": "_token", "value": orders["token"], "url": orders["url"]}])
        context.on("request", self.check_request)
        context.on("page", self.watch)

    def check_request(self, request: Any) -> None:
        """Note a request to another host."""
        if urlsplit(request.url).netloc not in {urlsplit(self.orders["url"]).netloc, ""}:
            self.problems.append(f"asks {request.url[:100]}")

    def watch(self, page: Page) -> None:
        """Note what goes wrong in a page, its policy's refusals among it."""
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog: {dialog.message}"))
        page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)

    def in_airflow(self) -> dict[str, Any]:
        """Go to the tab as a user does, open each value, and tell what the page shows of it."""
        where, page = self.orders["where"], self.context.new_page()
        names = where["dag_id"], where["run_id"], where["task_id"]
        page.goto("{}/dags/{}/runs/{}/tasks/{}".format(self.orders["url"], *(quote(name, "") for name in names)))
        page.get_by_role("link", name="XCom values").click()
        frame = page.frame_locator("iframe[title='XCom values']")
        frame.locator("#xcoms button").first.wait_for()
        title, shown = page.title(), {}
        expect(frame.locator("#more")).to_be_hidden()
        for key in frame.locator("#xcoms button b").all_text_contents():
            detail = self.open(frame, key)
            inner = page.frames[-1].title()
            if (page.title(), inner) != (title, "XCom values"):
                self.problems.append(f"{key}: the title is {page.title()!r}, {inner!r}")
            if alive := detail.locator(ALIVE).count():
                self.problems.append(f"{key}: {alive} elements that a value should not have")
            self.unfold(detail)
            if alive := detail.locator(ALIVE).count():
                self.problems.append(f"{key}: {alive} elements that a part should not have")
            shown[key] = detail.inner_text()
        self.open(frame, self.orders["download"])
        page.screenshot(path=Path(self.orders["folder"], "tab.png"))
        with page.expect_download() as download:
            frame.get_by_role("link", name="Download").click()
        file = Path(self.orders["folder"], "downloaded")
        download.value.save_as(file)
        name, themes = download.value.suggested_filename, {}
        for theme in ("dark", "light"):
            page.emulate_media(color_scheme=theme)
            page.evaluate("theme => document.documentElement.className = theme", theme)
            expect(frame.locator("html")).to_have_attribute("data-theme", theme)
            themes[theme] = frame.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        return {"shown": shown, "name": name, "downloaded": str(file), "themes": themes}

    def storage(self) -> dict[str, Any]:
        """Go to the page in the navigation as a user does, and tell what it shows."""
        page = self.context.new_page()
        page.goto(f"{self.orders['url']}/")
        page.get_by_role("button", name="Browse").click()
        page.get_by_role("menuitem", name="XCom storage").or_(page.get_by_role("link", name="XCom storage")).click()
        storage = page.frame_locator("iframe[title='XCom storage']")
        storage.locator("#content > *").first.wait_for()
        page.screenshot(path=Path(self.orders["folder"], "storage.png"))
        return {"storage": storage.locator("main").inner_text()}

    def open(self, frame: FrameLocator, key: str) -> Any:
        """Open a value, and return the part of the page that shows it."""
        frame.locator("#xcoms button").filter(has=frame.locator("b").get_by_text(key, exact=True)).click()
        expect(frame.locator("#detail h2")).to_have_text(key)
        frame.locator("#detail .button").wait_for()
        return frame.locator("#detail")

    def unfold(self, detail: Any) -> None:
        """Open the first parts of Chunks and folders, and wait until each is read."""
        parts = detail.locator("details.part")
        for place in range(min(parts.count(), 6)):
            parts.nth(place).locator("summary").first.click()
            expect(parts.nth(place)).not_to_contain_text("Reading …")

    def address(self, page: str) -> str:
        """Return the address of a page of the plugin, without Airflow's UI around it."""
        return f"{self.orders['url']}/xcom_explorer/{page}?{urlencode(self.orders['where'])}"

    def axe(self) -> None:
        """Ask axe about both pages, small and big, light and dark."""
        for size in SIZES:
            for theme in ("light", "dark"):
                self.examine(size, theme)

    def examine(self, size: str, theme: str) -> None:
        """Ask axe about both pages, and whether they are wider than the screen."""
        for name in ("values", "storage"):
            page = self.context.new_page()
            page.set_viewport_size(SIZES[size])
            page.emulate_media(color_scheme=theme)
            page.goto(self.address(name) + ("#frame" if name == "values" else ""))
            page.locator("#detail .view, #content > *").first.wait_for()
            found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}}).response["violations"]
            self.problems += [
                f"{name}, {size}, {theme}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found
            ]
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                self.problems.append(f"{name}, {size}: wider than the screen")
            page.screenshot(path=Path(self.orders["folder"], f"{name}-{size}-{theme}.png"), full_page=True)
            page.close()

    def keyboard(self) -> None:
        """Open a value, unfold a tree and copy a command without a mouse."""
        page = self.context.new_page()
        page.goto(self.address("values"))
        page.locator("#xcoms button").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        wanted = page.locator("#xcoms button b").nth(1).text_content()
        expect(page.locator("#detail h2")).to_have_text(wanted)
        page.locator("#filter").focus()
        page.keyboard.type("records")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#detail h2")).to_have_text("records")
        page.locator("#detail summary").nth(1).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#detail .leaf").first).to_contain_text("id: 0")
        page.get_by_role("button", name="Copy").first.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Copied")).to_have_count(1)
        copied = page.evaluate("navigator.clipboard.readText()")
        if not copied.startswith("python -m include.xcom_backend show file:///"):
            self.problems.append(f"copied: {copied}")

    def first_paint(self) -> dict[str, Any]:
        """Return how many milliseconds each visit to a list of 1,000 XComs takes, and what the last asked for."""
        times = []
        for _ in range(self.orders["visits"]):
            page, asked = self.context.new_page(), list[str]()
            page.on("request", lambda request, asked=asked: asked.append(urlsplit(request.url).path))
            page.goto(self.address("values").replace("task_id=push", "task_id=many"))
            page.wait_for_function("performance.getEntriesByName('painted').length")
            times.append(page.evaluate("performance.getEntriesByName('painted')[0].startTime"))
            size = page.evaluate("performance.getEntriesByType('navigation')[0].transferSize")
            page.close()
        return {"first_paint": times, "asked": asked, "size": size}

    def all_of_a_long_list(self) -> dict[str, Any]:
        """Scroll to the end of 1,000 XComs and find one by its key; return how many items there are each time."""
        page = self.context.new_page()
        page.goto(self.address("values").replace("task_id=push", "task_id=many"))
        page.locator("#xcoms li").first.wait_for()
        counts = [page.locator("#xcoms li").count()]
        page.locator("#filter").fill("key_0987")
        expect(page.locator("#xcoms li")).to_have_count(1)
        counts.append(page.locator("#xcoms li").count())
        page.locator("#filter").fill("")
        while page.locator("#more").is_visible():
            page.locator(".list").evaluate("list => list.scrollTo(0, list.scrollHeight)")
            page.wait_for_timeout(100)
        counts.append(page.locator("#xcoms li").count())
        return {"counts": counts}


def main(orders: dict[str, Any]) -> dict[str, Any]:
    """Do the parts that the orders name, methods of ``Look``, and return what was seen."""
    expect.set_options(timeout=SECONDS)
    with sync_playwright() as playwright:
        # Chromium refuses to be root's without the first; containers have little /dev/shm.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=orders["browser"], args=options)
        context = browser.new_context(viewport=SIZES["desktop"], locale="en-US")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        look, seen = Look(context, orders), dict[str, Any]()
        for part in orders["parts"]:
            seen |= getattr(look, part)() or {}
        browser.close()
        return {**seen, "problems": look.problems}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
