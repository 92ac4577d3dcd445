"""InfoM, InfoE and InfoC (Hsu et al., 2023, arXiv:2305.18378). Shapes: N points, D codes, A active codes, K factors.

Where codes are continuous, information is estimated by 10 nearest neighbours. Two warnings stand beside the scores:
the estimate takes repeated values for full information (`num_repeating_codes`: use infomec_binned), and is cut at 0, so
that codes that know nothing score well above 0 on InfoM and InfoC: read them with InfoE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors, Points, check_factors_vary, check_usable
from disentanglement.metrics.points_metric import points_metric
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.scores.infomec_explicitness import explicitness, one_hot
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.metrics.statistics.information import entropies, mutual_information
from disentanglement.metrics.statistics.nearest_neighbours import information_by_neighbours
from disentanglement.specs.modern_metrics import (
    InfomecBinned,
    InfomecContinuous,
    InfomecContinuousIqr,
    InfomecDiscrete,
)

NUM_NEIGHBORS = 10
MAX_VALUES = 1000
"""Values of a code that is taken as classes. More are no classes, and their one-hot inputs would fill the memory."""


@dataclass(frozen=True, slots=True)
class InfomecResult:
    """What each code knows of each factor, in units of the factor's entropy (estimates may exceed 1 a little)."""

    information_DK: NDArray[np.float64]
    active_D: NDArray[np.bool_]
    explicitness_K: NDArray[np.float64]
    repeating_D: NDArray[np.bool_] | None = None
    """Active codes with fewer different values than a tenth of the points, where that matters."""

    def scores(self) -> dict[str, float]:
        """Under the authors' keys. NaN where there is one factor (infom) or one active code (infoc)."""
        active_AK = self.information_DK[self.active_D]
        scores = {
            "infom": ratio_to_sum(active_AK),
            "infoe": float(self.explicitness_K.mean()),
            "infoc": ratio_to_sum(active_AK.T),
            "num_active_codes": float(self.active_D.sum()),
        }
        return scores if self.repeating_D is None else {**scores, "num_repeating_codes": float(self.repeating_D.sum())}


def ratio_to_sum(information_RC: NDArray[np.float64]) -> float:
    """Mean over rows of the largest share of a row, from 0 for equal shares to 1 for a single one.

    NaN for a single column, and where a row is all zero, as in the authors' code: there are no shares.
    """
    num_columns = information_RC.shape[1]
    if num_columns < 2 or not information_RC.any(axis=1).all():
        return float("nan")
    share_R = information_RC.max(axis=1) / information_RC.sum(axis=1)
    return float((share_R.mean() - 1 / num_columns) / (1 - 1 / num_columns))


def infomec_continuous(
    codes_ND: Codes, factors_NK: Factors, *, random_state: RandomState, progress: Progress = silent
) -> InfomecResult:
    """Of continuous codes; active are those whose range is above a twentieth of the largest.

    `random_state` gives the noise that tells equal values apart. Raises MetricUndefined where no code is active
    (the authors' code fails), and for a factor of a single value.
    """
    check_usable(codes_ND, factors_NK)
    return _continuous(codes_ND, factors_NK, active_by_range(codes_ND, 20), random_state, progress)


def infomec_continuous_iqr(
    codes_ND: Codes, factors_NK: Factors, *, random_state: RandomState, progress: Progress = silent
) -> InfomecResult:
    """Of continuous codes; active are those whose inter-quartile range is above a tenth of the largest.

    As the authors' later code (Tripod), but where no code is active: there all is 0, here MetricUndefined is raised.
    """
    check_usable(codes_ND, factors_NK)
    low_D, high_D = np.percentile(codes_ND.astype(np.float64), [25, 75], axis=0)
    active_D = high_D - low_D > (high_D - low_D).max() / 10
    return _continuous(codes_ND, factors_NK, active_D, random_state, progress)


def active_by_range(codes_ND: Codes, divisor: int) -> NDArray[np.bool_]:
    """Codes [D] whose range is above the largest over `divisor`."""
    range_D = np.ptp(codes_ND.astype(np.float64), axis=0)
    active_D: NDArray[np.bool_] = range_D > range_D.max() / divisor
    return active_D


def _continuous(
    codes_ND: Codes,
    factors_NK: Factors,
    active_D: NDArray[np.bool_],
    random_state: RandomState,
    progress: Progress,
) -> InfomecResult:
    check_informative(factors_NK, active_D)
    standardised_ND = standardised(codes_ND)
    information_DK = information_by_neighbours(
        standardised_ND,
        factors_NK,
        num_neighbors=NUM_NEIGHBORS,
        random_state=random_state,
        progress=part_of(progress, 0.0, 0.5),
    )
    explicitness_K = explicitness(standardised_ND, factors_NK, progress=part_of(progress, 0.5, 1.0))
    num_values_D = np.array([len(np.unique(code_N)) for code_N in codes_ND.T])
    repeating_D = active_D & (num_values_D < len(codes_ND) / 10)
    return InfomecResult(information_DK / entropies(factors_NK), active_D, explicitness_K, repeating_D)


def infomec_discrete(codes_ND: Codes, factors_NK: Factors, *, progress: Progress = silent) -> InfomecResult:
    """Of codes whose every value is a class; active are those that vary.

    Raises MetricUndefined where none does (the authors' code fails), for a factor of a single value, and for a code
    of more than a thousand values.
    """
    check_usable(codes_ND, factors_NK)
    values_ND = np.stack([np.unique(code_N, return_inverse=True)[1] for code_N in codes_ND.T], axis=1)
    num_values_D = values_ND.max(axis=0) + 1
    check_informative(factors_NK, num_values_D > 1)
    if (num_values_D > MAX_VALUES).any():
        code = int(np.argmax(num_values_D > MAX_VALUES))
        raise MetricUndefined(
            f"infomec_discrete takes each value as a class: wanted at most {MAX_VALUES} in codes[:, {code}],"
            f" got {num_values_D[code]}; infomec_binned cuts codes into bins"
        )
    information_DK = mutual_information(values_ND, factors_NK) / entropies(factors_NK)
    explicitness_K = explicitness(one_hot(values_ND), factors_NK, progress=progress)
    return InfomecResult(information_DK, num_values_D > 1, explicitness_K)


def standardised(codes_ND: Codes) -> Codes:
    """Codes of mean 0 and variance 1, in their own dtype; constant ones are 0.

    Column after column in memory, so that sums are rounded alike however the codes come: equal values feel it.
    """
    from sklearn.preprocessing import StandardScaler

    standardised_ND: Codes = StandardScaler().fit_transform(np.asfortranarray(codes_ND))
    return standardised_ND


def check_informative(factors_NK: Factors, active_D: NDArray[np.bool_]) -> None:
    """Raises MetricUndefined where no code is active (the authors' code fails), and for a factor of a single value."""
    check_factors_vary(factors_NK, "infomec")
    if not active_D.any():
        raise MetricUndefined("infomec needs an active code: none of the codes varies enough")


def _score_continuous(spec: InfomecContinuous, points: Points, seed: int, progress: Progress) -> InfomecResult:
    return infomec_continuous(points.codes_ND, points.factors_NK, random_state=RandomState(seed), progress=progress)


def _score_iqr(spec: InfomecContinuousIqr, points: Points, seed: int, progress: Progress) -> InfomecResult:
    return infomec_continuous_iqr(points.codes_ND, points.factors_NK, random_state=RandomState(seed), progress=progress)


def _score_discrete(spec: InfomecDiscrete, points: Points, seed: int, progress: Progress) -> InfomecResult:
    return infomec_discrete(points.codes_ND, points.factors_NK, progress=progress)


def _score_binned(spec: InfomecBinned, points: Points, seed: int, progress: Progress) -> InfomecResult:
    check_usable(points.codes_ND, points.factors_NK)
    bins_ND = discretize(points.codes_ND, num_bins=spec.num_bins).astype(np.float64)
    return infomec_discrete(bins_ND, points.factors_NK, progress=progress)


CONTINUOUS = points_metric(_score_continuous)
CONTINUOUS_IQR = points_metric(_score_iqr)
DISCRETE = points_metric(_score_discrete)
BINNED = points_metric(_score_binned)
