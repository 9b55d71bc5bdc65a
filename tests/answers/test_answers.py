"""Good answers are taken, bad ones refused before a file is written, in one line each; none of them ever runs as code.

The rules of names are those of the clouds' own documentation, written here a second time:
S3 userguide/bucketnamingrules, cloud.google.com/storage/docs/buckets#naming, and Microsoft's "Naming and referencing
containers, blobs, and metadata".
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.cli import main as cookiecutter_command

from tools.baking import (
    ASKED,
    CHOICES,
    CONFIG,
    QUESTIONS,
    Answers,
    as_typed,
    bake,
    clean_environment,
    command,
    files_of,
    run,
    write_settings,
)
from tools.template import template

NOT_TEXT = ["\n", "a\nb", "\x00", "\x07", "\x1b[31mred", "\x7f", "\x85", "\u2028", "\ud800"]
CODE = [
    "{{ 7*7 }}",
    "{% raw %}",
    "{# x #}",
    "{{ cookiecutter.__class__ }}",
    "__import__('os').system('touch MARK')",
    '"""\n__import__("os").system("touch MARK")\n"""',
    "$(touch MARK)",
    "`touch MARK`",
    "; touch MARK",
    "${HOME}",
    "%s %(x)s {0}",
    "'; DROP TABLE xcom; --",
    '"',
    "'",
    "\\",
    "\\n",
    'x" \\',
    '"""',
    "'''",
    "<script>alert(1)</script>",
    "&amp;",
    "[red]x[/red]",
    "# x",
    "a: b",
    "=",
]

FULLWIDTH = "\uff11\uff12\uff13"

GOOD: dict[str, list[str]] = {
    "project_name": ["x", "X" * 80, "Ünïcødé 日本 🚀", "a: b # c", "<b>&amp;</b>", "it's", 'say "hi"', "back\\slash"],
    "project_slug": ["x", "0", "a" * 63, "a_b-c", "con1", "a__b", "a---b_c"],
    "connection_id": ["a", "_", "My_Conn", "a" * 200, "conn2"],
    "threshold": ["-1", "0", "1", "1000", "1048576"],
    "mirror": [
        "",
        "none",
        "gs://my_gcp_conn@b-2/xcom",
        "s3://c@abc/a/b.c",
        "abfs://_c1@abc/x",
        "file:///srv/xcom",
        "file://a/b",
    ],
    "aws": [
        *("abc", "a" * 63, "a.b", "a-b.c-d", "123", "1.2.3", "256.256.256", "x--y"),
        "my-xcom-111122223333-us-west-2-an",  # a bucket in the namespace of an account and region
    ],
    "gcp": ["abc", "a" * 63, "a_b", "a.b_c-d", ".".join(["a" * 63] * 3) + ".b" * 15, "123", "mygoods", "x--y"],
    "azure": ["abc", "a" * 63, "a-b-c", "123", "root"],
    "local": ["a", "logs/xcom-store", "include/xcom-store", "/srv/xcom", "a.b/.c", "A_b-c", "..a", "a..b"],
}
NO_BUCKET = [
    *("", "a", "ab", "a" * 223, "-abc", "abc-", "Abc", "a b", "a/b", "a:b", "a@b", "abc\n", "ünïcode", FULLWIDTH),
    *[*NOT_TEXT, *CODE],
]
BAD: dict[str, list[str]] = {
    "project_name": ["", " ", "x" * 81, *NOT_TEXT],
    "project_slug": [
        *("../x", "a/b", "a\\b", "CON", "con", "nul", "com1", "lpt9", "-x", "_x", "x.y", "X", " ", "~"),
        *("x-", "x__", "a___b", "a-_b", "a_-b"),  # Docker: invalid reference format
        *("a" * 64, "ü", "x\n", FULLWIDTH, *CODE),
    ],
    "connection_id": [
        *("", "a-b", "a.b", "a b", "a@b", "a/b", "a:b", "1a", "a" * 201, "ünï", f"a{FULLWIDTH}"),
        *[*NOT_TEXT, *CODE],
    ],
    "threshold": [
        *("", "-2", "1k", "1e3", "+5", " 5", "5 ", "1_000", "1.0", "0x10", "--1", "-0", "-", "1\n", "9" * 16),
        *(FULLWIDTH, "\u0663", *NOT_TEXT, *CODE),
    ],
    "mirror": [
        *("gs", "gs://b/xcom", "gs://c@b-2", "azblob://c@abc/x", "s3://1c@abc/x", "s3://c-d@abc/x", "s3://c@abc/../x"),
        *("s3://c@abc/./x", "file://", "file:///", "file://a b", "file:///a/..", "s3://c@abc/x\n", "None"),
        *[*NOT_TEXT, *CODE],
    ],
    "aws": [
        *("a" * 64, "a_b", "a..b", ".abc", "abc.", "192.168.5.4", "999.1.1.1"),
        *("xn--abc", "sthree-abc", "sthree-configurator-abc", "amzn-s3-demo-abc"),
        *("abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "abc--table-s3"),
        *NO_BUCKET,
    ],
    "gcp": [
        *("a" * 64, "a" * 64 + ".b", "_abc", "abc_", "a..b", "192.168.5.4", "goog-abc", "my-google-bucket", "g00gle"),
        *NO_BUCKET,
    ],
    "azure": ["a" * 64, "a_b", "a.b", "a--b", "$root", "$web", "$logs", *NO_BUCKET],
    "local": [
        *("", "..", ".", "../a", "a/..", "a/../b", "a/./b", "a//b", "/", "a/", "~", "~/a", "a b", "C:\\a"),
        *("a" * 201, "ünïcode", "a\n", *NOT_TEXT, *CODE),
    ],
}


def answers_to(row: str, value: str) -> dict[str, str]:
    """Return the answers of a row of the tables: the row of a cloud is about its bucket."""
    if row == "project_name":
        return {row: value, "project_slug": "x"}
    if row == "mirror":
        return {row: value, "xcom_backend": "custom"}
    return {"cloud": row, "bucket": value} if row in CHOICES["cloud"] else {row: value}


def good_together() -> list[dict[str, str]]:
    """Return the answers of as few bakes as have every good one: each bucket once, the other rows beside them."""
    buckets = [(cloud, bucket) for cloud in CHOICES["cloud"] for bucket in GOOD[cloud]]
    others = [row for row in GOOD if row not in CHOICES["cloud"]]
    return [
        {"cloud": cloud, "bucket": bucket, "xcom_backend": "custom"}
        | {row: GOOD[row][number % len(GOOD[row])] for row in others}
        for number, (cloud, bucket) in enumerate(buckets)
    ]


def broken_rule(row: str, value: str) -> str:
    """Return the pattern of the first rule in cookiecutter.json that a value breaks; empty if it breaks none."""
    cloud_rules = {name: cloud["bucket_rules"] for name, cloud in CONFIG["_clouds"].items()}
    rules = {**CONFIG["_rules"], **cloud_rules}[row]
    return next((pattern for pattern, *_ in rules if not re.fullmatch(pattern, value, re.ASCII)), "")


def once_for_each_rule() -> list[Any]:
    """Return (row, value) of the first bad value of each rule, and of what is bad in every row each in another one."""
    chosen = {(row, broken_rule(row, value)): (row, value) for row in BAD for value in reversed(BAD[row])}
    for number, value in enumerate([*NOT_TEXT, *CODE]):
        taking = [row for row in BAD if value in BAD[row]]
        chosen[(value, "")] = (taking[number % len(taking)], value)
    return [pytest.param(row, value, id=f"{row}-{ascii(value)[:40]}") for row, value in dict.fromkeys(chosen.values())]


def parse_refusal(line: str) -> tuple[str, str, str, str]:
    """Return the field, the value, the rule and the good example that a refusal names."""
    match = re.fullmatch(r'(\w+)(?: \([\w ]+\))? = (".*") is refused: (.+)\. A good one: (\S.*)', line)
    assert match, line
    field, value, rule, example = match.groups()
    return field, json.loads(value), rule, example


def refusals_of(printed: str) -> list[tuple[str, str, str, str]]:
    """Return the refusals that were printed, after a look at what follows them: how to go on."""
    *lines, words, go_on = printed.splitlines()
    assert words == "Without typing the rest again:"
    assert shlex.split(go_on)[:3] == ["cookiecutter", str(template()), "--no-input"]
    return [parse_refusal(line) for line in lines]


@pytest.mark.parametrize("answers", good_together(), ids=lambda answers: f"{answers['cloud']}-{answers['bucket'][:20]}")
def test_good_answers_are_taken(answers: dict[str, str], home: Path, tmp_path: Path) -> None:
    assert files_of(bake(home, tmp_path / "output", answers))


def test_the_rules_tell_good_from_bad() -> None:
    for table, good in ((GOOD, True), (BAD, False)):
        assert {(row, value) for row in table for value in table[row] if is_taken(row, value) is not good} == set()


@pytest.mark.parametrize(("row", "value"), once_for_each_rule())
def test_a_bad_answer_is_refused_in_one_line_and_nothing_is_left(
    row: str, value: str, home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "inside" / "output"
    output.mkdir(parents=True)
    monkeypatch.chdir(output)
    arguments = [
        f"{name}={text if name in CHOICES else as_typed(text)}" for name, text in answers_to(row, value).items()
    ]
    options = ["--no-input", "--output-dir", str(output), "--config-file", str(write_settings(home))]
    with pytest.raises(SystemExit) as end:
        cookiecutter_command([str(template()), *options, *arguments], standalone_mode=False)

    assert end.value.code == 1
    ((field, refused, rule, example),) = refusals_of(capfd.readouterr().err)
    assert (field, refused) == ("bucket" if row in CHOICES["cloud"] else row, value)
    assert len(rule) > 10
    assert is_taken(row, example)
    # cookiecutter makes the folders of a slug such as a/b before it asks the hook, and takes only the last one back.
    empty_parents = (
        [str(parent) for parent in Path("inside/output", value).parents][:-3] if row == "project_slug" else []
    )
    assert set(left_over(tmp_path, output)) <= set(empty_parents)


@pytest.mark.parametrize("slug", ["", ".", "..", "/", "a\x00b", "\ud800", "a" * 300], ids=ascii)
def test_a_slug_that_can_be_no_new_folder_is_refused_before_our_hook_can(slug: str, home: Path, tmp_path: Path) -> None:
    output = tmp_path / "inside" / "output"
    output.mkdir(parents=True)
    done = cookiecutter_with(home, "--no-input", "--output-dir", output, f"project_slug={as_typed(slug)}")
    assert done.returncode != 0
    assert left_over(tmp_path, output) == []


def test_every_bad_answer_has_its_own_line(home: Path, tmp_path: Path) -> None:
    bad = {"project_name": " ", "connection_id": "a-b", "bucket": "Abc", "threshold": "1k"}
    arguments = [f"{name}={value}" for name, value in bad.items()]
    done = cookiecutter_with(home, "--no-input", "-o", tmp_path, "project_slug=x", *arguments)
    assert done.returncode == 1
    assert {field for field, *_ in refusals_of(done.stderr)} == set(bad)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("question", CHOICES)
def test_what_is_not_offered_is_refused(question: str, home: Path, tmp_path: Path) -> None:
    done = cookiecutter_with(home, "--no-input", "-o", tmp_path, f"{question}=something-else")
    assert done.returncode != 0
    assert question in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def mark() -> Iterator[Path]:
    """Yield the short path of a file that is not there, and is there as soon as some of CODE ran."""
    with tempfile.TemporaryDirectory(prefix="x-") as folder:
        yield Path(folder, "m")


@pytest.fixture(scope="session")
def plain_files(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a bake with nothing but a slug."""
    return files_of(bake(home, tmp_path_factory.mktemp("plain"), {"project_slug": "safe"}))


@pytest.mark.parametrize("code", [code for code in CODE if "\n" not in code])
def test_code_typed_as_project_name_ends_as_text_in_the_readme(
    code: str, home: Path, tmp_path: Path, mark: Path, plain_files: dict[str, bytes]
) -> None:
    typed = code.replace("MARK", str(mark))
    done = answer_prompts(home, tmp_path / "output", {"project_name": typed})
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
    files = files_of(tmp_path / "output" / "safe")
    assert files["README.md"].decode().splitlines()[0] == f"# {typed}"
    assert {path for path in files if files[path] != plain_files[path]} == {"README.md"}
    assert f"\n{typed} is ready.\n" in done.stdout


@pytest.mark.parametrize("code", [code for code in CODE if "\n" not in code])
def test_code_typed_anywhere_else_is_refused_at_once_and_does_not_run(
    code: str, home: Path, tmp_path: Path, mark: Path, plain_files: dict[str, bytes]
) -> None:
    typed = code.replace("MARK", str(mark))
    bad = dict.fromkeys(("connection_id", "bucket", "threshold"), f"{typed}\n")
    done = answer_prompts(home, tmp_path / "output", bad)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(". A good one: ") == len(bad)
    assert not mark.exists()
    assert files_of(tmp_path / "output" / "safe") == plain_files


def test_a_bad_answer_at_a_prompt_is_asked_again(home: Path, tmp_path: Path) -> None:
    good = {"project_name": "Mine", "connection_id": "my_conn", "bucket": "my-bucket", "threshold": "2000"}
    bad = {"project_name": "x" * 81, "connection_id": "a-b", "bucket": "Abc", "threshold": "1k"}
    typed = {name: f"{bad[name]}\n{answer}" for name, answer in good.items()}
    done = answer_prompts(home, tmp_path / "output", {**typed, "cloud": "2"})
    assert done.returncode == 0, done.stderr
    bucket = CONFIG["_clouds"]["gcp"]["bucket_rules"][0][1]
    for name in bad:
        rule = bucket if name == "bucket" else CONFIG["_rules"][name][0][1]
        assert f"  {rule}. A good one: " in done.stdout
        assert done.stdout.count(f"[{ASKED.index(name) + 1}/{len(ASKED)}]") == 2
    assert "gs://my_conn@my-bucket/xcom" in (tmp_path / "output" / "safe" / ".env").read_text()


def test_code_on_every_way_out_of_the_hooks_own_string_does_not_run(home: Path, tmp_path: Path, mark: Path) -> None:
    touch = f"open({str(mark)!r}, 'w')"
    for end in ('"""', "'''", '""")', '\\"""', '"\n"""\n)\n', "\\", '"'):
        name = f"{end}\n{touch}\n#"
        with pytest.raises(Exception, match="Hook script failed"):
            bake(home, tmp_path / "output", {"project_name": name})
        assert not mark.exists()


def test_a_name_that_the_terminal_cannot_show_does_not_stop_the_bake(home: Path, tmp_path: Path) -> None:
    done = cookiecutter_with(
        *(home, "--no-input", "-o", tmp_path, f"project_name={as_typed('日本 🚀')}", "project_slug=x"),
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x" / "README.md").read_text(encoding="utf-8").startswith("# 日本 🚀\n")


@pytest.mark.parametrize("name", ["!!!", "X" * 80, "-", "日本", "a_b", "...", "_"])
def test_every_legal_project_name_alone_gives_a_legal_folder(name: str, home: Path, tmp_path: Path) -> None:
    project = bake(home, tmp_path, {"project_name": name})
    assert is_taken("project_slug", project.name)
    assert project.parent == tmp_path


@pytest.mark.parametrize("name", ["null", "true", "no", "on", "1", "007", "1e3", "0x1f", "1_000", "2026-11-20"])
def test_a_slug_that_yaml_could_take_for_something_else_stays_text(name: str, home: Path, tmp_path: Path) -> None:
    project = bake(home, tmp_path, {"project_slug": name})
    assert yaml.safe_load((project / ".astro" / "config.yaml").read_text()) == {"project": {"name": name}}


def test_every_free_answer_has_rules(home: Path) -> None:
    free = [name for name in QUESTIONS if name not in CHOICES and isinstance(CONFIG[name], str) and name != "bucket"]
    assert list(CONFIG["_rules"]) == free
    assert all(cloud["bucket_rules"] for cloud in CONFIG["_clouds"].values())


def test_the_tables_of_this_file_cover_every_free_answer() -> None:
    assert set(GOOD) == set(BAD) == set(CONFIG["_rules"]) | set(CHOICES["cloud"])


def cookiecutter_with(home: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the real cookiecutter with these arguments, and nothing to read at its prompts."""
    return run(command("cookiecutter"), template(), *arguments, env=clean_environment(home, **variables))


def answer_prompts(home: Path, output: Path, answers: Answers) -> subprocess.CompletedProcess[str]:
    """Run the real cookiecutter, type these answers at its prompts, and Return at all others."""
    output.mkdir()
    typed = "".join(f"{answers.get(question, '')}\n" for question in ASKED)
    arguments = [command("cookiecutter"), template(), "-o", output, "project_slug=safe"]
    return run(*arguments, env=clean_environment(home), input=typed)


def is_taken(row: str, value: str) -> bool:
    """Whether the rules of cookiecutter.json take a value."""
    return not broken_rule(row, value)


def left_over(folder: Path, output: Path) -> list[str]:
    """Return what there is in a folder apart from the empty output folder."""
    expected = {output, *output.parents}
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path not in expected)
