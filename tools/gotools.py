"""Builds programs written in Go from the Go module proxy: pinned, checked by Go's checksums, kept in .tools/."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from filelock import FileLock

from tools.debian import find, program

TOOLS = Path(__file__).parent.parent / ".tools"
# The Go that compiles. An older one of the machine fetches this one from the module proxy.
GO = "1.26.8"
# Go can switch to another version of itself since this one; Debian 12 has 1.19.
SWITCHES_ITSELF = (1, 21)


class NoToolError(Exception):
    """A Go program cannot be built. Its text says what was asked for, and ends with what Go said."""


def go_tool(module: str, version: str, package: str = "", *, ldflags: str = "") -> Path:
    """Return the path of a program, after building it if ``.tools/`` has none of this version.

    The build takes place in the module as the proxy has it, with its own go.mod and go.sum: also where that has
    ``replace`` lines, which ``go install`` refuses.

    :param module: such as ``github.com/opentofu/opentofu``
    :param version: such as ``v1.10.6``
    :param package: the folder of the program in the module, such as ``cmd/tofu``; empty for the module's own
    :param ldflags: for the linker, such as ``-X main.version=1.10.6``
    :raises NoToolError: if the proxy cannot be reached or the build fails
    :raises tools.debian.NoProgramError: if there is no Go and it cannot be installed
    """
    name = re.sub(r"/v\d+$", "", f"{module}/{package}".rstrip("/")).rpartition("/")[2]
    built = TOOLS / f"{name}-{version}"
    TOOLS.mkdir(exist_ok=True)  # for the lock
    with FileLock(TOOLS / f"{name}-{version}.lock"):
        if not built.exists():
            go = go_command()
            source = module_folder(go, module, version)
            print(f"Building {name} {version} with Go {GO} (minutes, once)", flush=True)
            partial = built.with_suffix(".part")
            linker = ["-ldflags", f"-s -w {ldflags}".strip()]
            run(go, "build", "-trimpath", *linker, "-o", str(partial), f"./{package}", folder=source)
            partial.replace(built)
    return built


def module_folder(go: Path, module: str, version: str) -> Path:
    """Return where Go keeps the source of a module, after downloading it. Nobody may write there.

    :raises NoToolError: if the proxy does not give it
    """
    TOOLS.mkdir(exist_ok=True)  # a folder that is in no module
    return Path(json.loads(run(go, "mod", "download", "-json", f"{module}@{version}", folder=TOOLS))["Dir"])


def go_command() -> Path:
    """Return a ``go`` that compiles with the pinned version: the machine's own, else Debian's.

    :raises tools.debian.NoProgramError: if there is none and it cannot be installed
    """
    go = find("go") or program("go", "golang-go")
    said = subprocess.run([go, "version"], env=environment("local"), capture_output=True, text=True, check=True).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) >= SWITCHES_ITSELF:
        return go
    uname = os.uname()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(uname.machine, uname.machine)
    newer = module_folder(go, "golang.org/toolchain", f"v0.0.1-go{GO}.{uname.sysname.lower()}-{machine}")
    return executable(newer)


def executable(toolchain: Path) -> Path:
    """Return the ``go`` of a downloaded toolchain, after making its programs executable: modules carry no modes."""
    for file in [*toolchain.glob("bin/*"), *toolchain.glob("pkg/tool/*/*")]:
        file.chmod(0o755)
    return toolchain / "bin" / "go"


def run(go: Path, *arguments: str, folder: Path) -> str:
    """Run ``go`` in a folder and return what it printed.

    :raises NoToolError: if it fails
    """
    done = subprocess.run([go, *arguments], cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise NoToolError(f"go {' '.join(arguments)} failed: {said}")
    return done.stdout


def environment(toolchain: str = f"go{GO}") -> dict[str, str]:
    """Return the environment of ``go``: no workspace and no flags of the user's, and the pinned version of Go."""
    settings = {"GOTOOLCHAIN": toolchain, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    kept = {name: value for name, value in os.environ.items() if name != "GOROOT"}  # of another version of Go
    return {**kept, **settings, "CGO_ENABLED": "0"}
