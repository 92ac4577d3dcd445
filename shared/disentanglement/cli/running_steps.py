"""What runs now behind an aggregator, and how fast: asked of the services every few seconds, beside the watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from disentanglement.cli.study_view import Running
from disentanglement.errors import DisentanglementError

if TYPE_CHECKING:
    from disentanglement.cli.remote_study import Server
    from disentanglement.rpc.client import Client
    from disentanglement.rpc.views import EventView, JobView, ModelView

ASK_EVERY_S = 2.0
LIST_EVERY = 5
"""Every so many questions the models are listed again, for what an event did not tell (a service died)."""

MOST_LISTED = 300
"""Models of a study that is listed more than once."""

UNITS = {"train": "steps/s", "postprocess": "images/s"}


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A step that runs, with what was last heard of it; `rate` in units per second."""

    step: str
    text: str
    done: int = 0
    total: int = 0
    rate: float = 0.0
    changed_at: float | None = None
    """When `done` was seen to change; None before that."""
    state: str = ""

    def after(self, view: JobView, now: float) -> RunningStep:
        """The step after an answer. Steps report in strides, so the rate is that between two changes."""
        found = replace(self, done=view.done, total=view.total, state=str(view.state))
        if view.done == self.done:
            return found
        if self.changed_at is None or view.done < self.done:
            return replace(found, changed_at=now)
        return replace(found, rate=(view.done - self.done) / (now - self.changed_at), changed_at=now)


class RunningSteps:
    """Follows events, and asks in a thread of its own until it is left."""

    def __init__(self, server: Server, study: str) -> None:
        self._server = server
        self._study = study
        self._steps: dict[str, RunningStep] = {}
        self._known: dict[str, RunningStep] = {}
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
                    unknown = RunningStep(event.step, f"model {event.model.rpartition('/')[2]}: {event.step}")
                    self._steps.setdefault(event.step_key, self._known.get(event.step_key, unknown))
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
            asked = 0
            while not self._done.wait(ASK_EVERY_S if asked else 0.0):
                if asked % LIST_EVERY == 0 and len(self._known) <= MOST_LISTED * 10:
                    self._list(client)
                asked += 1
                with self._lock:
                    steps = dict(self._steps)
                for key, step in steps.items():
                    if step.step in UNITS:
                        self._ask(client, key, step)

    def _list(self, client: Client) -> None:
        try:
            models = client.models(self._study)
        except DisentanglementError:
            return  # only for show: the watch says what is wrong
        running = {key: step for model in models for key, state, step in steps_of_view(model) if state == "running"}
        with self._lock:
            self._known = {key: step for model in models for key, _, step in steps_of_view(model)}
            self._steps = {key: self._steps.get(key, step) for key, step in running.items()}

    def _ask(self, client: Client, key: str, step: RunningStep) -> None:
        try:
            view = client.training_job(key) if step.step == "train" else client.representation(key)
        except DisentanglementError:
            return
        with self._lock:
            if key in self._steps:
                self._steps[key] = self._steps[key].after(view, time.monotonic())


def steps_of_view(model: ModelView) -> Iterator[tuple[str, str, RunningStep]]:
    """Step key, state and text of every step of a model."""
    for path, key in model.step_keys.items():
        representation, slash, metric = path.partition("/")
        if path == "train":
            step = RunningStep("train", f"model {model.number}: train")
        elif slash:
            step = RunningStep("evaluate", f"model {model.number}: {metric} ({representation})")
        else:
            step = RunningStep("postprocess", f"model {model.number}: extract ({representation})")
        yield key, model.states[path], step


def _row(step: RunningStep) -> Running:
    if step.state == "queued":
        return Running(step.text, None, "waits for a worker")
    rate = f"{step.rate:,.{0 if step.rate > 10 else 1}f} {UNITS.get(step.step, '')}" if step.rate else ""
    return Running(step.text, step.done / step.total if step.total else None, rate)
