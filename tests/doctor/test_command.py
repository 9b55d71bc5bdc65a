"""The command and the Dag in processes of their own: exit codes, JSON, a class that kills Airflow, and no secrets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import emulators
import pytest
from conftest import BACKEND, PROJECT, PROVIDER, THRESHOLD

from include.xcom_doctor import model, runner
from include.xcom_doctor.deadline import with_deadline

CONN = "AIRFLOW_CONN_MY_AWS_CONN"


def doctor(patient: Any, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "include.xcom_doctor", "--project", str(patient.root), *options]
    return subprocess.run(
        command, cwd=PROJECT, env=env or dict(os.environ), capture_output=True, text=True, timeout=120, check=False
    )


def found(run: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    results = json.loads(run.stdout)["results"]
    return {one["check"]: one for one in results if one["state"] == "finding"}


def test_checks_may_be_written_before_what_they_need(on_folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in reverse: each is asked behind what it needs all the same, and reported in the order of the file."""
    backwards = dict(reversed(model.read_checks().items()))
    monkeypatch.setattr(runner, "read_checks", lambda: backwards)
    order = runner.in_order_of_need(backwards, set(backwards))
    for name, one in backwards.items():
        assert all(order.index(need) < order.index(name) for need in one.needs if need in backwards), name
    results = with_deadline(lambda: on_folder.examine(offline=True), 60)
    assert [one.check for one in results] == list(backwards)


def test_healthy(on_s3: Any) -> None:
    run = doctor(on_s3, "--json")
    assert run.returncode == 0, run.stdout
    document = json.loads(run.stdout)
    assert document["healthy"] is True
    assert run.stderr == ""


def test_class_that_kills_airflow(on_s3: Any) -> None:
    """Every other command dies of this class while it imports Airflow; then the fix is followed."""
    on_s3.set(**{BACKEND: PROVIDER.replace("Storage", "Store")})
    run = doctor(on_s3, "--json")
    assert run.returncode == 1
    (result,) = found(run).values()
    assert result["check"] == "class.found"
    assert result["fix"] == f"set in .env: {BACKEND}={PROVIDER}"


def test_env_file_to_the_letter(on_s3: Any) -> None:
    outside = {name: value for name, value in os.environ.items() if name not in on_s3.settings}
    run = doctor(on_s3, "--json", env=outside)
    (result,) = found(run).values()
    assert (run.returncode, result["check"]) == (1, "settings.env_file")
    option = re.search(r"(--env-file) (\.env)$", result["fix"])
    assert option
    assert doctor(on_s3, option[1], str(on_s3.root / option[2]), "--json", env=outside).returncode == 0


def test_gcsfs_at_an_emulator(on_gcs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, for gcsfs reads the variable once."""
    monkeypatch.delenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT")
    run = doctor(on_gcs, "--json")
    (result,) = found(run).values()
    assert (run.returncode, result["check"]) == (1, "versions.gcsfs")
    on_gcs.fix(SimpleNamespace(**result))
    assert doctor(on_gcs, "--json").returncode == 0


def test_report(on_s3: Any) -> None:
    """Findings and warnings only, each fix whole on a line of its own; `--all` shows the rest."""
    on_s3.set(**{THRESHOLD: "-1"})
    run = doctor(on_s3, "--offline", env=dict(os.environ) | {"COLUMNS": "80"})
    assert run.returncode == 1
    assert run.stdout.startswith("✗ threshold.negative: the threshold is set to -1"), run.stdout
    assert f"  Fix: set in .env: {THRESHOLD}=1000000 (0 sends everything to the bucket)\n" in run.stdout
    assert re.search(r"^1 finding, \d warnings?, \d+ not asked, \d+ healthy: `--all` shows them$", run.stdout, re.M)
    assert "class.found" not in run.stdout
    everything = doctor(on_s3, "--offline", "--all").stdout
    assert "✓ class.found: " in everything
    assert "· rights.write: --offline" in everything, "what was not asked is told too"


@pytest.mark.parametrize(("word", "hint"), [("thresold", "threshold"), ("rights.wirte", "rights.write")])
def test_only_what_there_is(on_s3: Any, word: str, hint: str) -> None:
    run = doctor(on_s3, "--only", "path", word)
    assert (run.returncode, run.stdout) == (2, "")
    assert re.search(rf"--only {word}: no check begins so; did you mean .*\b{hint}\b", run.stderr), run.stderr


def test_doctor_that_cannot_run(on_s3: Any) -> None:
    assert doctor(on_s3, "--no-such-option").returncode == 2
    broken = on_s3.root / "x" / "airflow"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('no Airflow here')")
    run = doctor(on_s3, env=dict(os.environ) | {"PYTHONPATH": str(on_s3.root / "x")})
    # The project's own folder is first on the path, then PYTHONPATH, then the environment.
    assert run.returncode == 2
    assert "the doctor could not run: RuntimeError: no Airflow here" in run.stderr


def test_black_hole_ends_in_time(on_s3: Any) -> None:
    with emulators.black_hole() as url:
        started = time.monotonic()
        run = doctor(on_s3.set(**{CONN: emulators.aws_connection(url)}), "--json")
        assert time.monotonic() - started < 50  # most of it is Airflow's import on a busy machine
    (result,) = found(run).values()
    assert (run.returncode, result["check"]) == (1, "connection.endpoint")
    assert result["seconds"] < 10


def test_hang_does_not_hold_the_exit(on_s3: Any, moto: str) -> None:
    with emulators.breaking(moto, "hang") as proxy:
        started = time.monotonic()
        run = doctor(on_s3.set(**{CONN: emulators.aws_connection(proxy.url)}), "--json", "--deadline", "3")
        assert time.monotonic() - started < 50
    assert run.returncode == 1
    results = json.loads(run.stdout)["results"]
    assert all(one["seconds"] < 10 for one in results), results  # the store hangs for 60


KEY = '"login":"AKIAABCDEFGHIJKLMNOP","password":"SECRET/one+two"'
WHOLE = '{"conn_type":"aws",' + KEY + ',"extra":{"session":"SECRET-three"} }'
SECRETS = {
    "json": WHOLE,
    "url": "aws://AKIAABCDEFGHIJKLMNOP:SECRET%2Fone%2Btwo@/?session=SECRET-three",
    "broken": WHOLE.removesuffix("}"),
    "quoted": '\'{"conn_type":"aws","password":"SECRET/one+two"}\'',
}


@pytest.mark.parametrize("form", SECRETS)
def test_no_secret_is_printed(on_s3: Any, form: str) -> None:
    url = "postgresql://airflow:SECRET-five@127.0.0.1:9/airflow"
    on_s3.set(**{CONN: SECRETS[form], "AIRFLOW__CORE__FERNET_KEY": "SECRET-four-SECRET-four-SECRET-four-SECRET4="})
    on_s3.patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
    on_s3.examine(offline=True)
    text = json.dumps([one.as_dict() for one in on_s3.results])
    assert "SECRET" not in text.replace("AIRFLOW__", "").replace("SECRET>", ""), text


@pytest.mark.parametrize(
    "text",
    [
        "https://x.blob.core.windows.net/c?sv=2024&sig=HUSH%2Bhush%3D&se=2030",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=HUSH==;EndpointSuffix=core.windows.net",
        'error at {"password": "HUSH", "login": "me"}',
        "postgresql://me:HUSH@host/db",
        'nested {"extra": "{\\"aws_secret_access_key\\": \\"HUSH\\"}"}',
        "-----BEGIN PRIVATE KEY-----\nHUSH\n-----END PRIVATE KEY-----",
        "s3://me:HUSH@bucket/xcom",
        "X-Amz-Signature=HUSH&x=1",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    from include.xcom_doctor.mask import masker

    assert "hush" not in masker([])(text).lower()


def test_mask_leaves_the_fixes_readable() -> None:
    from include.xcom_doctor.mask import masker, secrets_in

    secrets = secrets_in("postgresql://airflow:airflow@db/airflow") | {"test"}
    assert masker(secrets)(f"{BACKEND}={PROVIDER}, latest test") == f"{BACKEND}={PROVIDER}, latest test"
    assert masker({"pw"})("pw is not pwd") == "*** is not pwd"


def test_dag(on_s3: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The task itself, as Airflow's Dag test runs it: the report in its log, and red when there is a finding."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("doctor_dag", PROJECT / "dags" / "xcom_doctor.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from conftest import forget

    dag = module.xcom_doctor()
    function = dag.get_task("examine_worker").python_callable
    written: list[str] = []
    monkeypatch.setattr(module.log, "info", lambda text, *args: written.append(text % args))
    forget()
    monkeypatch.setattr("include.xcom_doctor.situation.Situation.env_file", [])
    function(params={"ambient": False})
    assert "XCom doctor on this worker" in written[0]
    assert "✓ roundtrip.big" in written[0]
    on_s3.set(**{THRESHOLD: "-1"})
    forget()
    with pytest.raises(RuntimeError, match="1 finding"):
        function(params=None)


def test_every_check_is_broken_once() -> None:
    """Whoever adds a check adds a test that breaks it."""
    from include.xcom_doctor.model import read_checks

    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in read_checks() if f'"{name}"' not in tests] == []


def test_every_check_is_well_formed() -> None:
    """One function for each table of texts; a need is a check or a variable; without network nothing waits for it."""
    from include.xcom_doctor.model import functions, read_checks

    checks = read_checks()
    assert set(functions()) == set(checks)
    for one in checks.values():
        assert all((one.title, one.symptom, one.why, one.fix, functions()[one.id].__doc__)), one.id
        for need in one.needs:
            assert need.startswith("AIRFLOW_") or one.network or not checks[need].network, one.id


def test_no_template_could_mistake_these_files_for_its_own() -> None:
    """The template copies them verbatim; a pair of braces would be a tag to a reader, and to a tool."""
    tags = ["{" * 2, "}" * 2, "{" + "%", "{" + "#"]
    files = [
        *(PROJECT / "include/xcom_doctor").glob("*.*"),
        PROJECT / "dags/xcom_doctor.py",
    ]
    assert [file.name for file in files if any(tag in file.read_text() for tag in tags)] == []
