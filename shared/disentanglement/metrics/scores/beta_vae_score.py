"""BetaVAE score (Higgins et al., 2017, "beta-VAE", section 3), as the reference computes it.

Shapes: M points, each of a pair of batches of B points that share the value of one factor; D codes, K factors. A
linear classifier tells that factor from the mean difference of codes within the pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import check_finite
from disentanglement.metrics.classifiers.logistic_regression import fit_logistic_regression
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays, grid_of
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.sampling.paired_batches import draw_paired_batches
from disentanglement.metrics.sampling.points import POINTS_PER_GATHER, GridRepresentation, Representation
from disentanglement.metrics.statistics.batch_statistics import batch_differences
from disentanglement.specs.metrics import BetaVaeSklearn


@dataclass(frozen=True, slots=True)
class SharedFactorDifferences:
    """Of M pairs of batches: the factor whose value both share, and each code's mean absolute difference."""

    factor_M: NDArray[np.int64]
    difference_MD: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BetaVaeScoreResult:
    """Shares of pairs of batches whose shared factor is told; guessing is right once in K."""

    train_accuracy: float
    eval_accuracy: float

    def scores(self) -> dict[str, float]:
        """Under the reference's keys."""
        return {"train_accuracy": self.train_accuracy, "eval_accuracy": self.eval_accuracy}


def beta_vae_score(train: SharedFactorDifferences, evaluation: SharedFactorDifferences) -> BetaVaeScoreResult:
    """Accuracies of a logistic regression fitted to the training points, on both.

    Differences are taken as they are: neither scaled nor rid of codes that hardly vary, as in the reference. It is
    fitted at the optimum that scikit-learn's L-BFGS stops near: points on the border of two factors may be told
    otherwise. Raises MetricUndefined for training points of a single factor and for differences that are not finite.
    """
    for points, name in ((train, "training"), (evaluation, "evaluation")):
        _check(points, name, train.difference_MD.shape[1])
    if (train.factor_M == train.factor_M[0]).all():
        raise MetricUndefined(
            "beta_vae_sklearn tells factors apart: wanted training points of 2 factors or more, got 1"
        )
    classifier = fit_logistic_regression(train.difference_MD, train.factor_M)
    return BetaVaeScoreResult(
        *(float(np.mean(classifier.predict(p.difference_MD) == p.factor_M)) for p in (train, evaluation))
    )


def _check(points: SharedFactorDifferences, name: str, num_codes: int) -> None:
    if points.difference_MD.shape != (len(points.factor_M), num_codes) or len(points.factor_M) == 0:
        wanted = f"[{name} points, at least 1, {num_codes}]"
        raise SpecError.of("differences.shape", wanted, list(points.difference_MD.shape))
    check_finite(points.difference_MD, f"difference of {name} codes")


def differences_at_shared_factors(
    representation: Representation, num_points: int, rs: RandomState, batch_size: int, *, progress: Progress = silent
) -> SharedFactorDifferences:
    """For each point: a factor, two batches whose points share its value one by one, the difference of their codes."""
    factors, differences = [], []
    per_gather = max(POINTS_PER_GATHER // (2 * batch_size), 1)
    for start in range(0, num_points, per_gather):
        num = min(per_gather, num_points - start)
        pairs = draw_paired_batches(representation, num, batch_size, rs)
        codes_M2BD = representation.codes_of(pairs.rows_M2B.ravel()).reshape(num, 2, batch_size, -1)
        factors.append(pairs.factor_M)
        differences.append(batch_differences(codes_M2BD[:, 0], codes_M2BD[:, 1]).astype(np.float64))
        progress((start + num) / num_points)
    return SharedFactorDifferences(np.concatenate(factors), np.concatenate(differences))


def evaluate(spec: BetaVaeSklearn, representation: Representation, seed: int, progress: Progress) -> BetaVaeScoreResult:
    """Training points, then evaluation points; fitting draws nothing in between."""
    rs = RandomState(seed)
    to_train = spec.num_train / (spec.num_train + spec.num_eval)
    train, evaluation = (
        differences_at_shared_factors(representation, num_points, rs, spec.batch_size, progress=part)
        for num_points, part in (
            (spec.num_train, part_of(progress, 0.0, to_train)),
            (spec.num_eval, part_of(progress, to_train, 1.0)),
        )
    )
    return beta_vae_score(train, evaluation)


def score(spec: BetaVaeSklearn, arrays: OwnArrays, seed: int, progress: Progress) -> BetaVaeScoreResult:
    """BetaVAE score, where the given points are the whole grid of factor combinations."""
    grid = grid_of(arrays.given, "beta_vae_sklearn")
    return evaluate(spec, GridRepresentation(grid, arrays.given.codes_ND), seed, progress)


METRIC = Metric(Needs.FIXED_FACTORS, evaluate, score)
