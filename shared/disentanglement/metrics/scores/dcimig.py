"""DCIMIG: gaps of codes, the best one for each factor (Sepliarskaia et al., 2019, arXiv:1910.05587).

Shapes: N points, D codes, K factors. As the review of metrics computes it (arXiv:2012.09276).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes, Factors, Points, check_several_factors, gap_to_second
from disentanglement.metrics.points_metric import points_metric
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.statistics.review_bins import review_table
from disentanglement.specs.modern_metrics import Dcimig


@dataclass(frozen=True, slots=True)
class DcimigResult:
    """The largest gap of the codes that belong to each factor (0 where none does), and its entropy, in nats."""

    gap_K: NDArray[np.float64]
    entropy_K: NDArray[np.float64]

    def scores(self) -> dict[str, float]:
        """0 to 1."""
        return {"dcimig": float(self.gap_K.sum() / self.entropy_K.sum())}


def dcimig(
    codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 10, continuous_factors: bool = True
) -> DcimigResult:
    """A code belongs to the factor that it knows most of; its gap is how much less it knows of the second.

    Raises MetricUndefined for a single factor, a factor of a single value, and where no code varies.
    """
    table = review_table(
        codes_ND, factors_NK, num_bins=num_bins, continuous_factors=continuous_factors, metric="dcimig"
    )
    check_several_factors(factors_NK, "dcimig")
    gap_K = np.zeros(factors_NK.shape[1])
    np.maximum.at(gap_K, table.information_DK.argmax(axis=1), gap_to_second(table.information_DK.T))
    return DcimigResult(gap_K, table.factor_entropy_K)


def _compute(spec: Dcimig, points: Points, seed: int, progress: Progress) -> DcimigResult:
    return dcimig(
        points.codes_ND, points.factors_NK, num_bins=spec.num_bins, continuous_factors=spec.continuous_factors
    )


METRIC = points_metric(_compute)
