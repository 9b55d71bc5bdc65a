"""The images that the Astro CLI wants: the real ones where they can be had, else stand-ins from Debian and PyPI."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

from e2e.docker.engine import Docker
from tools.baking import CONFIG, ROOT
from tools.debian import program
from tools.environments import LOCKS

HERE = Path(__file__).parent / "stand-in"
KEPT = ROOT / ".tools" / "docker"
POSTGRES = "postgres:12.6"  # what the Astro CLI's compose files name
# The Debian whose Python comes nearest to the Runtime's: 3.14 for Airflow 3, 3.11 for Airflow 2.
SUITES = {"3": "sid", "2": "bookworm"}
# Set where the real images must be had: then nothing is skipped, and nothing stands in.
REAL = bool(os.environ.get("REAL_IMAGES"))
# What tells pip and uv where packages are on this machine.
SETTINGS = [f"{tool}_{name}INDEX_URL" for tool in ("PIP", "UV") for name in ("", "EXTRA_")]
SETTINGS += ["UV_DEFAULT_INDEX", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"]
PIP_FILES = (os.environ.get("PIP_CONFIG_FILE", ""), "~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/pip.conf")


def provide(docker: Docker, airflow: str) -> str:
    """See to it that the images of a project for this Airflow are in the engine, and return which Runtime that is.

    :param airflow: the answer to the template's question of this name
    """
    row = CONFIG["_airflow"][airflow]
    carried = ""
    if row["carries_providers"]:
        carried = " ".join(sorted({line for cloud in CONFIG["_clouds"].values() for line in cloud["requirements"]}))
    arguments = {
        "AIRFLOW": row["version"],
        "RUNTIME": row["runtime"].rpartition(":")[2],
        "CARRIED": carried,
        "INSTALLER": os.environ.get("INSTALLER", "uv"),  # what installs requirements.txt: uv, or plain pip
    }
    provide_one(docker, POSTGRES, "postgres", SUITES["3"], {})
    return provide_one(docker, row["runtime"], "runtime", SUITES[airflow], arguments)


def provide_one(docker: Docker, name: str, kind: str, suite: str, arguments: dict[str, str]) -> str:
    """Pull an image, or else build or load its stand-in."""
    if not docker.succeeds("image", "inspect", name) and not docker.succeeds("pull", name):
        assert not REAL, docker("pull", name)
        archive = KEPT / f"{kind}-{fingerprint(suite, arguments)}.tar"
        if archive.exists():
            docker("load", "--input", archive)
        else:
            build(docker, name, kind, suite, arguments)
            KEPT.mkdir(parents=True, exist_ok=True)
            docker("save", "--output", archive, name)
    return "a stand-in" if is_stand_in(docker, name) else "the real image"


def is_stand_in(docker: Docker, name: str) -> bool:
    """Whether an image is one of ours, or made from one."""
    return docker("image", "inspect", "--format", '{{index .Config.Labels "stand-in"}}', name) == "true"


def fingerprint(suite: str, arguments: dict[str, str]) -> str:
    """Return a short hash of all that a stand-in is made from."""
    files = [*sorted(path for path in HERE.rglob("*") if path.is_file()), LOCKS["3"], LOCKS["2"]]
    content = b"\0".join(file.read_bytes() for file in files)
    return hashlib.sha256(f"{suite} {arguments}".encode() + content).hexdigest()[:12]


def build(docker: Docker, name: str, kind: str, suite: str, arguments: dict[str, str]) -> None:
    """Build a stand-in on a minimal Debian."""
    base = f"stand-in/{suite}"
    with tempfile.TemporaryDirectory() as folder:
        context = Path(shutil.copytree(HERE, Path(folder, "context")))
        if not docker.succeeds("image", "inspect", base):
            import_debian(docker, suite, Path(folder, "debian.tar"), base)
        shutil.copy(Path(sys.executable).parent / "uv", context / "bin")
        shutil.copy(LOCKS["2" if arguments.get("AIRFLOW", "").startswith("2") else "3"], context / "lock.txt")
        copy_settings(context / "machine" / "etc")
        given = [f"--build-arg={key}={value}" for key, value in {"BASE": base, **arguments}.items()]
        docker("build", "--tag", name, "--file", context / f"{kind}.Dockerfile", *given, context)


def import_debian(docker: Docker, suite: str, archive: Path, name: str) -> None:
    """Make an image of the smallest Debian that can install packages."""
    # A mirror that is kept as it was on some day is as good as any.
    options = ["--quiet", "--variant=minbase", "--include=ca-certificates"]
    options.append('--aptopt=Acquire::Check-Valid-Until "false"')
    subprocess.run([program("mmdebstrap", "mmdebstrap"), *options, suite, archive], check=True, capture_output=True)
    docker("import", "--change", "LABEL stand-in=true", archive, name)


def copy_settings(etc: Path) -> None:
    """Copy what this machine trusts and where it finds packages: company networks have their own."""
    (etc / "ssl" / "certs").mkdir(parents=True)
    trusted = ssl.get_default_verify_paths().cafile
    if trusted:
        shutil.copy(trusted, etc / "ssl" / "certs" / "ca-certificates.crt")
    settings = [f"export {name}='{os.environ[name]}'\n" for name in SETTINGS if name in os.environ]
    (etc / "machine.env").write_text("".join(settings))
    for file in (Path(name).expanduser() for name in PIP_FILES if name):
        if file.is_file():
            shutil.copy(file, etc / "pip.conf")
            return
