"""A docker engine of a test's own: its data, socket and settings lie in folders of ours, and the host stays as it was.

Without a bridge it only builds, with the network of the host: it touches neither interfaces nor packet filters nor
forwarding. With a bridge it has to run in a network namespace of its own, where all of that dies with the namespace.
Needs root and the programs of `PROGRAMS`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from caches import cache

sys.path.append(str(Path(__file__).parents[2] / "tools"))  # a script has no other folder than its own on its path
from images import find_docker

PROGRAMS = ("dockerd", "containerd", "runc", "docker-compose", "iptables", "ip", "nsenter", "debootstrap")
PACKAGES = "docker.io docker-compose debootstrap iptables iproute2"
"""That bring the programs, on Debian."""

STARTED_WITHIN_S, STOPPED_WITHIN_S = 60.0, 60.0
POLL_EVERY_S = 0.1


class EngineError(Exception):
    """The engine is missing, does not start, or a command of its client failed."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine."""

    docker: str
    environment: Mapping[str, str]

    def run(self, *arguments: str, timeout_s: float = 120.0) -> str:
        """What a command of the client prints.

        Raises:
            EngineError: the command failed; with what it said.
        """
        return said([self.docker, *arguments], self.environment, timeout_s=timeout_s)


def what_is_missing() -> str | None:
    """Why no engine can be started here, or None."""
    if os.geteuid() != 0:
        return "a docker engine of its own needs root"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"{', '.join(missing)} missing: apt-get install --no-install-recommends {PACKAGES}"
    return None


def said(command: Sequence[str], environment: Mapping[str, str] | None = None, *, timeout_s: float = 120.0) -> str:
    """What a command prints; EngineError where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout_s)
    if done.returncode:
        raise EngineError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def engine(*, has_bridge: bool) -> Iterator[Engine]:
    """Starts an engine over the images and build caches of former runs; one at a time, others wait."""
    kept = cache("engine")
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="engine-", dir="/tmp") as short:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(short)
        group = f"/{folder.name}"
        with (folder / "log").open("wb") as log:
            command = _command(kept / "data", folder, group, has_bridge=has_bridge)
            # It holds the lock as long as it runs, however this process ends.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock.fileno()]
            )
        try:
            started = Engine(find_docker(os.environ), _environment(folder))
            _wait(process, started, folder / "log")
            yield started
        finally:
            _stop(process)
            _clean(folder, group)


def _command(data: Path, folder: Path, group: str, *, has_bridge: bool) -> list[str]:
    settings = folder / "settings.json"
    settings.write_text(json.dumps({"deprecated-key-path": str(folder / "key.json")}))
    places = {
        "config-file": settings,
        "data-root": data,
        "exec-root": folder / "run",
        "pidfile": folder / "pid",
        "host": f"unix://{folder}/socket",
        "cgroup-parent": group,
    }
    command = ["dockerd", *(f"--{name}={value}" for name, value in places.items())]
    return command if has_bridge else [*command, "--bridge=none", "--iptables=false", "--ip-forward=false"]


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "DOCKER_HOST": f"unix://{folder}/socket", "DOCKER_CONFIG": str(folder / "client")}


def _wait(process: subprocess.Popen[bytes], started: Engine, log: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while True:
        try:
            started.run("version", timeout_s=10.0)
            return
        except EngineError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise EngineError(f"dockerd did not start:\n{log.read_text()[-3000:]}") from error
        time.sleep(POLL_EVERY_S)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _clean(folder: Path, group: str) -> None:
    """What dockerd leaves behind: mounts below its folder, and empty control groups."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", path], check=False)
    groups = Path("/sys/fs/cgroup")
    for controller in (groups, *groups.glob("*/")):  # version 2 has one tree, version 1 one for each controller
        for left in sorted((controller / group[1:]).glob("**/"), reverse=True):
            left.rmdir()
