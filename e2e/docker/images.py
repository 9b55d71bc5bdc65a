"""The images that the Astro CLI wants: the real ones where they can be had, else stand-ins from Debian and PyPI."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import sys
import tempfile
from pathlib import Path

import pytest

from e2e.docker.engine import Docker
from tools.baking import CONFIG, ROOT
from tools.debian import NoProgramError, bootstrap
from tools.environments import LOCKS

HERE = Path(__file__).parent / "stand-in"
KEPT = ROOT / ".tools" / "docker"
POSTGRES = "postgres:12.6"  # what the Astro CLI's compose files name
# The Debian whose Python comes nearest to the Runtime's: 3.14 for Airflow 3, 3.11 for Airflow 2.
SUITES = {"3": "sid", "2": "bookworm"}
# Set where the real images must be had: then nothing is skipped, and nothing stands in.
REAL = bool(os.environ.get("REAL_IMAGES"))
REAL_IMAGE = "the real image"
# What tells pip and uv where packages are on this machine.
SETTINGS = [f"{tool}_{name}INDEX_URL" for tool in ("PIP", "UV") for name in ("", "EXTRA_")]
SETTINGS += ["UV_DEFAULT_INDEX", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"]
PIP_FILES = (os.environ.get("PIP_CONFIG_FILE", ""), "~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/pip.conf")


def provide(docker: Docker, airflow: str, installer: str = "uv") -> str:
    """See to it that the images of a project for this Airflow are in the engine, and say which Runtime that is.

    :param airflow: the answer to the template's question of this name
    :param installer: what a stand-in installs requirements.txt with: ``uv``, or plain ``pip``
    """
    row = CONFIG["_airflow"][airflow]
    runtime = row["runtime"]
    if not is_real(docker, POSTGRES):
        docker("tag", kept(docker, "postgres", SUITES["3"], {}), POSTGRES)
    if is_real(docker, runtime):
        return REAL_IMAGE
    arguments = {"AIRFLOW": row["version"], "RUNTIME": runtime.rpartition(":")[2], "INSTALLER": installer}
    build(docker, runtime, "runtime", {"BASE": airflow_image(docker, airflow), **arguments})
    return f"a stand-in with {installer}"


def airflow_image(docker: Docker, airflow: str) -> str:
    """Return the name of an image of Debian with this Airflow."""
    row = CONFIG["_airflow"][airflow]
    carried = ""
    if row["carries_providers"]:
        carried = " ".join(sorted({line for cloud in CONFIG["_clouds"].values() for line in cloud["requirements"]}))
    arguments = {"AIRFLOW": row["version"], "CARRIED": carried}
    return kept(docker, "airflow", SUITES[airflow], arguments, LOCKS[airflow])


def is_real(docker: Docker, name: str) -> bool:
    """Whether the engine has an image that is no stand-in, or can pull it.

    :raises RuntimeError: if it cannot, where the real images must be had
    """
    present = docker.succeeds("image", "inspect", name)
    if present and not is_stand_in(docker, name):
        return True
    if REAL:
        docker("pull", name)
        return True
    return not present and docker.succeeds("pull", name)


def is_stand_in(docker: Docker, name: str) -> bool:
    """Whether an image of the engine is one of ours, or made from one."""
    return docker("image", "inspect", "--format", '{{index .Config.Labels "stand-in"}}', name) == "true"


def kept(docker: Docker, kind: str, suite: str, arguments: dict[str, str], lock: Path | None = None) -> str:
    """Return the name of an image that takes minutes to build: once it is built, its archive stays on this machine."""
    made_from = [f"{suite} {arguments}".encode(), dockerfile(kind).read_bytes(), lock.read_bytes() if lock else b""]
    name = f"stand-in/{kind}:{hashlib.sha256(b''.join(made_from)).hexdigest()[:12]}"
    archive = KEPT / f"{name.replace('/', '-').replace(':', '-')}.tar"
    if docker.succeeds("image", "inspect", name):
        return name
    if archive.exists():
        docker("load", "--input", archive)
        return name
    debian = f"stand-in/debian:{suite}"
    if not docker.succeeds("image", "inspect", debian):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "debian.tar")
            try:
                bootstrap(suite, root, "ca-certificates")
            except NoProgramError as error:
                pytest.skip(str(error))
            docker("import", "--change", "LABEL stand-in=true", root, debian)
    build(docker, name, kind, {"BASE": debian, **arguments}, lock)
    KEPT.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(f".{os.getpid()}")
    docker("save", "--output", part, name)
    part.replace(archive)
    return name


def build(docker: Docker, name: str, kind: str, arguments: dict[str, str], requirements: Path | None = None) -> None:
    """Build a stand-in on another image.

    :param requirements: what is ``requirements.txt`` in its context
    """
    with tempfile.TemporaryDirectory() as folder:
        context = Path(shutil.copytree(HERE, Path(folder, "context")))
        shutil.copy(Path(sys.executable).parent / "uv", context / "uv")
        if requirements:
            shutil.copy(requirements, context / "requirements.txt")
        copy_settings(context / "machine" / "etc")
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        docker("build", "--tag", name, "--file", context / dockerfile(kind).name, *given, context)


def dockerfile(kind: str) -> Path:
    """Return the file from which a stand-in is built."""
    return HERE / f"{kind}.Dockerfile"


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
