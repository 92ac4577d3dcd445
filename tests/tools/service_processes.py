"""Services as processes on loopback ports that the kernel chooses, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

START_S = 60.0
STOP_S = 30.0
WORKERS = ("trainer", "postprocessor", "evaluator")


@dataclass
class ServiceProcess:
    """One running service."""

    name: str
    process: subprocess.Popen[bytes]
    addresses: dict[str, str]
    log: Path
    port_file: Path

    @property
    def address(self) -> str:
        """`host:port`."""
        return self.addresses["listening"]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits; the exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(STOP_S)


def start(name: str, folder: Path, env: Mapping[str, str], options: Sequence[str] = ()) -> ServiceProcess:
    """Starts a service and waits until it listens."""
    return listening(spawn(name, folder, env, options))


def spawn(name: str, folder: Path, env: Mapping[str, str], options: Sequence[str] = ()) -> ServiceProcess:
    """Starts a service."""
    port_file, log = folder / f"{name}.port", folder / f"{name}.log"
    port_file.unlink(missing_ok=True)
    listen = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    command = [sys.executable, "-m", f"disentanglement.services.{name}", "serve", *listen, *options]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*command, "--port-file", str(port_file)],
            stdout=subprocess.DEVNULL,
            stderr=stream,
            env={**os.environ, **env},
        )
    return ServiceProcess(name, process, {}, log, port_file)


def listening(service: ServiceProcess) -> ServiceProcess:
    """The service once it listens."""
    deadline = time.monotonic() + START_S
    while not service.port_file.exists():
        if service.process.poll() is not None or time.monotonic() > deadline:
            service.process.kill()
            service.process.wait()
            raise AssertionError(f"{service.name} did not start:\n{service.log.read_text()}")
        with suppress(subprocess.TimeoutExpired):
            service.process.wait(0.05)
    service.addresses = json.loads(service.port_file.read_text())
    return service


@dataclass
class Stack:
    """The four services over one store; the aggregator's address reaches them all."""

    services: dict[str, ServiceProcess]
    store: Path
    env: dict[str, str]

    @property
    def address(self) -> str:
        """The aggregator's."""
        return self.services["aggregator"].address

    def stop(self) -> None:
        """Ends all of them."""
        for service in self.services.values():
            service.process.terminate()
        for service in self.services.values():
            try:
                service.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()


def start_stack(folder: Path, more: Mapping[str, str] | None = None) -> Stack:
    """Starts the four services, one worker each, over a store in `folder` unless `more` settings name another."""
    store = folder / "store"
    env = {
        "DISENTANGLEMENT_STORE": str(store),
        "DISENTANGLEMENT_CACHE": str(folder / "cache"),
        **{f"DISENTANGLEMENT_{name.upper()}_WORKERS": "1" for name in WORKERS},
        **(more or {}),
    }
    started = {name: spawn(name, folder, env) for name in WORKERS}
    services = {name: listening(service) for name, service in started.items()}
    env |= {f"DISENTANGLEMENT_{name.upper()}": service.address for name, service in services.items()}
    services["aggregator"] = start("aggregator", folder, env)
    return Stack(services, store, env)


def listing(store: Path) -> dict[str, int]:
    """Every file below a store with its size."""
    return {str(path.relative_to(store)): path.stat().st_size for path in store.rglob("*") if path.is_file()}
