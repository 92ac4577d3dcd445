"""MIG-sup: whether each code knows of one factor alone (Li et al., 2020, arXiv:2002.10549).

Shapes: N points, D codes, K factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import (
    Codes,
    Factors,
    Points,
    check_factors_vary,
    check_several_factors,
    check_usable,
    gap_to_second,
)
from disentanglement.metrics.points_metric import points_metric
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.metrics.statistics.information import entropies, mutual_information
from disentanglement.specs.modern_metrics import Migsup


@dataclass(frozen=True, slots=True)
class MigsupResult:
    """How far each code's best factor is ahead of its second, 0 to 1; 0 for a code that never changes."""

    gap_D: NDArray[np.float64]
    constant_D: NDArray[np.bool_]

    def scores(self) -> dict[str, float]:
        """The mean over codes that vary, and how many do not."""
        return {
            "mig_sup": float(self.gap_D[~self.constant_D].mean()),
            "num_constant_codes": float(self.constant_D.sum()),
        }


def migsup(codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 20) -> MigsupResult:
    """Gap between the two factors that each code is most informative about, in units of their entropies.

    Codes are cut into `num_bins` bins of equal width, factors are taken as they are. Raises MetricUndefined for a
    single factor, for a factor of a single value, and where no code varies.
    """
    check_usable(codes_ND, factors_NK)
    check_several_factors(factors_NK, "migsup")
    check_factors_vary(factors_NK, "migsup")
    bins_ND = discretize(codes_ND, num_bins=num_bins)
    information_DK = mutual_information(bins_ND, factors_NK) / entropies(factors_NK)
    constant_D = entropies(bins_ND) == 0
    if constant_D.all():
        raise MetricUndefined(f"migsup needs a code that varies; all {len(constant_D)} codes are constant")
    return MigsupResult(gap_to_second(information_DK.T), constant_D)


def _compute(spec: Migsup, points: Points, seed: int, progress: Progress) -> MigsupResult:
    return migsup(points.codes_ND, points.factors_NK, num_bins=spec.num_bins)


METRIC = points_metric(_compute)
