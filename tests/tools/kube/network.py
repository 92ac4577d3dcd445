"""A network namespace of a test's own, with a bridge: addresses and packet filters live and die with it.

Processes enter it by `nsenter --net`: `ip netns exec` would mount another /sys and hide the control groups.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

DEADLINE_S = 30
BRIDGE = "cni0"


@dataclass(frozen=True)
class Network:
    """A bridge with the addresses of the nodes; pods get theirs from the same range."""

    name: str
    prefix: str = "10.88.0"
    """First three numbers of the range."""

    @property
    def enter(self) -> list[str]:
        """What goes in front of a command that shall run inside."""
        return ["nsenter", f"--net={self.path}"]

    @property
    def path(self) -> Path:
        """The namespace's own file."""
        return Path("/run/netns") / self.name

    @property
    def gateway(self) -> str:
        """Address of the bridge: of the first node and the API server."""
        return self.node_address(0)

    @property
    def range(self) -> str:
        """All addresses."""
        return f"{self.prefix}.0/24"

    def node_address(self, index: int) -> str:
        """Address of the node with this number, from 0."""
        return f"{self.prefix}.{index + 1}"

    def up(self) -> Self:
        """Makes the namespace, its loopback and the bridge."""
        _run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "add", BRIDGE, "type", "bridge")
        self.add_address(0)
        self.run("ip", "link", "set", BRIDGE, "up")
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        # Without a way out kube-proxy finds no address of the host, and replies to service addresses get lost.
        self.run("ip", "route", "add", "default", "dev", BRIDGE)
        return self

    def add_address(self, index: int) -> None:
        """Gives the bridge the address of one more node."""
        self.run("ip", "address", "replace", f"{self.node_address(index)}/24", "dev", BRIDGE)

    def down(self) -> None:
        """Removes the namespace with all that is in it."""
        if self.path.exists():
            subprocess.run(["ip", "netns", "delete", self.name], timeout=DEADLINE_S, check=False)

    def run(self, *command: str) -> None:
        """Runs a command inside."""
        _run(*self.enter, *command)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
