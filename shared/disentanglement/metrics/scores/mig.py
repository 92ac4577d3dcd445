"""Mutual Information Gap (Chen et al., 2018, arXiv:1802.04942). Shapes: N points, D codes, K factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import (
    Codes,
    Factors,
    check_factors_vary,
    check_several_codes,
    check_usable,
    gap_to_second,
)
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.points import Representation, generate_batch_factor_code
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.metrics.statistics.information import entropies, mutual_information
from disentanglement.specs.metrics import Mig


@dataclass(frozen=True, slots=True)
class MigResult:
    """The gap of each factor, 0 to 1; what each code knows about it and what there is to know, in nats."""

    gap_K: NDArray[np.float64]
    information_DK: NDArray[np.float64]
    entropy_K: NDArray[np.float64]

    def scores(self) -> dict[str, float]:
        """Under the reference's key."""
        return {"discrete_mig": float(self.gap_K.mean())}


def mig(codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 20) -> MigResult:
    """Gap between the two codes most informative about each factor, in units of its entropy.

    Codes are cut into `num_bins` bins of equal width, factors are taken as they are. Raises MetricUndefined
    for a single code and for a factor of a single value (the reference fails, or gives NaN).
    """
    check_usable(codes_ND, factors_NK)
    check_several_codes(codes_ND, "mig")
    check_factors_vary(factors_NK, "mig")
    information_DK = mutual_information(discretize(codes_ND, num_bins=num_bins), factors_NK)
    entropy_K = entropies(factors_NK)
    return MigResult(gap_to_second(information_DK) / entropy_K, information_DK, entropy_K)


def evaluate(spec: Mig, representation: Representation, seed: int, progress: Progress) -> MigResult:
    """MIG on `num_train` fresh points."""
    rs = RandomState(seed)
    sample = generate_batch_factor_code(representation, spec.num_train, rs, spec.batch_size)
    return mig(*sample, num_bins=spec.num_bins)


def score(spec: Mig, arrays: OwnArrays, seed: int, progress: Progress) -> MigResult:
    """MIG of the given points; test points play no part."""
    return mig(arrays.given.codes_ND, arrays.given.factors_NK, num_bins=spec.num_bins)


METRIC = Metric(Needs.POINTS, evaluate, score)
