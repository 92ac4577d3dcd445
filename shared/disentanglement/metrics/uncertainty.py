"""Standard errors of scores: how far they would move with other points to evaluate on, by the bootstrap (Efron, 1979).

Points are drawn with replacement from those at hand, and the score is computed again from what it is made of: joint
histograms, moments, right and wrong predictions. Bins and trained classifiers stay as they are, so an error says
nothing of training. Where the score is a share of evaluation points, the bootstrap's limit is known and taken.
Scores that only training points decide (importances, training accuracies) and counts have none.
Shapes: N points, D codes, K factors, R replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Points, gap_to_second
from disentanglement.metrics.classifiers.code_classifiers import FactorClasses, fit_lines, predict
from disentanglement.metrics.metric import MetricResult
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.metrics.scores.modularity_explicitness import modularity
from disentanglement.metrics.scores.sap_score import SMALLEST_VARIANCE
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.specs.metrics import MetricSpec
from disentanglement.specs.steps import STANDARD_ERROR

NUM_REPLICATES = 200
"""The error of a standard error is then about a twentieth of it."""
REPLICATES_AT_ONCE = 20
"""What histograms are counted for together; no number depends on it."""
OWN_STREAM = 0x5E
"""Keeps the replicates apart from all else that is drawn from a metric's seed."""

Table = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A metric's parameters and result, the points that it was computed on, and the replicates' generator."""

    parameters: Any
    result: Any
    points: Callable[[], tuple[Points, Points]]
    """Training points and test points; they are the same where the metric has no test points."""
    rng: Generator


def with_standard_errors(
    metric: MetricSpec, result: MetricResult, source: Representation | OwnArrays, seed: int
) -> dict[str, float]:
    """The scores, each followed by its standard error where it has one, under its key and `.standard_error`.

    `source` and `seed` are what the result was computed from: the same points are taken again.
    """
    word, parameters = metric.selected
    scores = dict(result.scores())
    if word not in ERRORS:
        return scores
    rng = np.random.default_rng([seed, OWN_STREAM])
    errors = ERRORS[word](Evaluated(parameters, result, lambda: _points(parameters, source, seed), rng))
    return {name: value for key in scores for name, value in _beside(key, scores, errors)}


def _beside(key: str, scores: dict[str, float], errors: dict[str, float]) -> Iterator[tuple[str, float]]:
    yield key, scores[key]
    if key in errors:
        yield f"{key}{STANDARD_ERROR}", errors[key]


def _points(parameters: Any, source: Representation | OwnArrays, seed: int) -> tuple[Points, Points]:
    num_test = getattr(parameters, "num_test", None)
    if isinstance(source, OwnArrays):
        return source.split(seed) if num_test else (source.given, source.given)
    rs = RandomState(seed)
    train = sample_points(source, parameters.num_train, rs, parameters.batch_size)
    return train, sample_points(source, num_test, rs, parameters.batch_size) if num_test else train


def weights(num_points: int, rng: Generator) -> Iterator[Table]:
    """How often each point [N] is drawn, replicate by replicate."""
    for _ in range(NUM_REPLICATES):
        drawn_N = rng.integers(num_points, size=num_points)
        yield np.bincount(drawn_N, minlength=num_points).astype(np.float64)


def _spread(replicates: Iterator[float]) -> float:
    return float(np.std(list(replicates), ddof=1))


def of_share(share: float, num_points: int) -> float:
    """Of a share of points: the limit of many replicates."""
    return float(np.sqrt(share * (1.0 - share) / num_points))


def _mig(of: Evaluated) -> dict[str, float]:
    points, _ = of.points()
    bins_ND = discretize(points.codes_ND, num_bins=of.parameters.num_bins)

    def replicates() -> Iterator[float]:
        for information_DK, entropy_K in _resampled_information(bins_ND, points.factors_NK, of.rng):
            varies_K = entropy_K > 0
            yield float((gap_to_second(information_DK[:, varies_K]) / entropy_K[varies_K]).mean())

    return {"discrete_mig": _spread(replicates())}


def _modularity(of: Evaluated) -> dict[str, float]:
    points, _ = of.points()
    bins_ND = discretize(points.codes_ND, num_bins=of.parameters.num_bins)
    resampled = _resampled_information(bins_ND, points.factors_NK, of.rng)
    return {"modularity_score": _spread(modularity(information_DK) for information_DK, _ in resampled)}


def _resampled_information(bins_ND: Labels, factors_NK: Labels, rng: Generator) -> Iterator[tuple[Table, Table]]:
    """Mutual information [D, K] and the factors' entropies [K] of each replicate, from joint histograms."""
    num_codes, num_factors = bins_ND.shape[1], factors_NK.shape[1]
    left_ND, right_NK = (np.apply_along_axis(_ranks, 0, labels) for labels in (bins_ND, factors_NK))
    joint_NDK = left_ND[:, :, np.newaxis] * (right_NK.max(axis=0) + 1) + right_NK[:, np.newaxis]
    columns = _Columns.of(np.hstack([left_ND, right_NK, joint_NDK.reshape(len(left_ND), -1)]))
    for entropy_C in columns.resampled_entropies(rng):
        left_D, right_K, joint = np.split(entropy_C, [num_codes, num_codes + num_factors])
        shared_DK = left_D[:, np.newaxis] + right_K - joint.reshape(num_codes, num_factors)
        yield np.maximum(shared_DK, 0.0), right_K


@dataclass(frozen=True, slots=True)
class _Columns:
    """Labels of C columns, told apart [N, C], the first label of each column, and n log n of all counts n."""

    label_NC: Labels
    first_C: Labels
    n_log_n: Table

    @classmethod
    def of(cls, label_NC: Labels) -> Self:
        width_C = label_NC.max(axis=0) + 1
        first_C = np.cumsum(width_C) - width_C
        counts = np.arange(len(label_NC) + 1, dtype=np.float64)
        return cls(label_NC + first_C, first_C, counts * np.log(np.maximum(counts, 1.0)))

    def resampled_entropies(self, rng: Generator) -> Iterator[Table]:
        """Of each column [C], replicate by replicate: all histograms of several are one product of matrices."""
        from scipy.sparse import csc_matrix

        num_points, num_columns = self.label_NC.shape
        starts = np.arange(0, self.label_NC.size + 1, num_columns)
        shape = (int(self.label_NC[:, -1].max()) + 1, num_points)
        label_of_LN = csc_matrix((np.ones(self.label_NC.size), self.label_NC.ravel(), starts), shape=shape)
        replicates = weights(num_points, rng)
        while chunk := list(islice(replicates, REPLICATES_AT_ONCE)):
            counts_LR = label_of_LN @ np.stack(chunk, axis=1)
            sums_CR = np.add.reduceat(self.n_log_n[counts_LR.astype(np.int64)], self.first_C, axis=0)
            yield from (np.log(num_points) - sums_CR / num_points).T


def _ranks(column_N: Labels) -> Labels:
    return np.unique(column_N, return_inverse=True)[1]


def _sap_score(of: Evaluated) -> dict[str, float]:
    train, test = of.points()
    if of.parameters.continuous_factors:
        replicates = _squared_correlations(train, of.rng)
    else:
        replicates = _accuracies(train, test, of.rng)
    return {"SAP_score": _spread(float(gap_to_second(prediction_DK).mean()) for prediction_DK in replicates)}


def _accuracies(train: Points, test: Points, rng: Generator) -> Iterator[Table]:
    """Of each code alone [D, K] on resampled test points; the classifiers stay."""
    classes = FactorClasses.of(train.factors_NK)
    right = [
        predict(fit_lines(train_N, classes), classes, test_M) == test.factors_NK
        for train_N, test_M in zip(train.codes_ND.T, test.codes_ND.T, strict=True)
    ]
    right_NDK = np.stack(right, axis=1).astype(np.float64)
    for weight_N in weights(len(right_NDK), rng):
        accuracy_DK: Table = np.tensordot(weight_N, right_NDK, axes=1) / len(weight_N)
        yield accuracy_DK


def _squared_correlations(points: Points, rng: Generator) -> Iterator[Table]:
    num_codes = points.codes_ND.shape[1]
    values_NV = np.hstack([points.codes_ND, points.factors_NK]).astype(np.float64)
    for weight_N in weights(len(values_NV), rng):
        covariance = np.cov(values_NV.T, fweights=weight_N.astype(np.int64))
        variance = np.diag(covariance)
        squared = covariance[:num_codes, num_codes:] ** 2
        product = variance[:num_codes, np.newaxis] * variance[num_codes:]
        known = (variance[:num_codes, np.newaxis] > SMALLEST_VARIANCE) & (product > 0)
        yield np.where(known, squared / np.where(known, product, 1.0), 0.0)


def _dci(of: Evaluated) -> dict[str, float]:
    """Of the accuracy on test points: factors are told wrong at the same points, so points are drawn whole."""
    right_MK = of.result.test_right_MK
    return {"informativeness_test": float(right_MK.mean(axis=1).std() / np.sqrt(len(right_MK)))}


def _factor_vae_score(of: Evaluated) -> dict[str, float]:
    num_votes = int(of.result.eval_votes_KD.sum())
    return {"eval_accuracy": of_share(of.result.scores()["eval_accuracy"], num_votes)} if num_votes else {}


def _beta_vae_sklearn(of: Evaluated) -> dict[str, float]:
    return {"eval_accuracy": of_share(of.result.eval_accuracy, of.parameters.num_eval)}


ERRORS: dict[str, Callable[[Evaluated], dict[str, float]]] = {
    "beta_vae_sklearn": _beta_vae_sklearn,
    "dci": _dci,
    "factor_vae_score": _factor_vae_score,
    "mig": _mig,
    "modularity_explicitness": _modularity,
    "sap_score": _sap_score,
}
"""Standard errors by key of the scores that have one; metrics that are not here have none."""
