"""What the authors of InfoMEC log in training: ratios and gaps of information (arXiv:2305.18378).

Shapes: N points, D codes, A active codes, K factors. Neither active codes nor neighbours are those of the final
scores: a code is active where its range is above an eighth of the largest, and neighbours are 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes, Factors, Points, check_factors_vary, check_usable, gap_to_second
from disentanglement.metrics.points_metric import points_metric
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.scores.infomec import active_by_range, check_informative, ratio_to_sum, standardised
from disentanglement.metrics.scores.infomec_explicitness import linear_explicitness
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.metrics.statistics.information import entropies, mutual_information
from disentanglement.metrics.statistics.nearest_neighbours import information_by_neighbours
from disentanglement.specs.modern_metrics import InfoeRegression, InfomecTrainingBins, InfomecTrainingKnn3

NUM_NEIGHBORS = 3
DIVISOR = 8


@dataclass(frozen=True, slots=True)
class InfomecTrainingResult:
    """What each code knows of each factor, in units of the factor's entropy."""

    information_DK: NDArray[np.float64]
    active_D: NDArray[np.bool_]

    def scores(self) -> dict[str, float]:
        """Under the authors' keys. NaN where a score compares and there is one factor, one code or no active second.

        Codes that know nothing have no ratio and are left out of the mean; the gap of a factor counts all codes.
        """
        active_AK = self.information_DK[self.active_D]
        return {
            "modularity_ratio": ratio_to_sum(active_AK[active_AK.any(axis=1)]),
            "modularity_gap": _gap(active_AK.T),
            "compactness_ratio": ratio_to_sum(active_AK.T),
            "compactness_gap": _gap(self.information_DK),
            "num_active_codes": float(self.active_D.sum()),
        }


def _gap(information_RC: NDArray[np.float64]) -> float:
    return float(gap_to_second(information_RC).mean()) if len(information_RC) > 1 else float("nan")


@dataclass(frozen=True, slots=True)
class InfoeRegressionResult:
    """How much of each factor's variance a linear regression explains, on its own points."""

    explicitness_K: NDArray[np.float64]

    def scores(self) -> dict[str, float]:
        """Under the authors' key."""
        return {"explicitness_regression": float(self.explicitness_K.mean())}


def infomec_training_knn3(
    codes_ND: Codes, factors_NK: Factors, *, random_state: RandomState, progress: Progress = silent
) -> InfomecTrainingResult:
    """By 3 nearest neighbours, in double precision (the authors average in single).

    Raises MetricUndefined where no code is active, and for a factor of a single value.
    """
    active_D = _active(codes_ND, factors_NK)
    information_DK = information_by_neighbours(
        standardised(codes_ND),
        factors_NK,
        num_neighbors=NUM_NEIGHBORS,
        random_state=random_state,
        progress=progress,
    )
    return InfomecTrainingResult(information_DK / entropies(factors_NK), active_D)


def infomec_training_bins(codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 20) -> InfomecTrainingResult:
    """Of codes cut into bins of equal width. Raises MetricUndefined as `infomec_training_knn3` does."""
    active_D = _active(codes_ND, factors_NK)
    information_DK = mutual_information(discretize(codes_ND, num_bins=num_bins), factors_NK)
    return InfomecTrainingResult(information_DK / entropies(factors_NK), active_D)


def infoe_regression(codes_ND: Codes, factors_NK: Factors) -> InfoeRegressionResult:
    """Linear regression from all codes. Raises MetricUndefined for a factor of a single value."""
    check_usable(codes_ND, factors_NK)
    check_factors_vary(factors_NK, "infoe_regression")
    return InfoeRegressionResult(linear_explicitness(standardised(codes_ND), factors_NK))


def _active(codes_ND: Codes, factors_NK: Factors) -> NDArray[np.bool_]:
    check_usable(codes_ND, factors_NK)
    active_D = active_by_range(codes_ND, DIVISOR)
    check_informative(factors_NK, active_D)
    return active_D


def _score_knn3(spec: InfomecTrainingKnn3, points: Points, seed: int, progress: Progress) -> InfomecTrainingResult:
    return infomec_training_knn3(points.codes_ND, points.factors_NK, random_state=RandomState(seed), progress=progress)


def _score_bins(spec: InfomecTrainingBins, points: Points, seed: int, progress: Progress) -> InfomecTrainingResult:
    return infomec_training_bins(points.codes_ND, points.factors_NK, num_bins=spec.num_bins)


def _score_regression(spec: InfoeRegression, points: Points, seed: int, progress: Progress) -> InfoeRegressionResult:
    return infoe_regression(points.codes_ND, points.factors_NK)


KNN3 = points_metric(_score_knn3)
BINS = points_metric(_score_bins)
REGRESSION = points_metric(_score_regression)
