"""What a data set with known factors can do, as the reference's interface names it.

Shapes: N points, K latent factors, H, W, C image. All randomness comes from the `RandomState` that is passed in, in
the reference's order, so a sample here is the sample there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.card import DataCard
from disentanglement.datasets.factor_space import Factors
from disentanglement.datasets.images import StoredImages
from disentanglement.errors import ArtifactNotFound

Rows = NDArray[np.int64]
Observations = NDArray[np.floating]


class GroundTruth(Protocol):
    """A data set with known factors; what only draws factors works without its images."""

    @property
    def card(self) -> DataCard: ...

    @property
    def name(self) -> str: ...

    @property
    def num_points(self) -> int:
        """Stored images; `rows` are below it."""
        ...

    @property
    def images(self) -> StoredImages: ...

    @property
    def factor_names(self) -> tuple[str, ...]: ...

    @property
    def factor_sizes(self) -> tuple[int, ...]: ...

    @property
    def observation_shape(self) -> tuple[int, int, int]: ...

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        """Latent factors [N, K]."""
        ...

    def rows(self, factors_NK: Factors, rs: RandomState) -> Rows:
        """Stored images [N] that show these factors; draws from `rs` what rendering them draws in the reference."""
        ...

    def observations(self, rows_N: Rows) -> Observations:
        """Stored images, float32 [N, H, W, C] in [0, 1]."""
        ...

    def sample_observations_from_factors(self, factors_NK: Factors, rs: RandomState) -> Observations:
        """Observations [N, H, W, C] in [0, 1]."""
        ...

    def sample(self, num: int, rs: RandomState) -> tuple[Factors, Observations]:
        """Factors, then their observations."""
        ...


@dataclass(frozen=True)
class GridData:
    """A data set whose images lie in row-major order of all factors: dSprites, Shapes3D, MPI3D."""

    card: DataCard
    stored_images: StoredImages | None = None

    @property
    def images(self) -> StoredImages:
        """The images.

        Raises:
            ArtifactNotFound: the data set was opened without them.
        """
        if self.stored_images is None:
            raise ArtifactNotFound(f"{self.card.name} was opened without its images")
        return self.stored_images

    @property
    def name(self) -> str:
        """The word by which specs name it."""
        return self.card.name

    @property
    def num_points(self) -> int:
        """Stored images."""
        return self.card.num_images

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of the latent factors."""
        return self.card.factor_space.latent_names

    @property
    def factor_sizes(self) -> tuple[int, ...]:
        """Numbers of values of the latent factors."""
        return self.card.factor_space.latent_sizes

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.card.observation_shape

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        """Uniform latent factors [N, K]."""
        return self.card.factor_space.sample_latent(num, rs)

    def rows(self, factors_NK: Factors, rs: RandomState) -> Rows:
        """Row-major positions; observed-noise factors are drawn from `rs`."""
        space = self.card.factor_space
        return space.row_of(space.complete(factors_NK, rs))

    def observations(self, rows_N: Rows) -> Observations:
        """Stored images, float32 [N, H, W, C] in [0, 1]."""
        return self.images.gather_float32(rows_N)

    def sample_observations_from_factors(self, factors_NK: Factors, rs: RandomState) -> Observations:
        """float32 [N, H, W, C] in [0, 1]."""
        return self.observations(self.rows(factors_NK, rs))

    def sample(self, num: int, rs: RandomState) -> tuple[Factors, Observations]:
        """Factors, then their observations, from one generator."""
        factors_NK = self.sample_factors(num, rs)
        return factors_NK, self.sample_observations_from_factors(factors_NK, rs)
