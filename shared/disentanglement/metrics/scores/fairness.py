"""Unfairness of predictions (Locatello et al., 2019, arXiv:1905.13662): how far they move with a sensitive factor.

Shapes: N points, D codes, K factors, I target factors, J sensitive factors, V values of a sensitive factor, M points
for each of them, C classes of the target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Points, check_factors_vary, check_usable
from disentanglement.metrics.classifiers import Predictor, prepare, shares
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays, grid_of
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.sampling.points import GridRepresentation, Representation, sample_points
from disentanglement.specs.metrics import BOOSTED_TREES, Fairness, PredictorSpec

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Intervention:
    """The same M points with a sensitive factor set to each of its V values, to predict a target from their codes."""

    target: int
    sensitive: int
    codes_VMD: Codes


@dataclass(frozen=True, slots=True)
class FairnessResult:
    """Unfairness of predicting i where j is sensitive: mean and largest over values of j. Diagonals mean nothing."""

    mean_IJ: Matrix
    max_IJ: Matrix

    def scores(self) -> dict[str, float]:
        """Under the reference's keys: of two aggregations the one named first is applied last."""
        return aggregated(self.mean_IJ, "mean_fairness") | aggregated(self.max_IJ, "max_fairness")


def aggregated(unfair_IJ: Matrix, prefix: str) -> dict[str, float]:
    """Entries off the diagonal, and their means and maxima along each way through the matrix."""
    num_factors = len(unfair_IJ)
    others = ~np.eye(num_factors, dtype=np.bool_)
    by_pred = unfair_IJ[others].reshape(num_factors, -1)  # row i without its diagonal
    by_sens = unfair_IJ.T[others].reshape(num_factors, -1)
    scores = {
        f"{prefix}:pred{i}:sens{j}": float(unfair_IJ[i, j]) for i, j in np.ndindex(num_factors, num_factors) if i != j
    }
    for inner, outer, rows in (("sens", "pred", by_pred), ("pred", "sens", by_sens)):
        for way, values in (("mean", rows.mean(axis=1)), ("max", rows.max(axis=1))):
            scores |= {f"{prefix}:{outer}{index}:{way}_{inner}": float(value) for index, value in enumerate(values)}
            scores[f"{prefix}:mean_{outer}:{way}_{inner}"] = float(values.mean())
            scores[f"{prefix}:max_{outer}:{way}_{inner}"] = float(values.max())
    return scores


def inter_group_fairness(counts_CV: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and largest total variation between predictions for one sensitive value and for all.

    Shares are float32, as the reference's are. Raises MetricUndefined for a value without predictions.
    """
    per_value_V = counts_CV.sum(axis=0)
    if (per_value_V == 0).any():
        raise MetricUndefined(f"fairness needs predictions for each sensitive value; none for {np.argmin(per_value_V)}")
    overall_C = (counts_CV.sum(axis=1) / per_value_V.sum()).astype(np.float32)
    share_CV = (counts_CV / per_value_V).astype(np.float32)
    variation_V = np.float32(0.5) * np.abs(share_CV - overall_C[:, np.newaxis]).sum(axis=0)
    mean = (variation_V.astype(np.float64) * per_value_V).sum() / per_value_V.sum()
    return float(mean), float(variation_V.max())


def fairness(
    train: Points,
    interventions: Iterable[Intervention],
    *,
    factor_sizes: Sequence[int],
    random_state: RandomState,
    predictor: PredictorSpec = BOOSTED_TREES,
    progress: Progress = silent,
) -> FairnessResult:
    """A classifier for each target factor, in order; interventions come target after target.

    `random_state` is drawn from by boosted trees. Raises MetricUndefined for a single factor, and for a factor that
    has a single value among the training points. A value that they lack is never predicted.
    """
    _check(train)
    num_factors = train.factors_NK.shape[1]
    mean_IJ, max_IJ = np.zeros((num_factors, num_factors)), np.zeros((num_factors, num_factors))
    fit = prepare(predictor, train.codes_ND, random_state)
    parts = shares(train.factors_NK, progress)
    for target, of_target in groupby(interventions, key=lambda intervention: intervention.target):
        fitted = fit(train.factors_NK[:, target], parts[target])
        for sensitive, counts_CV in _counts(fitted, list(of_target), factor_sizes[target]):
            mean_IJ[target, sensitive], max_IJ[target, sensitive] = inter_group_fairness(counts_CV)
    return FairnessResult(mean_IJ, max_IJ)


def _check(train: Points) -> None:
    check_usable(train.codes_ND, train.factors_NK)
    check_factors_vary(train.factors_NK, "fairness")
    if train.factors_NK.shape[1] < 2:
        raise MetricUndefined("fairness needs a sensitive factor: wanted 2 columns of factors or more, got 1")


def _counts(
    fitted: Predictor, interventions: list[Intervention], num_classes: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Sensitive factor, and how often each class is predicted for each of its values; all are predicted in one go."""
    codes = [intervention.codes_VMD.reshape(-1, intervention.codes_VMD.shape[2]) for intervention in interventions]
    together_ND = np.concatenate(codes)
    check_usable(together_ND, np.zeros((len(together_ND), 1), np.int64))
    predicted = np.split(fitted.predict(together_ND), np.cumsum([len(codes_ND) for codes_ND in codes])[:-1])
    for intervention, predicted_N in zip(interventions, predicted, strict=True):
        num_values = len(intervention.codes_VMD)
        value_N = np.repeat(np.arange(num_values), len(predicted_N) // num_values)
        cells = np.bincount(predicted_N * num_values + value_N, minlength=num_classes * num_values)
        yield intervention.sensitive, cells.reshape(-1, num_values)


def drawn_interventions(spec: Fairness, representation: Representation, rs: RandomState) -> Iterator[Intervention]:
    """For each pair fresh points, the same for each value; what observing them draws is drawn anew for each."""
    num_factors = len(representation.factor_sizes)
    for target, sensitive in np.ndindex(num_factors, num_factors):
        if target == sensitive:
            continue
        factors_MK = representation.sample_factors(spec.num_test_points_per_class, rs)
        rows = []
        for value in range(representation.factor_sizes[sensitive]):
            factors_MK[:, sensitive] = value
            rows.append(representation.rows(factors_MK, rs))
        codes_ND = representation.codes_of(np.concatenate(rows))
        yield Intervention(target, sensitive, codes_ND.reshape(len(rows), len(factors_MK), -1))


def evaluate(spec: Fairness, representation: Representation, seed: int, progress: Progress) -> FairnessResult:
    """Trained on `num_train` fresh points; `num_test_points_per_class` for each value of each sensitive factor."""
    rs = RandomState(seed)
    train = sample_points(representation, spec.num_train, rs, spec.batch_size)
    return fairness(
        train,
        drawn_interventions(spec, representation, rs),
        factor_sizes=representation.factor_sizes,
        random_state=RandomState(seed),
        predictor=spec.predictor,
        progress=progress,
    )


def score(spec: Fairness, arrays: OwnArrays, seed: int, progress: Progress) -> FairnessResult:
    """Where the given points are the whole grid of factor combinations."""
    grid = grid_of(arrays.given, "fairness")
    return evaluate(spec, GridRepresentation(grid, arrays.given.codes_ND), seed, progress)


METRIC = Metric(Needs.FIXED_FACTORS, evaluate, score)
