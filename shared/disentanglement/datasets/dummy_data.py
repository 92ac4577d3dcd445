"""`dummy_data`: ten factors of five values that have nothing to do with the images, which are noise.

The reference draws fresh noise for every observation. What is trained on and encoded here is a finite pool of such
images; which of them stands for an observation follows from the noise that the reference would draw, so that the
generator stays in step with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.factor_space import Factors
from disentanglement.datasets.ground_truth import GridData, Observations, Rows
from disentanglement.datasets.images import Progress

POOL_SIZE = 512
POOL_SEED = 0
IMAGES_PER_DRAW = 256
"""Noise images drawn at once where only their first pixel is kept; no number depends on it."""
NUM_FACTORS, FACTOR_SIZE = 10, 5
SHAPE = (64, 64, 1)


@dataclass(frozen=True)
class DummyData(GridData):
    """Noise images for smoke tests."""

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        """[N, 10] in a single call, row after row: unlike every other data set, and as in the reference."""
        return rs.randint(FACTOR_SIZE, size=(num, NUM_FACTORS)).astype(np.int64)

    def rows(self, factors_NK: Factors, rs: RandomState) -> Rows:
        """The pool's images [N] for the noise that the reference would draw here."""
        first_pixel_N = np.empty(len(factors_NK))
        for start in range(0, len(factors_NK), IMAGES_PER_DRAW):
            chunk = slice(start, start + IMAGES_PER_DRAW)
            first_pixel_N[chunk] = self.sample_observations_from_factors(factors_NK[chunk], rs)[:, 0, 0, 0]
        return (first_pixel_N * self.card.num_images).astype(np.int64)

    def sample_observations_from_factors(self, factors_NK: Factors, rs: RandomState) -> Observations:
        """Uniform noise, float64 [N, 64, 64, 1]; the factors play no part."""
        return rs.random_sample((len(factors_NK), *SHAPE))


def generate_pool() -> NDArray[np.uint8]:
    """The pool's images, uint8 [512, 64, 64, 1]."""
    return RandomState(POOL_SEED).randint(256, size=(POOL_SIZE, *SHAPE), dtype=np.uint8)  # its stream is frozen


def fill(images_PHWC: NDArray[np.uint8], progress: Progress | None = None) -> None:
    """Fills uint8 [512, 64, 64, 1] with the pool."""
    images_PHWC[:] = generate_pool()
