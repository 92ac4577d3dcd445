"""Mean correlation coefficient (Hyvarinen and Morioka, 2016; as in SlowVAE, 2021, arXiv:2007.10930).

Shapes: N points, D codes, V codes that vary, K factors. A factor is correlated by its values, so it must be
ordered: a permuted categorical factor scores below 1 however well it is coded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors, Points, check_factors_vary, check_usable
from disentanglement.metrics.metric import Metric
from disentanglement.metrics.points_metric import points_metric
from disentanglement.metrics.progress import Progress
from disentanglement.specs.base import Spec

Correlation = Literal["pearson", "spearman"]
NOT_ASSIGNED = -1


@dataclass(frozen=True, slots=True)
class MccResult:
    """Absolute correlations, 0 for a code that never changes, and the code that stands for each factor (or -1)."""

    correlation_DK: NDArray[np.float64]
    code_K: NDArray[np.int64]
    constant_D: NDArray[np.bool_]

    @property
    def correlations(self) -> NDArray[np.float64]:
        """Of each factor with its code [K]; 0 for a factor that none is left for."""
        own_K = self.correlation_DK[self.code_K, np.arange(len(self.code_K))]
        return np.where(self.code_K == NOT_ASSIGNED, 0.0, own_K)

    def scores(self) -> dict[str, float]:
        """Under the reference's key, and how many codes took no part because they never change."""
        return {
            "meanabscorr": float(self.correlations.mean()),
            "num_constant_codes": float(self.constant_D.sum()),
        }


def mcc(codes_ND: Codes, factors_NK: Factors, *, correlation: Correlation = "spearman") -> MccResult:
    """Each factor gets a code of its own such that the sum of absolute correlations is largest.

    Constant codes take no part (their correlation is not defined, and the reference's solver never returns). With
    more factors than varying codes some factors get none, which counts 0. Raises MetricUndefined where no code
    varies, and for a factor of a single value.
    """
    _check(codes_ND, factors_NK)
    return _assigned(codes_ND, factors_NK, np.empty((len(codes_ND), 0)), correlation)


def mcc_with_noise_rows(
    codes_ND: Codes, factors_NK: Factors, *, random_state: RandomState, correlation: Correlation = "spearman"
) -> MccResult:
    """As `mcc`, but with targets of standard normal noise beside the factors, as many targets as varying codes.

    So the reference does it: a noise target may take the best code from a factor. Only the factors' codes count.
    Raises MetricUndefined also with fewer varying codes than factors, as the reference refuses them.
    """
    _check(codes_ND, factors_NK)
    num_noise = int((~_constant(codes_ND)).sum()) - factors_NK.shape[1]
    if num_noise < 0:
        wanted = f"{factors_NK.shape[1]} codes that vary or more, as there are factors"
        raise MetricUndefined(f"mcc with noise rows: wanted {wanted}, got {num_noise + factors_NK.shape[1]}")
    noise = [random_state.standard_normal(len(codes_ND)) for _ in range(num_noise)]
    noise_NT = np.stack(noise, axis=1) if noise else np.empty((len(codes_ND), 0))
    return _assigned(codes_ND, factors_NK, noise_NT, correlation)


def _check(codes_ND: Codes, factors_NK: Factors) -> None:
    check_usable(codes_ND, factors_NK)
    check_factors_vary(factors_NK, "mcc")
    if _constant(codes_ND).all():
        raise MetricUndefined("mcc needs a code that varies; every code has the same value at every point")


def _constant(codes_ND: Codes) -> NDArray[np.bool_]:
    constant_D: NDArray[np.bool_] = (codes_ND == codes_ND[0]).all(axis=0)
    return constant_D


def _assigned(
    codes_ND: Codes, factors_NK: Factors, noise_NT: NDArray[np.float64], correlation: Correlation
) -> MccResult:
    from scipy.optimize import linear_sum_assignment

    constant_D, num_factors = _constant(codes_ND), factors_NK.shape[1]
    targets_NT = np.hstack([factors_NK.astype(np.float64), noise_NT])
    correlation_VT = _absolute_correlations(codes_ND[:, ~constant_D].astype(np.float64), targets_NT, correlation)
    codes, targets = linear_sum_assignment(correlation_VT, maximize=True)
    of_factors = targets < num_factors
    code_K = np.full(num_factors, NOT_ASSIGNED, dtype=np.int64)
    code_K[targets[of_factors]] = np.flatnonzero(~constant_D)[codes[of_factors]]
    correlation_DK = np.zeros((len(constant_D), num_factors))
    correlation_DK[~constant_D] = correlation_VT[:, :num_factors]
    return MccResult(correlation_DK, code_K, constant_D)


def _absolute_correlations(
    codes_NV: NDArray[np.float64], targets_NT: NDArray[np.float64], correlation: Correlation
) -> NDArray[np.float64]:
    """[V, T]; Spearman's is Pearson's of the ranks, equal values sharing their mean rank."""
    if correlation == "spearman":
        from scipy.stats import rankdata

        codes_NV, targets_NT = rankdata(codes_NV, axis=0), rankdata(targets_NT, axis=0)
    product_VT = _standardised(codes_NV).T @ _standardised(targets_NT)
    correlation_VT: NDArray[np.float64] = np.minimum(np.abs(product_VT), 1.0)
    return correlation_VT


def _standardised(columns_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of mean 0 and length 1. Scaled by the largest value first: squares of tiny or huge codes stay in range."""
    centred_NC = columns_NC - columns_NC.mean(axis=0)
    centred_NC = centred_NC / np.abs(centred_NC).max(axis=0)
    standardised_NC: NDArray[np.float64] = centred_NC / np.linalg.norm(centred_NC, axis=0)
    return standardised_NC


def _plain(correlation: Correlation) -> Metric:
    def compute(spec: Spec, points: Points, seed: int, progress: Progress) -> MccResult:
        return mcc(points.codes_ND, points.factors_NK, correlation=correlation)

    return points_metric(compute)


def _with_noise_rows(correlation: Correlation) -> Metric:
    def compute(spec: Spec, points: Points, seed: int, progress: Progress) -> MccResult:
        noise = RandomState(seed)
        return mcc_with_noise_rows(points.codes_ND, points.factors_NK, random_state=noise, correlation=correlation)

    return points_metric(compute)


PEARSON_PLAIN = _plain("pearson")
SPEARMAN_PLAIN = _plain("spearman")
PEARSON_NOISE_ROWS = _with_noise_rows("pearson")
SPEARMAN_NOISE_ROWS = _with_noise_rows("spearman")
