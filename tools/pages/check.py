"""Looks at the built site in a real headless Chromium, as on a desktop and on a phone: `make docs` runs it.

Each check yields one line for each thing that is wrong. Pictures of what it saw are in .cache/pages/.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tools.debian import NoProgramError, find, program

ROOT = Path(__file__).parents[2]

SITE = ROOT / "site"
PICTURES = ROOT / ".cache" / "pages"
DESKTOP = {"width": 1440, "height": 900}
TABLET = {"width": 768, "height": 1024}
PHONE = {"width": 390, "height": 800}
# The rules of WCAG 2.2, levels A and AA, and what axe calls good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What is wider than its place, and identifiers in tables that are broken: one may be only if it is longer than a line
# of a phone, and then after one of its signs.
OVERFLOWS = """() => {
    const found = []
    const wide = document.scrollingElement.scrollWidth
    if (wide > innerWidth) {
        const all = [...document.querySelectorAll('body *')]
        const first = all.find(one => one.getBoundingClientRect().right > innerWidth)
        found.push(`the page is ${wide} pixels wide: ${first?.outerHTML.slice(0, 100)}`)
    }
    for (const table of document.querySelectorAll('.md-typeset table:not(.highlighttable)')) {
        const box = table.closest('.md-typeset__scrollwrap') ?? table
        if (box.scrollWidth > box.clientWidth) {
            found.push(`a table of ${box.scrollWidth} pixels in ${box.clientWidth}: ${table.innerText.slice(0, 60)}`)
        }
        for (const code of table.querySelectorAll('td code')) {
            const lines = new Set([...code.getClientRects()].map(line => Math.round(line.top))).size
            if (lines > 1 && !/\\s/.test(code.textContent) && (innerWidth > 400 || fits(code))) {
                found.push(`a table breaks ${code.textContent}`)
            }
        }
    }
    return found
    function fits(code) {
        const cell = code.closest('td')
        const space = cell.clientWidth
        const whole = code.cloneNode()
        whole.textContent = code.textContent
        whole.style.setProperty('white-space', 'nowrap', 'important')
        code.after(whole)
        const width = whole.getBoundingClientRect().width
        whole.remove()
        return width <= space
    }
}"""
# The diagrams that have white in them although the page is dark.
LIGHT_DIAGRAMS = """() => [...document.querySelectorAll('svg.diagram')].filter(one =>
    [...one.querySelectorAll('path, rect, text')].some(part => getComputedStyle(part).fill === 'rgb(255, 255, 255)')
).map(one => one.getAttribute('class'))"""
# What people type, and a page that must be among the first three that the search finds.
SEARCHES = {
    "AccessDenied": "reference/troubleshooting.html",
    "NoSuchBucket": "reference/troubleshooting.html",
    "allow": "how-to/restrict-types.html",
    "benchmark": "reference/benchmarks.html",
    "compression": "explanation/compression.html",
    "cost": "how-to/production.html",
    "dataframe": "how-to/dataframes.html",
    "delete": "explanation/who-deletes.html",
    "duckdb": "how-to/dataframes.html",
    "encryption": "how-to/production.html",
    "expand": "how-to/fan-out.html",
    "fault": "reference/fire.html",
    "hang": "reference/troubleshooting.html",
    "helm": "how-to/remote-execution.html",
    "kubernetes": "how-to/remote-execution.html",
    "lifecycle": "how-to/retention.html",
    "minio": "how-to/s3-compatible.html",
    "mirror": "how-to/two-stores.html",
    "numpy": "how-to/dataframes.html",
    "orphan": "reference/glossary.html",
    "pandas": "how-to/dataframes.html",
    "pickle": "how-to/codecs.html",
    "retention": "how-to/retention.html",
    "threshold": "how-to/choose.html",
    "upgrade": "how-to/upgrade.html",
}
TABS = "tutorial/1-bucket.html", "tutorial/3-connection.html"


def main() -> int:
    """Print what is wrong, one line each. Return 1 if anything is."""
    shutil.rmtree(PICTURES, ignore_errors=True)
    pages = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    try:
        executable = chromium()
    except NoProgramError as error:
        sys.exit(str(error))
    with serve(SITE) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        problems = list(dict.fromkeys(check(browser, url, pages)))
        browser.close()
    for problem in problems:
        print(problem)
    pictures = PICTURES.relative_to(ROOT)
    print(f"{len(pages)} pages, {len(problems)} problems. Pictures of them are in {pictures}/.", flush=True)
    return int(bool(problems))


def chromium() -> Path:
    """Return the path of a Chromium: one that is here, or else Debian's, installed now.

    :raises NoProgramError: if there is none and it cannot be installed
    """
    here = (find(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in here if path), None) or program("chromium", "chromium")


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of loopback, and yield its address."""
    handler = partial(Quiet, directory=str(folder))
    with QuietServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class QuietServer(ThreadingHTTPServer):
    """A server that does not mind a browser which no longer waits for a file."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and tells no request."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is Python's
        """Say nothing."""


def check(browser: Browser, url: str, pages: list[str]) -> Iterator[str]:
    """Yield every problem of every page."""
    found = Watch(url)
    with context(browser, found, viewport=DESKTOP) as desktop:
        links: dict[str, list[str]] = {}
        anchors: dict[str, set[str]] = {}
        for name in pages:
            yield from check_page(desktop.new_page(), url, name, links, anchors)
        yield from check_links(url, links, anchors)
    with context(browser, found, viewport=DESKTOP) as reader:
        reader.grant_permissions(["clipboard-read", "clipboard-write"])
        yield from reached(check_tabs(reader.new_page(), url))
        yield from reached(check_copy(reader.new_page(), url))
        yield from reached(check_search(reader.new_page(), url, SEARCHES))
        yield from reached(check_search(reader.new_page(), f"{SITE.as_uri()}/", {"orphan": SEARCHES["orphan"]}))
        yield from reached(check_palette(reader.new_page(), url))
    with context(browser, found, viewport=DESKTOP, color_scheme="dark") as night:
        page = night.new_page()
        page.goto(f"{url}index.html", wait_until="networkidle")
        if page.locator("body").get_attribute("data-md-color-scheme") != "slate":
            yield "a reader whose system is dark gets a light page"
    yield from found.problems


def reached(problems: Iterator[str]) -> Iterator[str]:
    """Yield the problems, and it as a problem too if what a reader would click on does not come."""
    try:
        yield from problems
    except PlaywrightError as error:
        yield " ".join(str(error).split())


class Watch:
    """Notes what no page may do: log an error, fail to load a file, or ask any other machine."""

    def __init__(self, url: str) -> None:
        """Watch pages of the site at ``url``."""
        self.url = url
        self.problems: list[str] = []

    def follow(self, context: BrowserContext) -> None:
        """Watch every page of this context."""
        context.on("console", lambda message: self.note(message.page, message.text, message.type == "error"))
        context.on("weberror", lambda error: self.note(error.page, f"uncaught {error.error}", True))
        context.on("response", self.response)
        context.on("requestfailed", lambda request: self.note(None, f"{request.url}: {request.failure}", True))
        context.route(lambda address: not address.startswith((self.url, "file:", "data:", "blob:")), self.refuse)

    def response(self, response: Response) -> None:
        """Note a file that the site does not have."""
        self.note(None, f"{response.url}: HTTP status {response.status}", response.status >= 400)

    def refuse(self, route: Any) -> None:
        """Note a request to another machine, and stop it."""
        self.problems.append(f"asks another machine: {route.request.url}")
        route.abort()

    def note(self, page: Page | None, text: str, wrong: bool) -> None:
        """Keep a problem, with the page that has it."""
        if wrong:
            self.problems.append(f"{page.url if page else 'some page'}: {text}")


@contextmanager
def context(browser: Browser, watch: Watch, **options: Any) -> Iterator[BrowserContext]:
    """Yield a new browser context, as of a reader who was never here, and watch it."""
    new = browser.new_context(reduced_motion="reduce", **options)
    new.set_default_timeout(20_000)
    watch.follow(new)
    yield new
    new.close()


def check_page(
    page: Page, url: str, name: str, links: dict[str, list[str]], anchors: dict[str, set[str]]
) -> Iterator[str]:
    """Yield what is wrong with a page on each width, in light and in dark. Collect links and anchors."""
    page.goto(url + name)
    links[name] = page.eval_on_selector_all("a[href]", "all => all.map(one => one.getAttribute('href'))")
    anchors[name] = set(page.eval_on_selector_all("[id]", "all => all.map(one => one.id)"))
    broken = page.eval_on_selector_all(
        "img", "all => all.filter(one => one.complete && !one.naturalWidth).map(one => one.src)"
    )
    yield from (f"{name}: the picture {one} does not load" for one in broken)
    picture(page, f"{name}-light")
    yield from (f"{name} in light: {line}" for line in accessibility(page, "tag", RULES))
    page.evaluate("document.body.dataset.mdColorScheme = 'slate'")  # as the button for light and dark does
    picture(page, f"{name}-dark")
    yield from (f"{name} in dark: {line}" for line in accessibility(page, "rule", ["color-contrast"]))
    yield from (f"{name} in dark: the diagram {line} stays light" for line in page.evaluate(LIGHT_DIAGRAMS))
    page.evaluate("document.body.dataset.mdColorScheme = 'default'")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    for size in (DESKTOP, TABLET, PHONE):
        page.set_viewport_size(size)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        yield from (f"{name} at {size['width']} pixels: {line}" for line in page.evaluate(OVERFLOWS))
    picture(page, f"{name}-phone")
    page.close()


def accessibility(page: Page, kind: str, rules: list[str]) -> Iterator[str]:
    """Yield what axe finds on the page as it is now, by these rules, or by the rules with one of these tags."""
    only = {"type": kind, "values": rules}
    result = Axe().run(page, options={"runOnly": only, "resultTypes": ["violations"]}).response
    for violation in result["violations"]:
        for node in violation["nodes"]:
            yield f"{violation['id']}: {violation['help']}: {' '.join(node['html'].split())[:160]} {node['target']}"


def check_links(url: str, links: dict[str, list[str]], anchors: dict[str, set[str]]) -> Iterator[str]:
    """Yield each link whose page or anchor is not there: Zensical checks those of Markdown, this also those of HTML."""
    for name, hrefs in links.items():
        if name == "404.html":
            continue
        for href in sorted(set(hrefs)):
            target, anchor = urldefrag(urljoin(url + name, href))
            if urlsplit(target).netloc != urlsplit(url).netloc:
                continue
            path = target.removeprefix(url) or "index.html"
            path = f"{path}index.html" if path.endswith("/") else path
            if not (SITE / path).is_file():
                yield f"{name}: dead link {href}"
            elif anchor and anchor not in anchors.get(path, set()):
                yield f"{name}: dead anchor {href}"


def check_tabs(page: Page, url: str) -> Iterator[str]:
    """Yield it if a click on a tab switches not all tabs of that name, or another page does not remember it."""
    first, second = TABS
    page.goto(url + first, wait_until="networkidle")
    page.locator(".tabbed-labels label", has_text="Azure").first.click()
    yield from (f"{first}: after a click on Azure, {line}" for line in tabs_without(page, "Azure"))
    page.goto(url + second, wait_until="networkidle")
    yield from (f"{second} does not remember the tab: {line}" for line in tabs_without(page, "Azure"))
    page.close()


def tabs_without(page: Page, label: str) -> Iterator[str]:
    """Yield each set of tabs that has this label and shows another, and say so if no set has it."""
    sets = page.eval_on_selector_all(
        ".tabbed-set",
        """all => all.map(one => {
            const inputs = [...one.querySelectorAll(':scope > input')]
            const labels = [...one.querySelectorAll(':scope > .tabbed-labels > label')].map(l => l.textContent.trim())
            return [labels, labels[inputs.findIndex(input => input.checked)]]
        })""",
    )
    mine = [(labels, shown) for labels, shown in sets if label in labels]
    if not mine:
        yield f"no tab {label} is there"
    yield from (f"{labels} shows {shown}" for labels, shown in mine if shown != label)


def check_copy(page: Page, url: str) -> Iterator[str]:
    """Yield it if the copy button of a code block does not copy the block."""
    page.goto(f"{url}{TABS[0]}", wait_until="networkidle")
    block = page.locator(".highlight:visible").first
    block.hover()
    block.locator("button.md-code__button[data-md-type=copy]").click()
    wanted, got = block.locator("code").inner_text(), page.evaluate("navigator.clipboard.readText()")
    if wanted.strip() != got.strip():
        yield f"{TABS[0]}: the copy button copied {got!r}, not {wanted!r}"
    page.close()


def check_search(page: Page, url: str, words: Mapping[str, str]) -> Iterator[str]:
    """Yield each word for which the search does not name its page among the first three, and if it leads nowhere."""
    page.goto(f"{url}index.html")
    page.locator(".md-search__button").click()
    for word, wanted in words.items():
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.press("Backspace")
        page.get_by_role("option").first.wait_for(state="hidden")
        found: list[str] = []
        page.keyboard.insert_text(word)
        for _ in range(100):  # a busy machine shows what it found for the last word for a while
            found = search_results(page, url)
            if wanted in found[:3]:
                break
            page.wait_for_timeout(100)
        else:
            there = ", ".join(found[:5]) or "nothing"
            yield f"the search for {word!r} finds {there}: {wanted} is not among the first three"
    page.get_by_role("option").first.click()
    page.wait_for_url(f"**/{found[0]}*")
    page.close()


def search_results(page: Page, url: str) -> list[str]:
    """Return the pages that the search shows now, best first."""
    links = page.get_by_role("option").evaluate_all("all => all.map(one => one.href)")
    return list(dict.fromkeys(link.removeprefix(url).partition("?")[0] for link in links))


def check_palette(page: Page, url: str) -> Iterator[str]:
    """Yield it if the button for light and dark does nothing, or the next page does not remember it."""
    page.goto(f"{url}index.html", wait_until="networkidle")
    before = page.locator("body").get_attribute("data-md-color-scheme")
    page.locator("form[data-md-component=palette] label:visible").click()
    after = page.locator("body").get_attribute("data-md-color-scheme")
    page.goto(f"{url}reference/glossary.html", wait_until="networkidle")
    later = page.locator("body").get_attribute("data-md-color-scheme")
    if (before, after, later) != ("default", "slate", "slate"):
        yield f"the button for light and dark: {before}, then {after}, on the next page {later}"
    page.close()


def picture(page: Page, name: str) -> None:
    """Keep a picture of the whole page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name.replace('/', '-').replace('.html', '')}.png", full_page=True)


if __name__ == "__main__":
    sys.exit(main())
