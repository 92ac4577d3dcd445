"""The labelled sample of semi-supervised training, gone through in order. Shapes: B batch."""

from __future__ import annotations

import torch
from torch import Tensor

from disentanglement.datasets.ground_truth import GroundTruth
from disentanglement.datasets.labelled_sample import LabelledSample, num_training
from disentanglement.models.data.images import TrainingData
from disentanglement.models.objectives.protocol import Batch, Labelled
from disentanglement.models.streams import Streams
from disentanglement.specs.supervision import LabelledDataSpec


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
        unlabelled, labelled = self._data.images(rows_2B, self._draws(iteration)).chunk(2)
        return Batch(unlabelled, Labelled(labelled, self._labels_NK.index_select(0, points_B)))

    def _draws(self, iteration: int) -> Tensor | None:
        """How the unlabelled and then the labelled images are observed."""
        if not self._data.is_drawn:
            return None
        return torch.cat([self._streams.observations(iteration, draw) for draw in (0, 1)])

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
