"""The labelled sample of semi-supervised training: drawn once, split once, gone through in order.

Shapes: N labelled points, B batch, K labels. Images are rows of the data set, so a labelled image costs no memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from torch import Tensor

from disentanglement.datasets.ground_truth import GroundTruth, Rows
from disentanglement.datasets.labellers import labeller
from disentanglement.models.data.images import TrainingData
from disentanglement.models.objectives.protocol import Batch, Labelled
from disentanglement.models.streams import Streams
from disentanglement.specs.supervision import LabelledDataSpec


def num_training(num_labelled: int, train_percentage: float) -> int:
    """How many labelled points are trained on: rounded up, in the reference's arithmetic."""
    return math.ceil(num_labelled * train_percentage)


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """Rows of images and their labels."""

    rows_N: Rows
    labels_NK: NDArray[np.float32]
    sizes: tuple[int, ...]
    """How many values each label can take."""

    @classmethod
    def draw(cls, ground_truth: GroundTruth, spec: LabelledDataSpec) -> Self:
        """Factors, observations, then labels, from one `RandomState(supervised_data_seed)`, as the reference draws.

        Raises:
            SpecError: the labeller asks for what these factors don't have.
            NotBuiltYet: the labeller is a plugin.
        """
        label, rs = labeller(spec.labeller), RandomState(spec.supervised_data_seed)
        factors_NK = ground_truth.sample_factors(spec.num_labelled_samples, rs)
        rows_N = ground_truth.rows(factors_NK, rs)
        labels = label(factors_NK, ground_truth.factor_sizes, rs)
        return cls(rows_N, np.ascontiguousarray(labels.values_NL), labels.sizes)

    def __len__(self) -> int:
        return len(self.rows_N)

    def split(self, train_percentage: float) -> tuple[Self, Self]:
        """The first `ceil(N * train_percentage)` points, which train, and the rest, which validates: maybe none."""
        num = num_training(len(self), train_percentage)
        return self._part(slice(0, num)), self._part(slice(num, None))

    def _part(self, part: slice) -> Self:
        return type(self)(self.rows_N[part], self.labels_NK[part], self.sizes)


class LabelledBatches:
    """Images drawn uniformly, each beside a labelled one: the sample over and over, in its order.

    An epoch of labels may end inside a batch.
    """

    def __init__(
        self,
        data: TrainingData,
        ground_truth: GroundTruth,
        spec: LabelledDataSpec,
        streams: Streams,
        *,
        batch_size: int,
        evaluation: bool,
    ) -> None:
        """Evaluation sees the labels that validate; where there are none, its batches can't be had.

        Raises:
            SpecError: the labeller asks for what these factors don't have.
            NotBuiltYet: the labeller is a plugin.
        """
        sample = LabelledSample.draw(ground_truth, spec).split(spec.train_percentage)[1 if evaluation else 0]
        self._data, self._streams, self._batch_size = data, streams, batch_size
        self._rows_N = torch.from_numpy(sample.rows_N).to(data.device)
        self._labels_NK = torch.from_numpy(sample.labels_NK).to(data.device)

    def at(self, iteration: int) -> Batch:
        """The batch of one iteration, whichever were asked for before; never waits for the device."""
        points_B = self._points(iteration)
        rows_2B = torch.cat((self._streams.rows(iteration), self._rows_N.index_select(0, points_B)))
        unlabelled, labelled = self._data.images(rows_2B).chunk(2)
        return Batch(unlabelled, Labelled(labelled, self._labels_NK.index_select(0, points_B)))

    def _points(self, iteration: int) -> Tensor:
        start = iteration * self._batch_size
        points_B = torch.arange(start, start + self._batch_size, device=self._data.device)
        return points_B.remainder_(len(self._rows_N))


def num_validation_batches(spec: LabelledDataSpec) -> int:
    """As many as there are labelled points, whatever the batch size; none where all of them are trained on.

    The reference's validation is then an empty data set, and it reports 0 for everything.
    """
    num = spec.num_labelled_samples
    return num if num_training(num, spec.train_percentage) < num else 0
