"""Network namespaces for the parts of a cluster, joined by a bridge: as if each worker were a machine of its own.

Where the machine does not let us make any (nobody but root may), each part gets an address of loopback instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tools.debian import NoProgramError, program


@dataclass(frozen=True)
class Place:
    """Where a part of the cluster runs: its IP address, and the start of a command line that runs a program there."""

    name: str
    address: str
    enter: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """The place of the servers, those of the workers, the range of all addresses, and why there is no isolation."""

    servers: Place
    workers: tuple[Place, ...]
    range: str
    not_isolated: str = ""


@contextmanager
def open_network(workers: int, isolate: bool = True) -> Iterator[Network]:
    """Yield a network for the servers and this many workers, and remove it afterwards.

    This process reaches every address, but listens on none of them.

    :param isolate: False for loopback even where namespaces can be made
    """
    why_not = "not asked for" if not isolate else obstacle()
    if why_not:
        names = [f"worker-{number + 1}" for number in range(workers)]
        places = tuple(Place(name, f"127.0.0.{number + 2}") for number, name in enumerate(names))
        yield Network(Place("servers", "127.0.0.1"), places, "127.0.0.0/8", why_not)
        return
    # 198.18.0.0/15 is for tests of networks (RFC 2544): nobody routes it. The process ID keeps two clusters apart.
    name, subnet = f"xcom-{os.getpid()}", f"198.18.{os.getpid() % 250}"
    made = [f"{name}-servers", *(f"{name}-worker-{number + 1}" for number in range(workers))]
    try:
        for number, namespace in enumerate(made):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
            if number == 0:
                ip("-n", namespace, "link", "add", "bridge", "type", "bridge")
                ip("-n", namespace, "link", "set", "bridge", "up")
                ip("-n", namespace, "address", "add", f"{subnet}.2/24", "dev", "bridge")
            else:
                ip("link", "add", "eth", "netns", namespace, "type", "veth", "peer", f"w{number}", "netns", made[0])
                plug_in(made[0], f"w{number}", namespace, f"{subnet}.{10 + number}")
        here = f"xc{os.getpid()}"
        ip("link", "add", here, "type", "veth", "peer", "here", "netns", made[0])
        ip("-n", made[0], "link", "set", "here", "master", "bridge", "up")
        ip("address", "add", f"{subnet}.1/24", "dev", here)
        ip("link", "set", here, "up")
        inside = [
            Place(namespace.removeprefix(f"{name}-"), f"{subnet}.{number + 10 if number else 2}", enter(namespace))
            for number, namespace in enumerate(made)
        ]
        yield Network(inside[0], tuple(inside[1:]), f"{subnet}.0/24")
    finally:
        for namespace in made:  # their interfaces go with them
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)


def plug_in(switch: str, port: str, namespace: str, address: str) -> None:
    """Join the interface `eth` of a namespace to the bridge, and give it its address."""
    ip("-n", switch, "link", "set", port, "master", "bridge", "up")
    ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth")
    ip("-n", namespace, "link", "set", "eth", "up")


def enter(namespace: str) -> tuple[str, ...]:
    """Return the start of a command line that runs a program in a namespace."""
    return ("ip", "netns", "exec", namespace)


def obstacle() -> str:
    """Return why this machine has no namespaces for us, in a few words: empty if it has."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux may make network namespaces"
    probe = f"xcom-{os.getpid()}-probe"
    try:
        program("ip", "iproute2")
        ip("netns", "add", probe)
        try:
            ip("-n", probe, "link", "add", "bridge", "type", "bridge")
            ip("-n", probe, "link", "add", "one", "type", "veth", "peer", "two")
        finally:
            ip("netns", "delete", probe)
    except (NoProgramError, subprocess.CalledProcessError) as error:
        return f"this machine refused: {getattr(error, 'stderr', None) or error}".strip()
    return ""


def ip(*arguments: str) -> None:
    """Run a command of iproute2.

    :raises subprocess.CalledProcessError: if it fails; its stderr says why
    """
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
