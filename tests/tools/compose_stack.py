"""docker/compose.yaml brought up by an engine of a test's own, and what can be done to its containers."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from container_engine import Engine, EngineError, said
from images import ROOT

FILE = ROOT / "docker" / "compose.yaml"
PROJECT = "disentanglement-test"
SERVICES = ("aggregator", "trainer", "postprocessor", "evaluator")
UP_WITHIN_S, HEALTHY_WITHIN_S, DOWN_WITHIN_S = 300.0, 120.0, 180.0
POLL_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Stack:
    """The running project."""

    engine: Engine
    settings: Mapping[str, str]
    """What docker/.env would say."""
    env_file: Path

    @property
    def token(self) -> str:
        """That callers need."""
        return self.settings["DISENTANGLEMENT_TOKEN"]

    @property
    def s3(self) -> dict[str, str]:
        """The environment of a client of its store, on this machine."""
        return {
            "DISENTANGLEMENT_STORE": "s3://disentanglement",
            "DISENTANGLEMENT_S3_ENDPOINT": "http://127.0.0.1:9000",
            "DISENTANGLEMENT_S3_ACCESS_KEY": self.settings["MINIO_ROOT_USER"],
            "DISENTANGLEMENT_S3_SECRET_KEY": self.settings["MINIO_ROOT_PASSWORD"],
        }

    def compose(self, *arguments: str, timeout_s: float = 120.0) -> str:
        """What a command of compose prints."""
        own = {name: value for name, value in self.engine.environment.items() if name not in self.settings}
        options = ["--file", str(FILE), "--env-file", str(self.env_file), "--project-name", PROJECT, "--profile", "cpu"]
        environment = {**own, "COMPOSE_PROJECT_NAME": PROJECT}
        return said(["docker-compose", *options, *arguments], environment, timeout_s=timeout_s)

    def down(self) -> None:
        """Takes everything down, volumes too."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "30", timeout_s=DOWN_WITHIN_S)

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return self.compose("ps", "--quiet", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of it."""
        found: list[dict[str, Any]] = json.loads(self.engine.run("inspect", self.container(service)))
        return found[0]

    def is_healthy(self, service: str) -> bool:
        """Whether its health check says so."""
        return bool(self.inspect(service)["State"].get("Health", {}).get("Status") == "healthy")

    def kill(self, service: str) -> None:
        """SIGKILL from outside: what the engine itself kills it does not start again."""
        os.kill(int(self.inspect(service)["State"]["Pid"]), signal.SIGKILL)

    @contextmanager
    def cut_off(self, service: str) -> Iterator[None]:
        """Takes a service off the network while the block runs."""
        container = self.container(service)
        self.engine.run("network", "disconnect", f"{PROJECT}_default", container)
        try:
            yield
        finally:
            self.engine.run("network", "connect", "--alias", service, f"{PROJECT}_default", container)


@contextmanager
def brought_up(engine: Engine, folder: Path) -> Iterator[Stack]:
    """Everything up and healthy; taken down with its volumes when the block ends."""
    names = ("DISENTANGLEMENT_TOKEN", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")
    settings = {**{name: secrets.token_hex(12) for name in names}, "TRAINER_WORKERS": "1", "CHECKPOINT_S": "1"}
    env_file = folder / "env"
    env_file.touch(mode=0o600)
    env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    stack = Stack(engine, settings, env_file)
    stack.down()  # what a run that was killed has left
    try:
        stack.compose("up", "--detach", "--no-build", timeout_s=UP_WITHIN_S)
        wait_for("all services are healthy", lambda: all(map(stack.is_healthy, SERVICES)), HEALTHY_WITHIN_S)
        yield stack
    except BaseException:
        (folder / "compose.log").write_text(_logs(stack))
        raise
    finally:
        stack.down()


def wait_for(what: str, is_so: Callable[[], bool], within_s: float) -> float:
    """Waits until something is so; how many seconds it took.

    Raises:
        TimeoutError: it was not so in time.
    """
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > within_s:
            raise TimeoutError(f"waited {within_s:.0f} s in vain until {what}")
        time.sleep(POLL_EVERY_S)
    return time.monotonic() - began


def _logs(stack: Stack) -> str:
    try:
        return stack.compose("logs", "--no-color", "--timestamps") + stack.compose("ps", "--all")
    except EngineError as error:
        return str(error)
