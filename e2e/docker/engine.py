"""A container engine for the tests: the one that answers, or else one of their own, which leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from tools.background import running, wait_for
from tools.debian import NoProgramError, program

NETWORKS = Path("/sys/class/net")
FILTERS = ("iptables", "ip6tables")
# What a packet filter without a rule is restored from: where nobody used it yet, it saves nothing at all.
CHAINS = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")}
NO_RULES = "".join(
    "\n".join([f"*{table}", *(f":{chain} ACCEPT" for chain in chains), "COMMIT\n"]) for table, chains in CHAINS.items()
)


@dataclass(frozen=True)
class Docker:
    """The client of the engine at an address such as ``unix:///var/run/docker.sock``."""

    client: Path
    host: str

    def __call__(self, *arguments: object) -> str:
        """Run a command of the client and return what it printed.

        :raises RuntimeError: with the end of what it said, if it fails
        """
        done = self._run(*arguments)
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(map(str, arguments))}: {(done.stdout + done.stderr)[-5000:]}")
        return done.stdout.strip()

    def succeeds(self, *arguments: object) -> bool:
        """Whether a command succeeds."""
        return self._run(*arguments).returncode == 0

    def _run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(self.client), "--host", self.host, *map(str, arguments)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def gateway(self) -> str:
        """Return the address at which containers reach this machine."""
        config = "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}"
        *gateway, subnet = self("network", "inspect", "bridge", "--format", config).split()
        return gateway[0] if gateway else str(ip_network(subnet)[1])  # a new engine names none, and takes the first


@contextmanager
def engine() -> Iterator[Docker]:
    """Yield the engine that answers, else start one and end it with all that is in it.

    :raises NoProgramError: if none answers and none can be started here
    """
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    client = program("docker", "docker.io")
    if Docker(client, host).succeeds("version"):
        yield Docker(client, host)
        return
    if os.geteuid() != 0:
        raise NoProgramError(f"no container engine answers at {host}, and only root can start one")
    server = program("dockerd", "docker.io")
    with tempfile.TemporaryDirectory(prefix="engine-") as folder, network_as_before():
        docker = Docker(client, f"unix://{folder}/docker.sock")
        options = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        places = [f"--{option}={folder}/{name}" for option, name in options.items()]
        with running(Path(folder, "engine.log"), os.environ, server, f"--host={docker.host}", *places):
            wait_for(lambda: docker.succeeds("version"), "the container engine", Path(folder))
            yield docker


@contextmanager
def network_as_before() -> Iterator[None]:
    """Take away the bridges and packet filter rules that an engine leaves behind, unless another engine is here."""
    if (NETWORKS / "docker0").exists():
        yield
        return
    others = {path.name for path in NETWORKS.iterdir()}
    rules = {name: subprocess.run([f"{name}-save"], capture_output=True, text=True).stdout for name in FILTERS}
    try:
        yield
    finally:
        bridges = {path.name for pattern in ("docker0", "br-*") for path in NETWORKS.glob(pattern)}
        for bridge in bridges - others:
            subprocess.run([program("ip", "iproute2"), "link", "delete", bridge], check=True)
        for name, before in rules.items():
            subprocess.run([f"{name}-restore"], input=before or NO_RULES, text=True, check=True)
