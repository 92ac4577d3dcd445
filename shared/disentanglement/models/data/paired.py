"""Pairs of images for weakly supervised training, as a function of (seed, stream, iteration). Shapes: B pairs."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import NDArray

from disentanglement.datasets.ground_truth import GroundTruth
from disentanglement.datasets.pairs import check_number_of_changes, sample_pairs
from disentanglement.models.data.images import TrainingData
from disentanglement.models.objectives.protocol import Batch, Pair
from disentanglement.models.streams import BlockStream, Stream, observation_draws
from disentanglement.specs.supervision import PairsSpec


class PairedBatches:
    """Batches of pairs, drawn for many iterations at once."""

    def __init__(
        self,
        data: TrainingData,
        ground_truth: GroundTruth,
        spec: PairsSpec,
        *,
        batch_size: int,
        seed: int,
        evaluation: bool,
    ) -> None:
        """Training and evaluation have streams of their own.

        Raises:
            SpecError: `spec.k` does not fit the number of factors.
        """
        check_number_of_changes(spec.k, len(ground_truth.factor_sizes))
        self._data = data
        stream = Stream.EVALUATION_PAIRS if evaluation else Stream.PAIRS
        draw = partial(draw_pairs, ground_truth, spec.k, batch_size)
        self._pairs = BlockStream(seed, stream, draw, device=data.device)
        self._draws = observation_draws(seed, 2 * batch_size, data.device, evaluation) if data.is_drawn else None

    def at(self, iteration: int) -> Batch:
        """The batch of one iteration, whichever were asked for before; never waits for the device."""
        pairs_3B = self._pairs.at(iteration)
        draws_2B = None if self._draws is None else self._draws.at(iteration)
        first, second = self._data.images(pairs_3B[:2].flatten(), draws_2B).chunk(2)
        return Batch(first, pair=Pair(second, pairs_3B[2]))


def draw_pairs(
    ground_truth: GroundTruth, k: int, batch_size: int, generator: Generator, num_iterations: int
) -> NDArray[np.int64]:
    """Rows of first and of second images, and labels, of so many batches `[num_iterations, 3, B]`."""
    rs = RandomState(generator.bit_generator)  # what data sets draw from
    pairs = sample_pairs(ground_truth, k, num_iterations * batch_size, rs)
    stacked_3N = np.stack([pairs.first_N, pairs.second_N, pairs.changed_N])
    return np.ascontiguousarray(stacked_3N.reshape(3, num_iterations, batch_size).swapaxes(0, 1))
