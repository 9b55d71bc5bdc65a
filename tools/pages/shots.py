"""Makes the pictures of the docs anew, from real Airflow and real terminals: this is `make record ONLY=shots`.

`make demo` with UI=1 runs Airflow 3 and 2 with an emulator, and Chromium opens their pages. One thing is altered: the
folder of whoever runs this is called /home/you in the pictures.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from tools.pages.check import chromium

ROOT = Path(__file__).parents[2]

IMAGES = ROOT / "docs" / "images"
SHOTS = IMAGES / "shots"
WIDTH, HEIGHT, HEIGHT_OF_A_RECORD = 1280, 720, 880
DEMO = [str(ROOT / ".venv" / "bin" / "python"), "-m", "tools.demo.start"]
# Viewports in CSS pixels, by what they add to a picture's name.
SCREENS: dict[str, Any] = {"": {"width": 1180, "height": 900}, "-phone": {"width": 390, "height": 844}}
XCOM_PAGES = {
    "xcom-provider-airflow3": ["cloud=aws"],
    "xcom-custom-airflow3": ["cloud=aws", "xcom_backend=custom"],
    "xcom-local-airflow3": ["cloud=local"],
    "xcom-provider-airflow2": ["cloud=aws", "airflow=2"],
    "xcom-custom-airflow2": ["cloud=aws", "xcom_backend=custom", "airflow=2"],
}
TERMINALS = {"demo": ["cloud=aws"], "custom": ["cloud=aws", "xcom_backend=custom"]}


def main() -> None:
    """Make all pictures, or those whose names are arguments."""
    wanted = [name.removeprefix("--only=") for name in sys.argv[1:]]
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for name, answers in XCOM_PAGES.items():
            if not wanted or name in wanted:
                with airflow(answers) as pages:
                    shoot(browser, pages[0], name)
                    if name == "xcom-custom-airflow3":
                        shoot_explorer(browser, pages[-1])
        browser.close()
    for name, answers in TERMINALS.items():
        if not wanted or name in wanted:
            subprocess.run([*DEMO, "--picture", str(IMAGES / f"{name}.svg"), *answers], check=True)
    if not wanted or "doctor" in wanted:
        draw_doctor()


@contextmanager
def airflow(answers: list[str]) -> Iterator[list[str]]:
    """Run the demo with its web UI, yield the addresses of the XComs of its runs, and end it."""
    print(f"Starting Airflow: make demo UI=1 {' '.join(answers)}", flush=True)
    process = subprocess.Popen(
        [*DEMO, "--ui", *answers],
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    told, pages = [], []
    for line in process.stdout:
        told.append(line)
        pages += re.findall(r"http://localhost:\d+/dags/\S+", line)
        if "Press Ctrl-C" in line:
            break
    else:
        sys.exit("".join(told))
    threading.Thread(target=process.stdout.read, daemon=True).start()
    try:
        yield pages
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


def shoot(browser: Browser, address: str, name: str) -> None:
    """Take a picture of the XCom tab, and on the way of the graph."""
    size = {"width": WIDTH, "height": HEIGHT_OF_A_RECORD if "custom" in name else HEIGHT}
    context = browser.new_context(viewport=size, device_scale_factor=2, color_scheme="light", locale="en-GB")
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(address)
    page.locator("text=big_obj >> visible=true").first.wait_for()
    subtab = page.get_by_role("link", name="XCom", exact=True)
    if subtab.count():  # Airflow marks it as chosen only after a click
        subtab.first.click()
    unfold = page.locator("[aria-label='Expand all extra JSON'], [title='Expand all extra JSON']")
    if unfold.count():
        unfold.first.click()
    settle(page)
    page.screenshot(path=SHOTS / f"{name}.png")
    if name == "xcom-provider-airflow3":
        page.goto(address.partition("/tasks/")[0])
        settle(page)
        page.keyboard.press("g")  # from the grid to the graph
        settle(page)
        page.screenshot(path=SHOTS / "graph-airflow3.png")
    context.close()
    print(f"Made docs/images/shots/{name}.png", flush=True)


def shoot_explorer(browser: Browser, tab: str) -> None:
    """Take pictures of the tab "XCom values" and the page "XCom storage", in light and in dark, and on a phone."""
    site = tab.partition("/dags/")[0]
    for dag_id in ("xcom_cleanup", "xcom_doctor"):
        run_dag(browser, site, dag_id)
    views = {"values": (tab, ".view"), "storage": (f"{site}/plugin/xcom-storage", "#content > *")}
    for theme, (screen, size) in itertools.product(("light", "dark"), SCREENS.items()):
        context = browser.new_context(viewport=size, device_scale_factor=2, color_scheme=theme, locale="en-GB")
        context.set_default_timeout(120_000)
        page = context.new_page()
        for name, (address, shown) in views.items():
            page.goto(address)
            page.frame_locator(f"iframe[title='XCom {name}']").locator(shown).first.wait_for()
            if screen:  # a phone has no room beside Airflow's own navigation
                page.goto(page.frames[-1].url)
                page.locator(shown).first.wait_for()
            settle(page)
            file = SHOTS / f"explorer-{name}{screen}-{theme}.png"
            page.screenshot(path=file)
            print(f"Made {file.relative_to(ROOT)}", flush=True)
        context.close()


def run_dag(browser: Browser, site: str, dag_id: str) -> None:
    """Run a Dag by the REST API of the demo, where anybody is an admin, to its end."""
    context = browser.new_context()
    token = context.request.get(f"{site}/auth/token").json()["access_token"]
    options: Any = {"headers": {"Authorization": f"Bearer {token}"}, "fail_on_status_code": True}
    dag = f"{site}/api/v2/dags/{dag_id}"
    context.request.patch(dag, data={"is_paused": False}, **options)
    run = context.request.post(f"{dag}/dagRuns", data={"logical_date": None}, **options).json()["dag_run_id"]
    while context.request.get(f"{dag}/dagRuns/{quote(run)}", **options).json()["state"] not in {"success", "failed"}:
        time.sleep(1)
    context.close()


def settle(page: Page) -> None:
    """Wait until nothing moves any more, and call the folder of whoever runs this /home/you."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)
    page.evaluate(
        """folder => {
            const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
            while (texts.nextNode()) {
                texts.currentNode.data = texts.currentNode.data.replaceAll(folder, '/home/you')
            }
        }""",
        str(ROOT / ".demo"),
    )


def draw_doctor() -> None:
    """Draw what the doctor prints in the project of the demo."""
    project, python = ROOT / ".demo" / "xcom-demo-aws", ROOT / ".venv-aws" / "bin" / "python"
    if not project.exists() or not python.exists():
        subprocess.run([*DEMO, "cloud=aws"], check=True)
    draw = Path(__file__).with_name("doctor_picture.py")
    script = [str(python), "-W", "ignore", str(draw), str(SHOTS / "doctor.svg")]
    path = os.pathsep.join([str(ROOT), str(project), str(project / "tests")])
    subprocess.run(script, cwd=project, env={**os.environ, "PYTHONPATH": path}, check=True)
    print("Made docs/images/shots/doctor.svg", flush=True)


if __name__ == "__main__":
    main()
