"""The rendered files of each cloud, word for word: a change of the template shows in a diff what users will get.

`golden/<cloud>/` is the project that the defaults give there. The other folders hold what other answers change in it.
After a wanted change: `pytest tests/bakes/test_golden.py --update-golden`, then read `git diff tests/golden`.
The names end in `.golden` so that no tool takes these files for its own settings.
"""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

import pytest

from tools.baking import CLOUDS, ROOT, Answers, Bake, files_of

GOLDEN = ROOT / "tests" / "golden"
ENDING = ".golden"
# Compared in test_bakes.py: what is copied and not rendered, with the template; the example, with its twin .env.
# Compared in test_requirements.py: the constraints, with the lock.
NOT_GOLDEN = (".py", "checks.toml", ".css", ".html", ".js", "-lock.json", ".env.example", "constraints.txt")

BASES: dict[str, Answers] = {cloud: {"cloud": cloud} for cloud in CLOUDS}
VARIANTS: dict[str, Answers] = {
    "aws-airflow2": {"cloud": "aws", "airflow": "2"},
    "gcp-airflow2": {"cloud": "gcp", "airflow": "2"},
    "azure-airflow2": {"cloud": "azure", "airflow": "2"},
    "local-airflow2-astro-sdk": {"cloud": "local", "airflow": "2", "astro_sdk": True},
    "gcp-zstd-threshold-0": {"cloud": "gcp", "compression": "zstd", "threshold": "0"},
    "local-explorer": {"cloud": "local", "explorer": True},
    "aws-remote-execution-ci": {"cloud": "aws", "remote_execution": True, "ci": "github"},
    "gcp-remote-execution": {"cloud": "gcp", "remote_execution": True},
    "azure-remote-execution-custom": {
        "cloud": "azure",
        "remote_execution": True,
        "xcom_backend": "custom",
        "explorer": True,
    },
    "local-gzip-threshold-minus-1-absolute": {
        "cloud": "local",
        "compression": "gzip",
        "threshold": "-1",
        "bucket": "/srv/xcom-store",
    },
}
CASES = BASES | VARIANTS


def rendered_files(project: Path) -> dict[str, str]:
    """Return the text of each file of a bake that was rendered, and has any."""
    texts = {path: content.decode() for path, content in files_of(project).items() if not path.endswith(NOT_GOLDEN)}
    return {path: text for path, text in texts.items() if text}


def golden_files(case: str) -> dict[str, str]:
    """Return the text of each golden file of a case by the path it has in a bake."""
    files = files_of(GOLDEN / case) if (GOLDEN / case).is_dir() else {}
    return {path.removesuffix(ENDING): content.decode() for path, content in files.items()}


def expected_files(case: str) -> dict[str, str]:
    """Return all golden files that hold for a case: those of its cloud, under those of its own."""
    base = CASES[case]["cloud"]
    return golden_files(base) | golden_files(case)


def update(case: str, rendered: dict[str, str], base: dict[str, str]) -> None:
    """Write the golden files of a case: those that differ from the ones of its base."""
    shutil.rmtree(GOLDEN / case, ignore_errors=True)
    for path, text in rendered.items():
        if base.get(path) != text:
            file = GOLDEN / case / f"{path}{ENDING}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())


def difference(expected: dict[str, str], rendered: dict[str, str]) -> str:
    """Return a unified diff of all files."""
    lines: list[str] = []
    for path in sorted(expected.keys() | rendered.keys()):
        before, after = expected.get(path, ""), rendered.get(path, "")
        lines += difflib.unified_diff(
            before.splitlines(True), after.splitlines(True), f"golden/{path}", f"baked/{path}"
        )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@pytest.mark.parametrize("case", CASES)
def test_a_bake_is_word_for_word_as_in_golden(case: str, bake: Bake, request: pytest.FixtureRequest) -> None:
    rendered = rendered_files(bake(**CASES[case]))
    if request.config.getoption("--update-golden"):
        base = {} if case in BASES else rendered_files(bake(**BASES[CASES[case]["cloud"]]))
        update(case, rendered, base)
    diff = difference(expected_files(case), rendered)
    if diff:
        pytest.fail(f"Right? Then: pytest tests/bakes/test_golden.py --update-golden\n\n{diff}", pytrace=False)


def test_golden_has_no_folder_that_no_test_reads() -> None:
    assert {folder.name for folder in GOLDEN.iterdir()} <= set(CASES)
