"""The four services as processes of this machine: started, found again, stopped; safe against being killed anywhere.

A directory holds all there is to know: `services.json` (store and ports, written before anything starts), and for each
service a `.pid` that the process writes itself before it becomes the service, an `.address` that it writes once it
serves, and a `.log`. So a command that was killed leaves nothing behind that the next one does not find.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from disentanglement.errors import Interrupted, Unavailable

WORKERS = ("trainer", "postprocessor", "evaluator")
SERVICES = (*WORKERS, "aggregator")
HOST = "127.0.0.1"
WRITE_PID = 'echo $$ > "$0" && exec "$@"'
LOG_TAIL = 2000
POLL_S, BURIAL_S = 0.1, 5.0

Tick = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Setup:
    """What the services are started with; other settings mean other services."""

    store: str
    ports: Mapping[str, int]
    workers: int

    def address(self, service: str) -> str:
        """`host:port`."""
        return f"{HOST}:{self.ports[service]}"

    def environment(self) -> dict[str, str]:
        """What tells the services where the store and the others are, and how much to do at once."""
        addresses = {f"DISENTANGLEMENT_{worker.upper()}": self.address(worker) for worker in WORKERS}
        workers = {f"DISENTANGLEMENT_{worker.upper()}_WORKERS": str(self.workers) for worker in WORKERS}
        return {"DISENTANGLEMENT_STORE": self.store, **addresses, **workers}

    def to_json(self) -> str:
        """As it is kept in `services.json`."""
        return json.dumps({"store": self.store, "ports": dict(self.ports), "workers": self.workers}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Setup | None:
        """The inverse; None for what a killed command or another release left."""
        try:
            plain = json.loads(text)
            ports = {name: int(plain["ports"][name]) for name in SERVICES}
            return cls(str(plain["store"]), ports, int(plain["workers"]))
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(slots=True)
class LocalServices:
    """The services of one directory."""

    directory: Path
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def setup(self) -> Setup | None:
        """What was started last."""
        try:
            return Setup.from_json((self.directory / "services.json").read_text())
        except OSError:
            return None

    def write(self, setup: Setup) -> None:
        """Remember what is about to be started."""
        path = self.directory / "services.json"
        written = path.with_suffix(".new")
        written.write_text(setup.to_json())
        written.replace(path)

    def pid(self, service: str) -> int | None:
        """The process that is this service; None where there is none (any more)."""
        child = self._children.get(service)
        if child is not None and child.poll() is None:
            return child.pid  # it may not have written its pid yet
        try:
            pid = int(self._file(service, "pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if str(self._file(service, "address")) in command_line(pid) else None

    def running(self) -> list[str]:
        """The services that are up, or on their way up or down."""
        return [service for service in SERVICES if self.pid(service) is not None]

    def start(self, service: str, setup: Setup, env: Mapping[str, str]) -> None:
        """Starts one service; it stays when this process ends."""
        self._file(service, "address").unlink(missing_ok=True)
        command = [sys.executable, "-m", f"disentanglement.services.{service}", "serve"]
        command += ["--listen", setup.address(service), "--port-file", str(self._file(service, "address"))]
        with self._file(service, "log").open("ab") as log:
            child = subprocess.Popen(
                ["/bin/sh", "-c", WRITE_PID, str(self._file(service, "pid")), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**env, **setup.environment()},
                start_new_session=True,  # Ctrl-C in the terminal is for the command alone
            )
        self._children[service] = child

    def is_ready(self, service: str, setup: Setup) -> bool:
        """Whether it serves and its health says so."""
        from disentanglement.rpc.health import is_serving

        return self._file(service, "address").exists() and is_serving(setup.address(service))

    def wait(self, setup: Setup, *, timeout_s: float = 60.0, tick: Tick = lambda share: None) -> None:
        """Waits until all four are ready.

        Raises:
            Unavailable: one ended, with the end of its log; or it takes longer than `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        missing = list(SERVICES)
        while missing:
            missing = [service for service in missing if not self.is_ready(service, setup)]
            tick(1 - len(missing) / len(SERVICES))
            self._check(missing, time.monotonic() > deadline)
            if missing:
                time.sleep(POLL_S)

    def stop(self, *, grace_s: float = 30.0) -> list[str]:
        """Asks all to drain (running steps checkpoint), waits, and kills what does not listen; who was stopped."""
        stopped = {service: pid for service in SERVICES if (pid := self.pid(service)) is not None}
        for pid in stopped.values():
            _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while (left := self.running()) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for service in left:
            if (pid := self.pid(service)) is not None:
                _signal_group(pid, signal.SIGKILL)
        for child in self._children.values():  # what has ended is buried, not left to the garbage collector
            with suppress(subprocess.TimeoutExpired):
                child.wait(BURIAL_S)
        for service in SERVICES:
            self._file(service, "pid").unlink(missing_ok=True)
            self._file(service, "address").unlink(missing_ok=True)
        return list(stopped)

    def log_of(self, service: str) -> Path:
        """Where it logs."""
        return self._file(service, "log")

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """One command at a time.

        Raises:
            Interrupted: another one is at it, and we were not to wait.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise Interrupted(f"another command uses {self.directory}; try again when it is done") from None
            yield

    def _check(self, missing: list[str], is_late: bool) -> None:
        for service in missing:
            if self.pid(service) is None or is_late:
                what = "is not ready yet" if self.pid(service) is not None else "ended"
                raise Unavailable(f"the {service} {what}; its log {self.log_of(service)} ends:\n{self._tail(service)}")

    def _tail(self, service: str) -> str:
        try:
            return self.log_of(service).read_text(errors="replace")[-LOG_TAIL:].strip()
        except OSError:
            return "(no log)"

    def _file(self, service: str, kind: str) -> Path:
        return self.directory / f"{service}.{kind}"


def free_ports() -> dict[str, int]:
    """A free loopback port for each service."""
    sockets = [socket.socket() for _ in SERVICES]
    try:
        for opened in sockets:
            opened.bind((HOST, 0))
        return {service: opened.getsockname()[1] for service, opened in zip(SERVICES, sockets, strict=True)}
    finally:
        for opened in sockets:
            opened.close()


def ports_from(first: int) -> dict[str, int]:
    """The aggregator's port, and the three after it."""
    return {service: first + offset for offset, service in enumerate(("aggregator", *WORKERS))}


def command_line(pid: int) -> str:
    """The command line of a living process; empty for one that is gone, or dead and not yet buried."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    found = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()


NOT_FOR_LOCAL_SERVICES = ("DISENTANGLEMENT_TOKEN", "DISENTANGLEMENT_TLS_CA", "DISENTANGLEMENT_INSECURE_CHANNEL")


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """For services of this machine alone: what would open them to others, or wants TLS of them, is left out."""
    env = dict(os.environ if base is None else base)
    return {name: value for name, value in env.items() if name not in NOT_FOR_LOCAL_SERVICES}


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
