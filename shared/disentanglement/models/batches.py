"""The batches of a training: what an iteration sees, as a function of its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from disentanglement.datasets.ground_truth import GroundTruth
from disentanglement.errors import NotBuiltYet
from disentanglement.models.data import TrainingData
from disentanglement.models.objectives.protocol import Batch
from disentanglement.models.streams import Streams
from disentanglement.specs import TrainSpec


class Batches(Protocol):
    """A stream of batches."""

    def at(self, iteration: int) -> Batch:
        """The batch of one iteration, whichever were asked for before."""
        ...


@dataclass(frozen=True, slots=True)
class ImageBatches:
    """Images alone, drawn uniformly."""

    data: TrainingData
    streams: Streams

    def at(self, iteration: int) -> Batch:
        """Images of the iteration's rows."""
        return Batch(self.data.images(self.streams.rows(iteration)))


def batches_of(
    spec: TrainSpec, data: TrainingData, truth: GroundTruth | None, streams: Streams, *, evaluation: bool
) -> Batches:
    """The batches that a spec's objective learns from, or is evaluated on.

    Raises:
        NotBuiltYet: labels and pairs.
    """
    if spec.labelled is not None:
        raise NotBuiltYet("labelled")
    if spec.pairs is not None:
        raise NotBuiltYet("pairs")
    return ImageBatches(data, streams)


def factor_sizes(spec: TrainSpec, truth: GroundTruth | None) -> tuple[int, ...]:
    """Numbers of values of the labelled factors; none where the objective sees no labels."""
    return ()


def num_evaluation_batches(spec: TrainSpec) -> int:
    """How many batches a trained model is evaluated on."""
    return spec.eval_steps
