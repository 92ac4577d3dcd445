"""The batches of a training: what an iteration sees, as a function of its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from disentanglement.datasets.ground_truth import GroundTruth
from disentanglement.datasets.labelled_sample import LabelledSample
from disentanglement.models.data.images import TrainingData
from disentanglement.models.data.labelled import LabelledBatches, num_validation_batches
from disentanglement.models.data.paired import PairedBatches
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
        draws_B = self.streams.observations(iteration) if self.data.is_drawn else None
        return Batch(self.data.images(self.streams.rows(iteration), draws_B))


def batches_of(
    spec: TrainSpec, data: TrainingData, truth: GroundTruth | None, streams: Streams, *, evaluation: bool
) -> Batches:
    """The batches that a spec's objective learns from, or is evaluated on.

    Raises:
        SpecError: labels or pairs that do not fit the factors.
        NotBuiltYet: labels of a plugin.
    """
    if spec.labelled is not None:
        return LabelledBatches(
            data, known(truth), spec.labelled, streams, batch_size=spec.batch_size, evaluation=evaluation
        )
    if spec.pairs is not None:
        return PairedBatches(
            data, known(truth), spec.pairs, batch_size=spec.batch_size, seed=spec.random_seed, evaluation=evaluation
        )
    return ImageBatches(data, streams)


def known(truth: GroundTruth | None) -> GroundTruth:
    """The ground truth. Raises `ValueError` where there is none, as images alone teach nothing about factors."""
    if truth is None:
        raise ValueError("labels and pairs need the ground truth of the data set")
    return truth


def factor_sizes(spec: TrainSpec, truth: GroundTruth | None) -> tuple[int, ...]:
    """Numbers of values of the labels; none where the objective sees no labels."""
    return () if spec.labelled is None else LabelledSample.draw(known(truth), spec.labelled).sizes


def num_evaluation_batches(spec: TrainSpec) -> int:
    """How many batches a trained model is evaluated on."""
    return spec.eval_steps if spec.labelled is None else num_validation_batches(spec.labelled)
