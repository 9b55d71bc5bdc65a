"""Writes docs/reference/least-privilege.md: what of the emitted project fails without each right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.baking import bake
from tools.environments import project_environment, python_path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "least-privilege.md"
PROOF = ROOT / "e2e" / "least_privilege"

Result = dict[str, Any]

# By cloud: the module of e2e/least_privilege/, what it is called here, its rights file, and the word for a right.
CLOUDS = {
    "aws": ("s3", "AWS S3, on moto", "infra/policy.json"),
    "azure": ("azurite", "Azure Blob Storage, on Azurite", "infra/rights.json"),
}
# Each with the classes that it stands for: with and without compression the same fails, or a row says what differs.
CLASSES = {"provider": "the provider's class", "custom": "the custom class"}
STEPS = {
    "push": "push",
    "pull": "pull",
    "again": "re-run, which deletes the old object",
    "cleanup": "the Dag `xcom_cleanup`",
    "doctor": "the doctor",
    "large": "push of a large object",
    "broken": "push of a large object whose parts do not arrive whole",
}
# Operations of the stores by the right that each asks for, as their vendors document it.
ASKS = {
    "s3:GetObject": ("GetObject", "HeadObject"),
    "s3:PutObject": ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    "s3:DeleteObject": ("DeleteObject", "DeleteObjects"),
    "s3:ListBucket": ("ListObjectsV2", "HeadBucket"),
    "s3:AbortMultipartUpload": ("AbortMultipartUpload",),
    "r": ("Get Blob", "Get Blob Properties"),
    "w": ("Put Blob", "Put Block", "Put Block List"),
    "d": ("Delete Blob",),
    "l": ("List Blobs",),
}

HEAD = """# Least privilege, proved

<!-- made from a run of the emitted project by `make record ONLY=least-privilege` -->

The rights that `infra/` gives are those that XComs need, and no more. This page is the proof: a user with exactly these
rights ran the emitted project, through its real connection, on real Airflow. Then each right was taken away in turn.

What ran: the Dag `custom_xcom_backend_test`, a Dag whose task fails once and runs again, a push of more than 100 MB (of
more than 256 MiB with the custom class on S3, which sends less in one request), the doctor, and for the custom class a
dry run of `xcom_cleanup`. The two Dags also ran with gzip. Requests were written down by a proxy before the store.

`make e2e ONLY=opentofu` does the same with the provider's class once more, with the bucket, the user and the policy
that `tofu apply` made of `infra/` on moto, and holds what it sees against this page.

**No real cloud was used.** What the emulators do otherwise than the clouds is at the end.
"""

TAIL = """
## What the emulators do otherwise

moto, in place of AWS:

- A HeadBucket request wants an action `s3:HeadBucket`, which AWS does not have: AWS takes `s3:ListBucket`. The proof
  gives it besides the emitted policy, together with `s3:ListBucket`, and takes both away together.
- A DeleteObjects request is checked on the bucket, on AWS on each object. The proof gives `s3:DeleteObject` on the
  bucket besides, and takes both away together.
- Conditions are ignored: the bucket's own policy, which allows only TLS, locks everybody out. Where OpenTofu put it,
  the proof takes it off before it starts. So `tls-only.json` and the role's trust policy are not proved, only read by
  linters. No condition narrows `s3:ListBucket` to the prefix, because s3fs lists the bucket itself before it writes.
- A missing object is a 404 for whoever lacks `s3:ListBucket`, on AWS a 403. There the custom class then says that the
  store refuses, not that the object is missing.

Azurite, in place of Azure, enforces the letters of a SAS, but knows no roles: that the three data actions of
`infra/rights.json` (`blobs/read`, which covers listing, `blobs/write` and `blobs/delete`) cover the same, and that the
condition of their assignment ends at the prefix, is documented by Microsoft, and not proved here.

Google Cloud: no emulator enforces permissions, so nothing of `infra/role.json` is proved. It follows Google's table of
the permissions that each request needs: `storage.objects.create` to upload, `.get` to read, `.list` to list, `.delete`
to delete and to replace, and `storage.buckets.get`, by which gcsfs looks whether the bucket is there.
"""


def prove(cloud: str) -> Iterator[tuple[str, Result]]:
    """Bake a project for a cloud with the classes of both backends, and yield what each class did with which rights."""
    module = CLOUDS[cloud][0]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        project = bake(home, home / "custom", {"cloud": cloud, "xcom_backend": "custom"}, accept_hooks=False)
        gzip = bake(home, home / "gzip", {"cloud": cloud, "compression": "gzip"}, accept_hooks=False)
        python = project_environment(f"{cloud}-custom", [project / "requirements-dev.txt"])
        shutil.copy(gzip / "include" / "xcom_object_storage.py", project / "include")
        for name in (".env", ".env.example"):  # their connection is not the one of the emulator
            (project / name).unlink()
        for name in ("provider", "provider-gzip", "custom", "custom-gzip"):
            yield name, run(python, module, name, project)


def run(python: Path, module: str, name: str, project: Path, *made: Path) -> Result:
    """Run the proof of one class and return its result.

    :param made: for S3, the file that says which bucket, user and policy are there already; else it makes them
    :raises RuntimeError: with the end of its errors, if it breaks
    """
    command = [str(python), "-W", "ignore", str(PROOF / "prove.py"), module, name, *map(str, (project, *made))]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": python_path(project)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[3:])}: {done.stderr[-3000:]}")
    return dict(json.loads(done.stdout))


def page(results: dict[str, dict[str, Result]]) -> str:
    """Return the page for the results of each cloud and class."""
    return HEAD + "".join("".join(section(cloud, found)) for cloud, found in results.items()) + TAIL


def section(cloud: str, results: dict[str, Result]) -> Iterator[str]:
    """Yield what one cloud's results say."""
    _, title, file = CLOUDS[cloud]
    yield f"\n## {title}\n\n"
    yield f"With all rights of `{file}` every step works: {', '.join(STEPS[step] for step in worked(results))}.\n\n"
    yield "| Right | Operations that ask for it | What fails without it |\n| --- | --- | --- |\n"
    for right in results["provider"]["without"]:
        operations = ", ".join(f"`{name}`" for name in seen(results, right))
        yield f"| `{right}` | {operations or 'none'} | {'<br>'.join(failures(results, right))} |\n"
    broken = [
        f"{CLASSES[name]} {results[name]['all']['broken']['said']}"
        for name in CLASSES
        if "broken" in results[name]["all"]
    ]
    if broken:
        yield f"\nWith all rights, when the parts of a large object do not arrive whole: {'; '.join(broken)}.\n"
    optional = sorted(
        {name for result in results.values() for step in result["all"].values() for name in step["refused"]}
    )
    if optional:
        names = ", ".join(f"`{name}`" for name in optional)
        yield f"\nRefused with all rights, and nothing fails of it: {names}. Libraries ask whether the store is there, "
        yield "and the doctor whether it is public and forgets; both do without an answer.\n"
    yield "\n| Elsewhere, with the same keys | What came of it |\n| --- | --- |\n"
    for what, said in results["provider"]["elsewhere"].items():
        yield f"| {what} | {'**works**' if said == 'works' else f'refused: `{said}`'} |\n"


def worked(results: dict[str, Result]) -> list[str]:
    """Return the steps that work with all rights, for every class; the broken upload is none of them."""
    steps = [step for step in STEPS if step != "broken"]
    return [
        step
        for step in steps
        if all(one["all"].get(step, {"said": "ok"})["said"] in ("ok", "-") for one in results.values())
    ]


def seen(results: dict[str, Result], right: str) -> list[str]:
    """Return the operations that were seen and that ask for a right."""
    runs = [step for result in results.values() for step in result["all"].values()]
    done = {name for step in runs for name in step["done"]}
    for result in results.values():
        done |= {name for step in result["without"][right].values() for name in step["refused"]}
    return [name for name in ASKS[right] if name in done]


def failures(results: dict[str, Result], right: str) -> Iterator[str]:
    """Yield a sentence for each class: which steps fail without a right, and how."""
    for name, words in CLASSES.items():
        plain, gzip = (
            {step: one["said"] for step, one in results[each]["without"][right].items()}
            for each in (name, f"{name}-gzip")
        )
        yield f"**{words}**: {sentence(plain)}"
        differs = {step: said for step, said in gzip.items() if said != plain.get(step)}
        if differs:
            yield f"**{words} with gzip**: {sentence(differs)}"


def sentence(said: dict[str, str]) -> str:
    """Say which of the steps went wrong, and how."""
    wrong = [f"{STEPS[step]}: {cell(what)}" for step, what in said.items() if what not in ("ok", "-")]
    return "; ".join(wrong) or "nothing"


def cell(text: str) -> str:
    """Return the text as part of a table's cell."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def prove_all() -> dict[str, dict[str, Result]]:
    """Return the results of every cloud and class."""
    return {cloud: dict(prove(cloud)) for cloud in CLOUDS}


if __name__ == "__main__":
    PAGE.write_text(page(prove_all()), encoding="utf-8", newline="\n")
    print(f"Written: {PAGE.relative_to(ROOT)}")
