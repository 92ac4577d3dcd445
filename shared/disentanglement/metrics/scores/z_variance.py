"""Votes by variance on resampled rows, as in a review of metrics (Carbonneau et al., 2020, arXiv:2012.09276).

Z-min variance is the FactorVAE score (Kim and Mnih, 2018, arXiv:1802.05983): points that share a factor's value,
and the code that varies least among them. Z-max variance (Kim et al., 2019, arXiv:1902.01568) is the other way
round: points that share all other factors, and the code that varies most. Both draw their batches from the rows
at hand, so neither needs an encoder. Shapes: N points, M batches, B points in a batch, D codes, A active codes,
K factors. With few points for each combination of values Z-max rests on a handful of rows, and flatters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import (
    Codes,
    Factors,
    FixedFactorVariances,
    Points,
    check_factors_vary,
    check_several_factors,
    check_usable,
)
from disentanglement.metrics.metric import Metric
from disentanglement.metrics.points_metric import points_metric
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.sampling.combinations import combination_labels, groups_of
from disentanglement.metrics.scores.factor_vae_score import active_codes
from disentanglement.metrics.statistics.review_bins import review_bins
from disentanglement.specs.modern_metrics import ZMaxVariance, ZMinVariance

Vote = Literal["min", "max"]
Rows = NDArray[np.int64]

NUM_VARIANCE_ESTIMATE = 10000
"""Points, at most, that the variance over the whole set is taken from."""


@dataclass(frozen=True, slots=True)
class ZVarianceResult:
    """Votes [K, D] of codes (columns, positions among the active ones) for factors (rows); the rest stay 0."""

    active_D: NDArray[np.bool_]
    train_votes_KD: NDArray[np.int64]
    eval_votes_KD: NDArray[np.int64]

    def scores(self) -> dict[str, float]:
        """Accuracies of the majority vote, 0 for guessing and 1 for no mistake; below 0 for worse than guessing."""
        factor_D = self.train_votes_KD.argmax(axis=0)
        return {
            "train_accuracy": _beyond_guessing(self.train_votes_KD, factor_D),
            "eval_accuracy": _beyond_guessing(self.eval_votes_KD, factor_D),
            "num_active_codes": float(self.active_D.sum()),
        }


def _beyond_guessing(votes_KD: NDArray[np.int64], factor_D: NDArray[np.int64]) -> float:
    accuracy = votes_KD[factor_D, np.arange(len(factor_D))].sum() / votes_KD.sum()
    guessing = 1.0 / len(votes_KD)
    return float((accuracy - guessing) / (1.0 - guessing))


def z_variance(
    codes_ND: Codes,
    factors_NK: Factors,
    *,
    vote: Vote,
    random_state: RandomState,
    num_bins: int | None = 10,
    num_train: int = 800,
    num_eval: int = 800,
    batch_size: int = 200,
    prune_threshold: float = 0.02,
    progress: Progress = silent,
) -> ZVarianceResult:
    """A majority vote learned on `num_train` batches, applied to `num_eval` others.

    Factors are cut into `num_bins` bins of equal width first, or taken as they are (None). For `min` the draws are
    the reference's, one by one; for `max` it also draws from Python's generator, so there scores differ by chance.
    Raises MetricUndefined for a single factor, a factor of a single value, no active code, and a factor for which no
    two rows share what must be fixed.
    """
    check_usable(codes_ND, factors_NK)
    check_factors_vary(factors_NK, f"z_{vote}_variance")
    check_several_factors(factors_NK, f"z_{vote}_variance")
    bins_NK = factors_NK if num_bins is None else review_bins(factors_NK.astype(np.float64), num_bins)
    variance_D, active_D = _whole_variance(codes_ND, random_state, prune_threshold, vote)
    fixed_of = [_fixed_columns(factor, factors_NK.shape[1], vote) for factor in range(factors_NK.shape[1])]
    groups_K = [_groups(bins_NK[:, fixed], factor, vote) for factor, fixed in enumerate(fixed_of)]
    nums = (num_train, num_eval)
    train, evaluation = _batches(codes_ND, groups_K, nums, batch_size, vote, random_state, progress)
    shape = (factors_NK.shape[1], codes_ND.shape[1])
    return ZVarianceResult(
        active_D, *(_votes(batches, variance_D, active_D, vote, shape) for batches in (train, evaluation))
    )


def _whole_variance(
    codes_ND: Codes, random_state: RandomState, prune_threshold: float, vote: Vote
) -> tuple[Codes, NDArray[np.bool_]]:
    row_N = np.arange(len(codes_ND))
    random_state.shuffle(row_N)
    if len(row_N) < 2:
        raise MetricUndefined(f"z_{vote}_variance needs 2 points or more, got {len(row_N)}")
    variance_D: Codes = np.var(codes_ND[row_N[:NUM_VARIANCE_ESTIMATE]], axis=0, ddof=1)
    active_D = active_codes(variance_D, prune_threshold) & (variance_D > 0)  # at threshold 0, 0/0 took every vote
    if not active_D.any():
        raise MetricUndefined(f"z_{vote}_variance: no code has a standard deviation of {prune_threshold} or more")
    return variance_D, active_D


def _fixed_columns(factor: int, num_factors: int, vote: Vote) -> list[int]:
    return [factor] if vote == "min" else [other for other in range(num_factors) if other != factor]


def _groups(fixed_NC: NDArray[np.int64], factor: int, vote: Vote) -> list[Rows]:
    """Rows that share the fixed values, two or more in each group."""
    groups = [rows for rows in groups_of(combination_labels(fixed_NC)) if len(rows) > 1]
    if not groups:
        what = "that factor" if vote == "min" else "all factors but that one"
        raise MetricUndefined(f"z_{vote}_variance, factors[:, {factor}]: no two rows share {what}; try fewer bins")
    return groups


def _batches(
    codes_ND: Codes,
    groups_K: list[list[Rows]],
    nums: tuple[int, int],
    batch_size: int,
    vote: Vote,
    random_state: RandomState,
    progress: Progress,
) -> list[FixedFactorVariances]:
    """For training and evaluation: which factor each batch is about, and its codes' variances in it."""
    num_factors = len(groups_K)
    num_TK = [np.bincount(random_state.randint(0, num_factors, size=n), minlength=num_factors) for n in nums]
    parts: list[list[Codes]] = [[], []]
    for factor, groups in enumerate(groups_K):
        chosen = random_state.choice(len(groups), size=sum(num_K[factor] for num_K in num_TK))
        chosen_train, chosen_eval = np.split(chosen, [num_TK[0][factor]])
        for group in np.unique(chosen):
            num_train, num_eval = int((chosen_train == group).sum()), int((chosen_eval == group).sum())
            rows_MB = _resampled(groups[group], num_train + num_eval, batch_size, vote, random_state)
            variance_MD = np.var(codes_ND[rows_MB], axis=1, ddof=1)
            parts[0].append(variance_MD[:num_train])
            parts[1].append(variance_MD[num_train:])
        progress((factor + 1) / num_factors)
    factor_ids = np.arange(num_factors)
    return [
        FixedFactorVariances(np.repeat(factor_ids, num_K), np.concatenate(part))
        for num_K, part in zip(num_TK, parts, strict=True)
    ]


def _resampled(
    rows_G: Rows, num_batches: int, batch_size: int, vote: Vote, random_state: RandomState
) -> NDArray[np.int64]:
    """[M, B]: the rows in random order, over and over, cut into batches."""
    num_passes = -(-num_batches * batch_size // len(rows_G))
    shuffled = _shuffled_in_place if vote == "min" else _shuffled_at_once
    rows = shuffled(rows_G, num_passes, random_state)
    return rows.ravel()[: num_batches * batch_size].reshape(num_batches, batch_size)


def _shuffled_in_place(rows_G: Rows, num_passes: int, random_state: RandomState) -> NDArray[np.int64]:
    """Pass after pass, each a shuffle of the last, as the reference draws them."""
    rows_PG = np.empty((num_passes, len(rows_G)), dtype=np.int64)
    rows = rows_G.copy()
    for row_P in rows_PG:
        random_state.shuffle(rows)
        row_P[:] = rows
    return rows_PG


def _shuffled_at_once(rows_G: Rows, num_passes: int, random_state: RandomState) -> NDArray[np.int64]:
    """Another stream, far faster for the few rows that share all factors but one."""
    order_PG = random_state.random_sample((num_passes, len(rows_G))).argsort(axis=1)
    return rows_G[order_PG]


def _votes(
    batches: FixedFactorVariances,
    variance_D: Codes,
    active_D: NDArray[np.bool_],
    vote: Vote,
    shape: tuple[int, int],
) -> NDArray[np.int64]:
    share_MA = batches.variance_MD[:, active_D] / variance_D[active_D]
    position_M = share_MA.argmin(axis=1) if vote == "min" else share_MA.argmax(axis=1)
    ballots = np.ravel_multi_index((batches.factor_M, position_M), shape)
    return np.bincount(ballots, minlength=shape[0] * shape[1]).reshape(shape)


def _metric(vote: Vote) -> Metric:
    def compute(spec: ZMinVariance | ZMaxVariance, points: Points, seed: int, progress: Progress) -> ZVarianceResult:
        return z_variance(
            points.codes_ND,
            points.factors_NK,
            vote=vote,
            random_state=RandomState(seed),
            num_bins=spec.num_bins,
            num_train=spec.num_train_votes,
            num_eval=spec.num_eval_votes,
            batch_size=spec.group_size,
            prune_threshold=spec.prune_threshold,
            progress=progress,
        )

    return points_metric(compute)


MIN = _metric("min")
MAX = _metric("max")
