"""What a cluster puts outside of its folder: how it is removed, and whether anything of it is left."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

NAMESPACES = Path("/run/netns")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
CONTAINER_LOGS = Path("/var/log/containers")
MADE_BY_KUBELET = (Path("/var/lib/kubelet/device-plugins"), Path("/var/lib/cni/results"), Path("/var/lib/cni/cache"))
CONTAINERS = "node*/containerd/io.containerd.metadata.v1.bolt/meta.db"
"""Where containerd writes down the network namespaces of its pods."""
DELETE_DEADLINE_S = 30


def remove_leftovers(folder: Path) -> None:
    """Network namespaces of pods, links to logs and folders with fixed names, once all processes have ended."""
    for path in _namespaces_of_pods(folder):
        subprocess.run(
            ["ip", "netns", "delete", path.name], check=False, capture_output=True, timeout=DELETE_DEADLINE_S
        )
    for link in _links_to_logs(folder):
        link.unlink()
    for path in MADE_BY_KUBELET:
        shutil.rmtree(path, ignore_errors=True)
    for path in (CONTAINER_LOGS, Path("/var/lib/kubelet"), Path("/var/lib/cni")):
        with suppress(OSError):
            path.rmdir()


def left_behind(folder: Path, network: str) -> list[str]:
    """What is still there of a cluster that was taken down, as sentences; its folder may be there."""
    return [
        *(f"process {pid} runs: {words}" for pid, words in _processes_of(folder)),
        *(f"{mount} is mounted" for mount in _mounts_below(folder)),
        *(f"the network namespace {path} is there" for path in NAMESPACES.glob(network)),
        *(f"the network namespace {path} is there" for path in _namespaces_of_pods(folder)),
        *(f"the control group {path} is there" for path in CONTROL_GROUPS.glob(f"*/{network}-*")),
        *(f"the control group {path} is there" for path in CONTROL_GROUPS.glob(f"{network}-*")),
        *(f"{link} leads into its folder" for link in _links_to_logs(folder)),
    ]


def _namespaces_of_pods(folder: Path) -> list[Path]:
    texts = (path.read_bytes() for path in folder.glob(CONTAINERS))
    names = {name.decode() for text in texts for name in re.findall(rb"netns/(cni-[0-9a-f-]+)", text)}
    return [NAMESPACES / name for name in sorted(names) if (NAMESPACES / name).exists()]


def _links_to_logs(folder: Path) -> list[Path]:
    links = [path for path in CONTAINER_LOGS.glob("*") if path.is_symlink()]
    return [link for link in links if link.readlink().is_relative_to(folder)]


def _processes_of(folder: Path) -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        pid = int(path.parent.name)
        with suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if f"{folder}/" in words and pid != os.getpid() and not _has_ended(path.parent):
                yield pid, words[:200]


def _has_ended(process: Path) -> bool:
    """Whether nothing but its exit status is left: some kernels tell its command line until somebody asks for that."""
    return (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"


def _mounts_below(folder: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{folder}/")]
