"""What runs now behind an aggregator, and how fast: asked of the services every few seconds, beside the watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from disentanglement.cli.study_view import Running
from disentanglement.errors import DisentanglementError

if TYPE_CHECKING:
    from disentanglement.cli.remote_study import Server
    from disentanglement.rpc.client import Client
    from disentanglement.rpc.views import EventView, JobView

ASK_EVERY_S = 2.0
UNITS = {"train": "steps/s", "postprocess": "images/s"}


@dataclass(frozen=True, slots=True)
class _Step:
    step: str
    text: str
    done: int = 0
    total: int = 0
    rate: float = 0.0
    asked_at: float = 0.0

    def after(self, view: JobView, now: float) -> _Step:
        """The step after an answer; the rate is that between two answers."""
        rate = (view.done - self.done) / (now - self.asked_at) if self.asked_at and view.done > self.done else self.rate
        return replace(self, done=view.done, total=view.total, rate=rate, asked_at=now)


class RunningSteps:
    """Follows events, and asks in a thread of its own until it is left."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._steps: dict[str, _Step] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="running-steps", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(timeout=ASK_EVERY_S)

    def note(self, events: Iterable[EventView]) -> None:
        """Steps began or ended."""
        with self._lock:
            for event in events:
                if event.state == "running":
                    number = event.model.rpartition("/")[2]
                    self._steps.setdefault(event.step_key, _Step(event.step, f"model {number}: {event.step}"))
                else:
                    self._steps.pop(event.step_key, None)

    def rows(self) -> tuple[Running, ...]:
        """As it is shown."""
        with self._lock:
            return tuple(_row(step) for step in self._steps.values())

    def work(self, weights: Mapping[str, float]) -> float:
        """The work that is done of what runs."""
        with self._lock:
            return sum(weights[step.step] * step.done / step.total for step in self._steps.values() if step.total)

    def _work(self) -> None:
        with self._server.client() as client:
            while not self._done.wait(ASK_EVERY_S):
                with self._lock:
                    steps = dict(self._steps)
                for key, step in steps.items():
                    if step.step in UNITS:
                        self._ask(client, key, step)

    def _ask(self, client: Client, key: str, step: _Step) -> None:
        try:
            view = client.training_job(key) if step.step == "train" else client.representation(key)
        except DisentanglementError:
            return  # only for show: the watch says what is wrong
        with self._lock:
            if key in self._steps:
                self._steps[key] = self._steps[key].after(view, time.monotonic())


def _row(step: _Step) -> Running:
    rate = f"{step.rate:,.0f} {UNITS.get(step.step, '')}" if step.rate else ""
    return Running(step.text, step.done / step.total if step.total else None, rate)
