"""Studies behind an aggregator: submitted, watched and read through the client."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from disentanglement.cli.running_steps import RunningSteps
from disentanglement.cli.study_view import Count, StudyState, StudyView
from disentanglement.errors import ArtifactNotFound, SpecError, Unauthenticated

if TYPE_CHECKING:
    import pandas as pd

    from disentanglement.rpc.client import Client
    from disentanglement.rpc.views import StudyView as RemoteView
    from disentanglement.specs import StudySpec

Weights = Mapping[str, float]
EQUAL: Weights = {"train": 1.0, "postprocess": 1.0, "evaluate": 1.0}


@dataclass(frozen=True, slots=True)
class Server:
    """An aggregator, and who asks it."""

    address: str
    token: str | None
    project: str
    tls_ca: str | None = None
    """A PEM file, or `system`; None: without TLS."""

    @contextmanager
    def client(self, *, patience_s: float = 60.0) -> Iterator[Client]:
        """A client, closed afterwards.

        Raises:
            SpecError: the extra `client` is not installed, or a token would be sent to another host in clear.
            Unauthenticated: with how to give a token.
        """
        try:
            from disentanglement.rpc.client import Client
            from disentanglement.rpc.security import authority, is_insecure_allowed
        except ImportError as error:
            wanted = "the extra `client`: pip install 'disentanglement[client]'"
            raise SpecError.of("--server", wanted, f"an installation without {error.name}") from error
        try:
            with Client(
                self.address,
                self.token,
                project=self.project,
                patience_s=patience_s,
                tls_ca=authority(self.tls_ca),
                insecure=is_insecure_allowed(os.environ),
            ) as client:
                yield client
        except Unauthenticated as error:
            given = "another token" if self.token else "a token"
            raise Unauthenticated(f"{error}; give {given} by --token or DISENTANGLEMENT_TOKEN") from error

    def submit(self, study: StudySpec) -> RemoteView:
        """Begins a study, or lets it go on."""
        with self.client() as client:
            return client.submit(study)

    def watch(self, name: str, view: StudyView, *, weights: Weights = EQUAL, patience_s: float = 60.0) -> RemoteView:
        """Shows a study until it is settled; the last view of it."""
        started = time.monotonic()
        with self.client(patience_s=patience_s) as client, RunningSteps(self, name) as running:
            last = client.status(name)
            for last in client.watch(name):
                running.note(last.events)
                for event in last.events:
                    if event.state == "failed":
                        view.note(f"failed: {event.step} of {event.model.rpartition('/')[2]}: {event.message}")
                state = state_of(last, weights, running, time.monotonic() - started)
                view.show(state, important=bool(last.events))
        return last

    def status(self, name: str) -> RemoteView:
        """A study as it stands."""
        with self.client() as client:
            return client.status(name)

    def cancel(self, name: str) -> None:
        """Stops a study for good."""
        with self.client() as client:
            client.cancel(name)

    def retry(self, name: str) -> int:
        """Lets failed steps be tried again; how many there were."""
        with self.client() as client:
            return client.retry(name)

    def rows(self) -> list[dict[str, Any]]:
        """The studies of the project, as a table."""
        with self.client() as client:
            return [
                {
                    "study": view.study,
                    "state": view.state,
                    "done": view.done,
                    "steps": view.total,
                    "plan": view.plan[:12],
                }
                for view in client.studies()
            ]

    def table(self, name: str) -> pd.DataFrame:
        """All scores that are committed by now."""
        import pandas as pd

        data = self.export(name, "parquet")
        return pd.read_parquet(io.BytesIO(data))

    def export(self, name: str, form: str) -> bytes:
        """The scores as one file."""
        with self.client() as client:
            return client.export(name, form)


@dataclass(slots=True)
class Ended:
    """How a study ended, as it is printed."""

    view: RemoteView
    state: StudyState = field(init=False)

    def __post_init__(self) -> None:
        self.state = state_of(self.view, EQUAL, None, 0.0)

    def to_plain(self) -> dict[str, object]:
        """For `--json`."""
        failures = [
            {"step": failed.step, "step_key": failed.step_key, "reason": failed.reason, "message": failed.message}
            for failed in self.view.failures
        ]
        return {"study": self.view.study, "state": self.view.state, **self.state.to_plain(), "failures": failures}


def state_of(view: RemoteView, weights: Weights, running: RunningSteps | None, elapsed_s: float) -> StudyState:
    """What the aggregator says, as it is shown; `weights` are the steps' shares of the work."""
    now = running.rows() if running is not None else ()
    total = sum(weights[step] * counts.total for step, counts in view.steps.items())
    done = sum(weights[step] * (counts.committed + counts.failed) for step, counts in view.steps.items())
    done += running.work(weights) if running is not None else 0.0
    return StudyState(
        counts={step: Count(counts.total, counts.committed, counts.failed) for step, counts in view.steps.items()},
        fraction=min(1.0, done / total) if total else 1.0,
        eta_s=None if view.is_final else view.eta_s,
        elapsed_s=elapsed_s,
        running=now,
    )


def weights_of(study: StudySpec) -> Weights:
    """What one step of each kind takes on average, in relation to the others."""
    from disentanglement.specs import STEPS
    from disentanglement.studies.plan import expand_study, training_specs
    from disentanglement.studies.progress import costs

    specs = training_specs(study).values()
    digests = {spec.dataset.name: "0" * 64 for spec in specs}
    initial = {spec.init_from: f"{spec.cell}.{'a' * 52}" for spec in specs if spec.init_from}
    by_step: dict[str, list[float]] = {step: [] for step in STEPS}
    for item, cost in costs(expand_study(study, digests, initial).models):
        by_step[item.step].append(cost)
    return {step: sum(values) / max(1, len(values)) for step, values in by_step.items()}


def not_there(name: str) -> ArtifactNotFound:
    """A study that only a file can bring back."""
    return ArtifactNotFound(f"the study {name} was cancelled: give its file, so that it can be submitted again")
