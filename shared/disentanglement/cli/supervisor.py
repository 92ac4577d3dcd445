"""Starts a service that has died again, with growing pauses, as long as the command lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from disentanglement.cli.local_services import SERVICES, LocalServices, Setup, environment

CHECK_EVERY_S = 0.3
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
CALM_AFTER_S = 60.0
"""A service that has lived so long may die again without a long pause."""


@dataclass(frozen=True, slots=True)
class Restart:
    """When a service may be started next, and how long the pause was."""

    at: float
    pause_s: float


def next_restart(last: Restart | None, now: float) -> Restart:
    """The next restart: after twice the pause of the last one, unless that is long ago."""
    if last is None or now - last.at > CALM_AFTER_S:
        return Restart(now + FIRST_PAUSE_S, FIRST_PAUSE_S)
    pause_s = min(2 * last.pause_s, LONGEST_PAUSE_S)
    return Restart(now + pause_s, pause_s)


class Supervisor:
    """A thread that looks after the services until it is left; `note` is told of every restart."""

    def __init__(self, services: LocalServices, setup: Setup, *, note: Callable[[str], None]) -> None:
        self._services = services
        self._setup = setup
        self._note = note
        self._restarts: dict[str, Restart] = {}
        self._waiting: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._done.wait(CHECK_EVERY_S):
            self.look(time.monotonic(), environment())

    def look(self, now: float, env: Mapping[str, str]) -> None:
        """Starts again what is dead and has waited long enough."""
        for service in SERVICES:
            if self._services.pid(service) is not None:
                continue
            if service not in self._waiting:
                self._waiting.add(service)
                self._restarts[service] = next_restart(self._restarts.get(service), now)
                self._note(f"the {service} has died; starting it again (log: {self._services.log_of(service)})")
            elif now >= self._restarts[service].at:
                self._waiting.discard(service)
                self._services.start(service, self._setup, env)
