"""A metric of one's own. Shapes: N points, D codes, K factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray


@dataclass(frozen=True)
class NeighbourAgreement:
    """How often a point and its nearest neighbour in the space of codes have the same value of a factor."""

    num_train: int = 1000
    """Points that the metric is given."""

    def score(
        self, codes_ND: NDArray[np.floating], factors_NK: NDArray[np.int64], random_state: RandomState
    ) -> dict[str, float]:
        """The share over points and factors, 0 to 1, and what it would be if neighbours were drawn at random."""
        norm_N = np.square(codes_ND).sum(axis=1)
        distance_NN = norm_N[:, None] + norm_N - 2 * codes_ND @ codes_ND.T
        np.fill_diagonal(distance_NN, np.inf)
        neighbour_N = distance_NN.argmin(axis=1)
        anybody_N = random_state.permutation(len(codes_ND))
        return {
            "agreement": float((factors_NK == factors_NK[neighbour_N]).mean()),
            "agreement_by_chance": float((factors_NK == factors_NK[anybody_N]).mean()),
        }
