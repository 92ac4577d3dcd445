"""Interventional Robustness Score (Suter et al., 2019, arXiv:1811.00007), as the reference computes it.

Shapes: N points, D codes, A active codes, K factors. A code is robust if it stays where it is while all factors
but one, its parent, change: how far it strays among points that share the parent's value, in units of how far it
strays at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes, Factors, check_usable
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.specs.metrics import Irs


@dataclass(frozen=True, slots=True)
class IrsResult:
    """Robustness of each active code given each factor, up to 1, and the farthest that the code is from its mean."""

    active_D: NDArray[np.bool_]
    robustness_AK: NDArray[np.float64]
    max_deviation_A: NDArray[np.float64]
    sum_of_active_codes: float

    @property
    def parents(self) -> NDArray[np.int64]:
        """For each active code [A] the factor given which it is most robust, the first of equals."""
        return np.asarray(self.robustness_AK.argmax(axis=1))

    def scores(self) -> dict[str, float]:
        """Under the reference's keys, and one of our own: the number of codes that vary.

        The reference's `num_active_dims` is the sum of all entries of the active codes, which looks like a slip:
        it is kept as it is. `num_active_codes` is what it seems to have meant.
        """
        return {
            "IRS": self._score(),
            "num_active_dims": self.sum_of_active_codes,
            "num_active_codes": float(self.active_D.sum()),
        }

    def _score(self) -> float:
        """The mean over codes, weighted by how far they stray; 0 where none varies, as in the reference."""
        if not self.active_D.any():
            return 0.0
        return float(np.average(self.robustness_AK.max(axis=1), weights=self.max_deviation_A))


def irs(codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 20, diff_quantile: float = 0.99) -> IrsResult:
    """How little each code moves among points that share the value of one factor.

    Factors are cut into `num_bins` bins of equal width. Of the distances from the mean within a bin the
    `diff_quantile` quantile is taken (1: the largest), and averaged over bins. Codes that never change have no
    part in the score. A factor of a single value explains nothing: the codes stray as far as without it.
    """
    check_usable(codes_ND, factors_NK)
    active_D = codes_ND.var(axis=0) > 0
    codes_NA = codes_ND[:, active_D]
    max_deviation_A = np.abs(codes_NA - codes_NA.mean(axis=0)).max(axis=0)
    bins_NK = discretize(factors_NK.astype(np.float64), num_bins=num_bins)
    deviation_KA = np.array([_deviation(codes_NA, bin_N, diff_quantile) for bin_N in bins_NK.T])
    robustness_AK = 1.0 - deviation_KA.T / max_deviation_A[:, None]
    return IrsResult(active_D, robustness_AK, max_deviation_A, float(codes_NA.sum(dtype=np.float64)))


def _deviation(codes_NA: Codes, bin_N: NDArray[np.int64], quantile: float) -> NDArray[np.float64]:
    """The quantile of distances from the mean of the bin, averaged over bins alike, however many points they hold."""
    order_N = np.argsort(bin_N, kind="stable")
    starts = np.flatnonzero(np.diff(bin_N[order_N])) + 1
    groups = np.split(codes_NA[order_N], starts)
    distances = [np.abs(group_GA - group_GA.mean(axis=0)) for group_GA in groups]
    quantiles_BA = np.stack([np.quantile(distance_GA, quantile, axis=0) for distance_GA in distances])
    return np.asarray(quantiles_BA.mean(axis=0, dtype=np.float64))


def evaluate(spec: Irs, representation: Representation, seed: int, progress: Progress) -> IrsResult:
    """IRS of `num_train` fresh points."""
    points = sample_points(representation, spec.num_train, RandomState(seed), spec.batch_size)
    return irs(points.codes_ND, points.factors_NK, num_bins=spec.num_bins, diff_quantile=spec.diff_quantile)


def score(spec: Irs, arrays: OwnArrays, seed: int, progress: Progress) -> IrsResult:
    """IRS of the given points; test points play no part."""
    given = arrays.given
    return irs(given.codes_ND, given.factors_NK, num_bins=spec.num_bins, diff_quantile=spec.diff_quantile)


METRIC = Metric(Needs.POINTS, evaluate, score)
