"""What a container engine changes on a host: interfaces, packet filters, forwarding."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")


def host_state() -> dict[str, str]:
    """All of it as text; equal before and after a test that cleans up."""
    state = {path: Path(path).read_text() for path in FORWARDING if Path(path).exists()}
    for program in ("iptables-save", "ip6tables-save"):
        if shutil.which(program):
            said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
            state[program] = "\n".join(line.partition(" [")[0] for line in said.splitlines() if line[:1] != "#")
    links = sorted(path.name for path in Path("/sys/class/net").iterdir())
    state["interfaces"] = " ".join(links)
    state["engines"] = " ".join(line.split()[1] for line in _mounts() if "/engine-" in line)
    return state


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is not as it was, as sentences."""
    return [
        f"{name} was {before.get(name, '')!r} and is {after.get(name, '')!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name, "").strip() != after.get(name, "").strip()
    ]


def _mounts() -> list[str]:
    return Path("/proc/mounts").read_text().splitlines()
