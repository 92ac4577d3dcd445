"""FactorVAE score (Kim and Mnih, 2018, arXiv:1802.05983, section 4).

Shapes: M votes, D codes, K factors. In a batch of points that share one factor, the code that varies least,
in units of its variance over the whole data set, votes for that factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import SpecError
from disentanglement.metrics.arrays import Codes, FixedFactorVariances, check_finite
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays, grid_of
from disentanglement.metrics.progress import Progress, part_of
from disentanglement.metrics.sampling.points import (
    GridRepresentation,
    Representation,
    variance_of_codes,
    variances_at_fixed_factors,
)
from disentanglement.specs.metrics import FactorVaeScore


@dataclass(frozen=True, slots=True)
class FactorVaeScoreResult:
    """Votes [K, D] of codes (columns) for factors (rows) on training and evaluation batches.

    As in the reference a column counts positions among the *active* codes; the columns past them stay 0.
    """

    active_D: NDArray[np.bool_]
    train_votes_KD: NDArray[np.int64]
    eval_votes_KD: NDArray[np.int64]

    def scores(self) -> dict[str, float]:
        """Under the reference's keys. Its `num_active_dims` counts all codes, or is 0 if none is active."""
        factor_D = self.train_votes_KD.argmax(axis=0)
        return {
            "train_accuracy": _accuracy(self.train_votes_KD, factor_D),
            "eval_accuracy": _accuracy(self.eval_votes_KD, factor_D),
            "num_active_dims": float(len(self.active_D) if self.active_D.any() else 0),
        }


def factor_vae_score(
    variance_D: Codes,
    train: FixedFactorVariances,
    evaluation: FixedFactorVariances,
    *,
    num_factors: int,
    prune_threshold: float = 0.05,
) -> FactorVaeScoreResult:
    """A majority vote learned on the training batches, applied to the evaluation batches.

    `variance_D` is each code's variance over the data set (ddof 1). Codes whose standard deviation is below
    `prune_threshold` do not vote. Raises MetricUndefined naming the code whose variance is not finite.
    """
    active_D = active_codes(variance_D, prune_threshold)
    votes = (_votes(batches, variance_D, active_D, num_factors) for batches in (train, evaluation))
    return FactorVaeScoreResult(active_D, *votes)


def active_codes(variance_D: Codes, prune_threshold: float) -> NDArray[np.bool_]:
    """Which codes vote [D]: those whose standard deviation reaches the threshold."""
    check_finite(variance_D[None, :], "variance of codes")
    active_D: NDArray[np.bool_] = np.sqrt(variance_D) >= prune_threshold
    return active_D


def without_active_codes(num_codes: int, num_factors: int) -> FactorVaeScoreResult:
    """The result where no code is active: no votes, all scores 0."""
    no_votes_KD = np.zeros((num_factors, num_codes), dtype=np.int64)
    return FactorVaeScoreResult(np.zeros(num_codes, dtype=np.bool_), no_votes_KD, no_votes_KD)


def _votes(
    batches: FixedFactorVariances, variance_D: Codes, active_D: NDArray[np.bool_], num_factors: int
) -> NDArray[np.int64]:
    shape = (num_factors, len(variance_D))
    if batches.variance_MD.shape != (len(batches.factor_M), len(variance_D)):
        raise SpecError.of("variances.shape", f"[votes, {len(variance_D)}]", list(batches.variance_MD.shape))
    if not active_D.any():
        return np.zeros(shape, dtype=np.int64)
    check_finite(batches.variance_MD, "variance of codes at a fixed factor")
    position_M = _least_varying(batches.variance_MD[:, active_D], variance_D[active_D])
    ballots = np.ravel_multi_index((batches.factor_M, position_M), shape)
    return np.bincount(ballots, minlength=num_factors * len(variance_D)).reshape(shape)


def _least_varying(variance_MA: Codes, whole_A: Codes) -> NDArray[np.int64]:
    """The first NaN wins, as in the reference: with threshold 0 a constant code (0/0) takes every vote."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.argmin(variance_MA / whole_A, axis=1))


def _accuracy(votes_KD: NDArray[np.int64], factor_D: NDArray[np.int64]) -> float:
    right = votes_KD[factor_D, np.arange(len(factor_D))].sum()
    return float(right / max(votes_KD.sum(), 1))


def evaluate(
    spec: FactorVaeScore, representation: Representation, seed: int, progress: Progress
) -> FactorVaeScoreResult:
    """FactorVAE score: variances of codes over the data set, then training votes, then evaluation votes."""
    rs = RandomState(seed)
    variance_D = variance_of_codes(representation, spec.num_variance_estimate, rs)
    num_factors = len(representation.factor_sizes)
    if not active_codes(variance_D, spec.prune_threshold).any():
        return without_active_codes(representation.num_codes, num_factors)
    to_train = spec.num_train / (spec.num_train + spec.num_eval)
    train, evaluation = (
        variances_at_fixed_factors(representation, num_votes, rs, spec.batch_size, progress=part)
        for num_votes, part in (
            (spec.num_train, part_of(progress, 0.0, to_train)),
            (spec.num_eval, part_of(progress, to_train, 1.0)),
        )
    )
    return factor_vae_score(
        variance_D, train, evaluation, num_factors=num_factors, prune_threshold=spec.prune_threshold
    )


def score(spec: FactorVaeScore, arrays: OwnArrays, seed: int, progress: Progress) -> FactorVaeScoreResult:
    """FactorVAE score, where the given points are the whole grid of factor combinations."""
    grid = grid_of(arrays.given, "factor_vae_score")
    return evaluate(spec, GridRepresentation(grid, arrays.given.codes_ND), seed, progress)


METRIC = Metric(Needs.FIXED_FACTORS, evaluate, score)
