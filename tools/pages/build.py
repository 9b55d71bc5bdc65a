"""Builds the site in site/ and looks at it in a real browser: this is `make docs`. `--only-build` looks at nothing.

A warning of Zensical, such as a dead link, ends it. So does whatever check.py finds.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.pages.diagrams import inlined

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
DOCS = ROOT / "docs"
# Zensical's plugin `offline` asks another machine for this script: the site brings its own copy.
SHIM, OWN_SHIM = "https://unpkg.com/iframe-worker/shim", "assets/iframe-worker.js"


def main() -> int:
    """Return 0 when the site is built and all checks pass."""
    started = time.monotonic()
    print("1/2 Building the site", flush=True)
    build()
    if "--only-build" in sys.argv[1:]:
        return 0
    print("2/2 Looking at every page in a browser (about a minute)", flush=True)
    code = subprocess.run([sys.executable, "-m", "tools.pages.check"], cwd=ROOT, check=False).returncode
    print(f"The site is in site/: open index.html. All in {time.monotonic() - started:.0f} seconds.")
    return code


def not_in_nav() -> list[str]:
    """Return the pages that nobody could find, because the nav of mkdocs.yml does not name them."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2].partition("\n\n")[0]
    pages = (path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    return sorted(page for page in pages if not re.search(rf"[ ]{re.escape(page)}$", nav, re.MULTILINE))


def build() -> None:
    """Build from nothing, so that no page of the last time stays.

    :raises SystemExit: if Zensical has anything to say against a page, or the nav lacks one
    """
    if missing := not_in_nav():
        sys.exit(f"Not in the nav of mkdocs.yml: {', '.join(missing)}. Each page is in a folder, and in the nav.")
    shutil.rmtree(SITE, ignore_errors=True)
    # As a module, so that it finds tools.pages.glossary from here.
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode or "No issues found" not in done.stdout + done.stderr:
        words = (done.stdout + done.stderr).partition("Traceback")[0]
        sys.exit(f"{words}The site is not built: mend the lines above.")
    for page in SITE.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        up = "/" if page.name == "404.html" else "../" * (len(page.relative_to(SITE).parts) - 1)
        text = inlined(text.replace(SHIM, up + OWN_SHIM), DOCS / "images")
        page.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
