"""Each line of docs/reference/security.md names tests that are there, and each test of the class has a line."""

from __future__ import annotations

import re

from tools.baking import ROOT

PAGE = (ROOT / "docs" / "reference" / "security.md").read_text(encoding="utf-8")
ROWS = [
    line.strip("| ").split(" | ")
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| What is tried"))
]
TESTS = {
    file.name: re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    for file in (ROOT / "tests" / "class").glob("test_*.py")
}


def test_each_line_names_tests_that_are_there() -> None:
    known = {name for names in TESTS.values() for name in names}
    for tried, who, *_, tests in ROWS:
        named = re.findall(r"`([^`]+)`", tests)
        assert named, f"{tried} ({who}): no test"
        missing = [name for name in named if name not in known and not ("/" in name and (ROOT / name).is_file())]
        assert not missing, f"{tried} ({who}): {missing}"


def test_each_security_test_has_a_line() -> None:
    ((_, names),) = [(file, names) for file, names in TESTS.items() if "test_custom_security" in file]
    assert [name for name in names if f"`{name}`" not in PAGE] == []
