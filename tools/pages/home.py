"""Makes the table of docs/index.md that puts the three classes side by side, from records/ and the template."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tools.baking import PROJECT_TEMPLATE, ROOT
from tools.pages import cluster, fire, values
from tools.pages.benchmarks import Measured

# The classes as the records of benchmarks and faults name them, and as that of the cluster does.
CLASSES = {"default": cluster.DATABASE, "provider": cluster.PROVIDER, "custom": cluster.CUSTOM}
FAULTS = {"provider": "provider", "custom": "custom"}


def rows(found: Measured) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table: what is compared, then Airflow's own class, the provider's, the custom one."""
    beside = json.loads((ROOT / "records" / "cluster.json").read_text(encoding="utf-8"))["side_by_side"]
    runs = [beside[name] for name in CLASSES.values()]
    yield ("A big value goes to", "the metadata database", "your bucket", "your bucket, and a second one if you like")
    frames = [[found.get(f"s3/frame/{name}/{action}") * 1000 for action in ("push", "pull")] for name in FAULTS]
    times = (f"{push:,.0f} ms / {pull:,.0f} ms" for push, pull in frames)
    yield ("**Speed**: push / pull a DataFrame of a million rows", "not measured", *times)
    cpu = (f"{run['cpu']['workers']:.0f} s" for run in runs)
    yield (f"CPU time of the workers, {runs[0]['values']} tasks with 200 KB each", *cpu)
    yield ("**Safety**: " + "value lost or changed without an error", *lost_or_changed())
    wrong, hangs = (outcomes(kind) for kind in ("WRONG VALUE", "HANGS"))
    both = (f"{wrong[name]} / {hangs[name]}" for name in FAULTS)
    yield (f"Wrong values / hangs in {len(faults())} runs with a fault", "no store to fail", *both)
    yield ("**Cost**: bytes in the database for 200 KB", *(f"{run['row_bytes_max']:,}" for run in runs))
    requests = (
        " / ".join(f"{found.get(f's3/requests/{name}', act):.0f}" for act in ("push", "pull")) for name in FAULTS
    )
    yield ("Requests to the store, push / pull of 1 MB", "none", *requests)
    yield ("Code that is yours to maintain", "none", *lines())


def lost_or_changed() -> Iterator[str]:
    """Yield for each class how many of the tried values came back as something else, or never."""
    record = json.loads(values.RECORD.read_text(encoding="utf-8"))["rows"]
    for column in range(2, 5):
        count = sum(row[column] in {"changed", "never read"} for row in record)
        yield f"{count} of {len(record)}"


def faults() -> list[dict[str, fire.Outcome]]:
    """Return what became of each fault that both classes met."""
    hurt = [case.outcomes for case in fire.read().values() if not case.title.startswith("nothing")]
    return [outcomes for outcomes in hurt if FAULTS.keys() <= outcomes.keys()]


def outcomes(kind: str) -> dict[str, int]:
    """Return how often each class came to such an end."""
    return {name: sum(row[name].kind == kind for row in faults()) for name in FAULTS}


def lines() -> Iterator[str]:
    """Yield the lines of Python that a project has because of each class, rounded: these numbers are no aim."""
    include = PROJECT_TEMPLATE / "include"
    thin = [*include.glob("*xcom_object_storage.py*"), include / "xcom_shared.py"]
    custom = [*include.glob("xcom_backend/**/*.py*"), include / "xcom_shared.py"]
    for files, digits in ((thin, -2), (custom, -3)):
        count = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files if file.is_file())
        yield f"about {round(count, digits):,} lines"
