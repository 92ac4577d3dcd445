"""JEMMIG: MIG less what factor and code have beyond each other (Do and Tran, 2020, arXiv:1908.09961).

Shapes: N points, D codes, K factors. Of codes as they are, not of a posterior: as the review of metrics computes it
(arXiv:2012.09276).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes, Factors, Points, check_several_codes, gap_to_second
from disentanglement.metrics.points_metric import points_metric
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.statistics.review_bins import review_table
from disentanglement.specs.modern_metrics import Jemmig

TIE = 1e-9
"""Codes tie that know equally much of a factor up to this share of its entropy: rounding must not choose."""


@dataclass(frozen=True, slots=True)
class JemmigResult:
    """Score of each factor, 0 to 1, and the code that it is of."""

    score_K: NDArray[np.float64]
    code_K: NDArray[np.int64]

    def scores(self) -> dict[str, float]:
        """Higher is better."""
        return {"jemmig": float(self.score_K.mean())}


def jemmig(
    codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 10, continuous_factors: bool = True
) -> JemmigResult:
    """The joint entropy of a factor and its best code, less their gap, between none and the most that bins allow.

    Of codes that know equally much, the one with the smaller joint entropy counts; in the authors' code rounding
    decides. Raises MetricUndefined for a single code, a factor of a single value, and where no code varies (in the
    authors' code dead codes score far better than random ones).
    """
    table = review_table(
        codes_ND, factors_NK, num_bins=num_bins, continuous_factors=continuous_factors, metric="jemmig"
    )
    check_several_codes(codes_ND, "jemmig")
    information_DK, entropy_K = table.information_DK, table.factor_entropy_K
    joint_DK = table.code_entropy_D[:, None] + entropy_K - information_DK
    ties_DK = information_DK >= information_DK.max(axis=0) - TIE * entropy_K
    code_K = np.where(ties_DK, joint_DK, np.inf).argmin(axis=0)
    joint_K = joint_DK[code_K, np.arange(len(code_K))]
    score_K = 1 - (joint_K - gap_to_second(information_DK)) / (entropy_K + np.log(num_bins))
    return JemmigResult(score_K, code_K)


def _compute(spec: Jemmig, points: Points, seed: int, progress: Progress) -> JemmigResult:
    return jemmig(
        points.codes_ND, points.factors_NK, num_bins=spec.num_bins, continuous_factors=spec.continuous_factors
    )


METRIC = points_metric(_compute)
