"""One step, whichever it is: the single way in for worker processes, one-shot runs and notebooks."""

from __future__ import annotations

from disentanglement.specs import EvaluateSpec, PostprocessSpec, TrainSpec
from disentanglement.steps.context import StepContext
from disentanglement.steps.messages import StepResult
from disentanglement.studies.pending import WorkItem


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
