"""dSprites with colour or noise that is drawn anew for every observation.

What is stored are the sprites. `rows` leaves the generator where the reference's drawing of pixels would leave it, so
that the factors that follow are the reference's; the pixels that models see are drawn on their device
(`models/data/observations.py`), as functions of a number for each observation.

Shapes: N points, K latent factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState

from disentanglement.datasets import dsprites
from disentanglement.datasets.card import Factor
from disentanglement.datasets.factor_space import Factors
from disentanglement.datasets.ground_truth import GridData, Observations, Rows

COLOURED = (dsprites.HEIGHT, dsprites.WIDTH, 3)
DARKEST_TINT = 0.5
IMAGES_PER_DRAW = 256
"""Noise images drawn at once where none is kept; no number depends on it."""
GREYS = (0.0, 0.25, 0.5, 0.75, 1.0)
HUSL = (
    (0.9096231780824386, 0.5883403686424795, 0.3657680693481871),
    (0.6350181801577739, 0.6927729880940552, 0.3626904230371999),
    (0.3764832455369271, 0.7283900430001952, 0.5963114605342514),
    (0.39548987063404156, 0.7073922557810771, 0.7874577552076919),
    (0.6963644829189117, 0.6220697032672371, 0.899716387820763),
    (0.90815966835861, 0.5511103319168646, 0.7494337214212151),
)
"""Six colours of equal lightness: seaborn's `husl_palette(6, h=0.1, s=0.7, l=0.7)`."""


def abstract_factors() -> tuple[Factor, ...]:
    """Colours of background and object before those of the sprites; the orientation is observed noise."""
    shape, scale, orientation, x, y = dsprites.factors(latent=(1, 2, 4, 5))[1:]
    colours = (Factor(name="background_color", size=len(GREYS)), Factor(name="object_color", size=len(HUSL)))
    return (*colours, shape, scale, orientation, x, y)


@dataclass(frozen=True)
class Sprites(GridData):
    """The sprites of dSprites, observed with something of one's own."""

    def sprites(self, factors_NK: Factors, rs: RandomState) -> Observations:
        """float32 [N, 64, 64, 1] of 0 and 1."""
        return self.images.gather_float32(GridData.rows(self, factors_NK, rs))


@dataclass(frozen=True)
class ColorDsprites(Sprites):
    """Each sprite in a random colour, on black."""

    def rows(self, factors_NK: Factors, rs: RandomState) -> Rows:
        """Rows [N] of sprites; the colours are drawn and forgotten."""
        rows_N = super().rows(factors_NK, rs)
        rs.random_sample((len(factors_NK), 3))
        return rows_N

    def sample_observations_from_factors(self, factors_NK: Factors, rs: RandomState) -> Observations:
        """float64 [N, 64, 64, 3], as the reference draws them."""
        sprites = self.sprites(factors_NK, rs)
        return np.asarray(sprites * rs.uniform(DARKEST_TINT, 1, (len(factors_NK), 1, 1, 3)))


@dataclass(frozen=True)
class NoisyDsprites(Sprites):
    """White sprites on noise of all colours."""

    def rows(self, factors_NK: Factors, rs: RandomState) -> Rows:
        """Rows [N] of sprites; the noise is drawn and forgotten."""
        rows_N = super().rows(factors_NK, rs)
        for start in range(0, len(factors_NK), IMAGES_PER_DRAW):
            rs.random_sample((min(IMAGES_PER_DRAW, len(factors_NK) - start), *COLOURED))
        return rows_N

    def sample_observations_from_factors(self, factors_NK: Factors, rs: RandomState) -> Observations:
        """float64 [N, 64, 64, 3], as the reference draws them."""
        sprites = self.sprites(factors_NK, rs)
        return np.minimum(sprites + rs.random_sample((len(factors_NK), *COLOURED)), 1.0)


@dataclass(frozen=True)
class AbstractDsprites(Sprites):
    """Sprites of six colours on five greys, at an orientation that is drawn.

    A point is a combination of the latent factors alone: with the orientations there would be 22 million.
    """

    @property
    def num_points(self) -> int:
        """Combinations of the latent factors."""
        return int(np.prod(self.factor_sizes))

    @property
    def sprite_sizes(self) -> tuple[int, ...]:
        """Of shape, scale, orientation and both positions, in whose order the sprites are stored."""
        return self.card.factor_space.sizes[2:]

    def rows(self, factors_NK: Factors, rs: RandomState) -> Rows:
        """Row-major positions [N] among the latent factors; the orientations are drawn and forgotten."""
        self.card.factor_space.complete(factors_NK, rs)
        return np.asarray(np.ravel_multi_index(tuple(factors_NK.T), self.factor_sizes), dtype=np.int64)

    def sample_observations_from_factors(self, factors_NK: Factors, rs: RandomState) -> Observations:
        """float64 [N, 64, 64, 3], as the reference draws them."""
        all_NA = self.card.factor_space.complete(factors_NK, rs)
        sprites = self.images.gather_float32(np.ravel_multi_index(tuple(all_NA[:, 2:].T), self.sprite_sizes))
        greys, colours = np.array(GREYS)[all_NA[:, 0], None, None, None], np.array(HUSL)[all_NA[:, 1], None, None]
        return np.asarray(sprites * colours + (1 - sprites) * greys)
