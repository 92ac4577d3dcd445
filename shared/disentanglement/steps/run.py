"""One step, whichever it is: the single way in for worker processes, one-shot runs and notebooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from disentanglement.specs import EvaluateSpec, PostprocessSpec, TrainSpec
from disentanglement.steps.messages import StepResult
from disentanglement.steps.progress import Report, ShouldStop, never, silent
from disentanglement.storage.settings import cache_directory, open_store
from disentanglement.storage.store import Store
from disentanglement.studies.pending import WorkItem

DEVICE_VARIABLE = "DISENTANGLEMENT_DEVICE"


@dataclass(frozen=True)
class StepContext:
    """Where things are and who listens; no number depends on it."""

    store: Store
    cache: Path
    device: str = "cpu"
    report: Report = silent
    should_stop: ShouldStop = never
    recompute: bool = False
    """Compute the step again although it is committed, and compare the contents."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """From DISENTANGLEMENT_STORE, DISENTANGLEMENT_CACHE and DISENTANGLEMENT_DEVICE."""
        return cls(open_store(env=env), cache_directory(env), env.get(DEVICE_VARIABLE, "cpu"))

    def replace(self, **changes: Any) -> Self:
        """The same context with some members changed."""
        return dataclasses.replace(self, **changes)


def run_step(item: WorkItem, context: StepContext) -> StepResult:
    """Runs a step unless it is committed, and commits it.

    Raises:
        StepNotCommitted: an input is missing.
        Interrupted: it was asked to stop; a checkpoint is in place.
        DisentanglementError: whatever else the step raises.
    """
    match item.spec:
        case TrainSpec():
            from disentanglement.steps.train import train  # needs torch

            return train(item.spec, context)
        case PostprocessSpec():
            from disentanglement.steps.postprocess import postprocess  # needs torch where codes are extracted

            return postprocess(item.spec, item.upstream[0], context)
        case EvaluateSpec():
            from disentanglement.steps.evaluate import evaluate

            return evaluate(item.spec, item.upstream[0], context)
