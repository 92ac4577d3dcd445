"""MIG-RMIG, MIG-sup and modularity as the review of metrics computes them (Carbonneau et al., 2022, arXiv:2012.09276).

Shapes: N points, D codes, K factors. The first two divide by the entropy of the binned code, where MIG and MIG-sup as
published divide by the factor's: codes finer than the factor score lower here. Constant codes have no such quotient
(NaN in the authors' code): they know nothing in MIG-RMIG, and are left out of the means over codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import (
    Codes,
    Factors,
    Points,
    check_several_codes,
    check_several_factors,
    gap_to_second,
)
from disentanglement.metrics.points_metric import points_metric
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.statistics.review_bins import ReviewTable, review_table
from disentanglement.specs.modern_metrics import MigsupUbisoft, MigUbisoft, ModularityUbisoft


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """A mean over factors, or over the codes that vary; how many codes do not."""

    key: str
    terms: NDArray[np.float64]
    num_constant_codes: int

    def scores(self) -> dict[str, float]:
        """Under `key`."""
        return {self.key: float(self.terms.mean()), "num_constant_codes": float(self.num_constant_codes)}


def mig_ubisoft(
    codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 10, continuous_factors: bool = True
) -> ReviewResult:
    """MIG-RMIG: the gap of each factor between its two best codes, in units of the codes' entropies.

    Raises MetricUndefined for a single code, a factor of a single value, and where no code varies.
    """
    table = review_table(
        codes_ND, factors_NK, num_bins=num_bins, continuous_factors=continuous_factors, metric="mig_ubisoft"
    )
    check_several_codes(codes_ND, "mig_ubisoft")
    return _result("mig_rmig", gap_to_second(_in_code_entropies(table)), table)


def migsup_ubisoft(
    codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 10, continuous_factors: bool = True
) -> ReviewResult:
    """The gap of each code between its two best factors, in units of the code's entropy.

    Raises MetricUndefined for a single factor, a factor of a single value, and where no code varies.
    """
    table = review_table(
        codes_ND, factors_NK, num_bins=num_bins, continuous_factors=continuous_factors, metric="migsup_ubisoft"
    )
    check_several_factors(factors_NK, "migsup_ubisoft")
    return _result("mig_sup", gap_to_second(_in_code_entropies(table)[table.varies_D].T), table)


def modularity_ubisoft(
    codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 10, continuous_factors: bool = True
) -> ReviewResult:
    """How little each code knows of factors other than its best: squared information, relative to the best.

    A code that varies and knows nothing of any factor counts 0. Raises MetricUndefined for a single factor, a factor
    of a single value, and where no code varies.
    """
    table = review_table(
        codes_ND, factors_NK, num_bins=num_bins, continuous_factors=continuous_factors, metric="modularity_ubisoft"
    )
    check_several_factors(factors_NK, "modularity_ubisoft")
    squared_DK = table.information_DK[table.varies_D] ** 2
    best_D = squared_DK.max(axis=1)
    others_D = squared_DK.sum(axis=1) - best_D
    spread_D = others_D / np.where(best_D > 0, best_D, 1.0) / (squared_DK.shape[1] - 1)
    return _result("modularity_score", np.where(best_D > 0, 1 - spread_D, 0.0), table)


def _in_code_entropies(table: ReviewTable) -> NDArray[np.float64]:
    """What codes know [D, K] in units of their entropy; nothing where that is 0."""
    entropy_D = np.where(table.varies_D, table.code_entropy_D, 1.0)
    known_DK: NDArray[np.float64] = table.information_DK / entropy_D[:, None]
    return known_DK


def _result(key: str, terms: NDArray[np.float64], table: ReviewTable) -> ReviewResult:
    return ReviewResult(key, terms, int((~table.varies_D).sum()))


def _mig(spec: MigUbisoft, points: Points, seed: int, progress: Progress) -> ReviewResult:
    return mig_ubisoft(
        points.codes_ND, points.factors_NK, num_bins=spec.num_bins, continuous_factors=spec.continuous_factors
    )


def _migsup(spec: MigsupUbisoft, points: Points, seed: int, progress: Progress) -> ReviewResult:
    return migsup_ubisoft(
        points.codes_ND, points.factors_NK, num_bins=spec.num_bins, continuous_factors=spec.continuous_factors
    )


def _modularity(spec: ModularityUbisoft, points: Points, seed: int, progress: Progress) -> ReviewResult:
    return modularity_ubisoft(
        points.codes_ND, points.factors_NK, num_bins=spec.num_bins, continuous_factors=spec.continuous_factors
    )


MIG = points_metric(_mig)
MIGSUP = points_metric(_migsup)
MODULARITY = points_metric(_modularity)
