"""MED, mutual-information based entropy disentanglement (Cao et al., 2022, arXiv:2206.04756), and its top-k form.

Shapes: N points, D codes, K factors. The disentanglement and completeness of DCI, where a code's share of the
mutual information about a factor takes the place of its importance to a predictor. With few points the plug-in
estimate of the information is biased upwards, which puts a ceiling on the scores even of perfect codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import (
    Codes,
    Factors,
    Points,
    check_factors_vary,
    check_same_columns,
    check_several_codes,
    check_several_factors,
    check_usable,
)
from disentanglement.metrics.classifiers.logistic_regression import fit_logistic_regression
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.metrics.statistics.aggregations import completeness, disentanglement, disentanglements
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.metrics.statistics.information import mutual_information
from disentanglement.specs.modern_metrics import Med


@dataclass(frozen=True, slots=True)
class MedResult:
    """Each code's share of the information about each factor (columns sum to 1); which codes the top k keep.

    Informativeness is the accuracy of a linear classifier of each factor, absent where it was not asked for.
    """

    importance_DK: NDArray[np.float64]
    kept_D: NDArray[np.bool_]
    top_k: int
    train_accuracy_K: NDArray[np.float64] | None = None
    test_accuracy_K: NDArray[np.float64] | None = None

    def scores(self) -> dict[str, float]:
        """Under the reference's keys. With a single code kept its completeness is not defined, and left out."""
        kept_RK = self.importance_DK[self.kept_D]
        scores = {
            "disentanglement": disentanglement(self.importance_DK),
            "completeness": completeness(self.importance_DK),
            f"top{self.top_k}_disentanglement": disentanglement(kept_RK),
        }
        if len(kept_RK) > 1:
            scores[f"top{self.top_k}_completeness"] = completeness(kept_RK)
        if self.train_accuracy_K is not None and self.test_accuracy_K is not None:
            scores["informativeness_train"] = float(self.train_accuracy_K.mean())
            scores["informativeness_test"] = float(self.test_accuracy_K.mean())
        return scores


def med(codes_ND: Codes, factors_NK: Factors, *, num_bins: int = 20, top_k: int = 1) -> MedResult:
    """Shares of mutual information, without informativeness.

    A code belongs to the factor that it has the largest share of; the `top_k` most disentangled codes of each
    factor are kept. As in the reference a dead code belongs to the first factor, and may be kept. Raises
    MetricUndefined for a single code or factor, a factor of a single value, and a factor that no code knows of.
    """
    if top_k < 1:
        raise SpecError.of("top_k", ">= 1", top_k)
    check_usable(codes_ND, factors_NK)
    check_several_codes(codes_ND, "med")
    check_factors_vary(factors_NK, "med")
    check_several_factors(factors_NK, "med")
    information_DK = mutual_information(discretize(codes_ND, num_bins=num_bins), factors_NK)
    known_K = information_DK.sum(axis=0)
    if not known_K.all():
        raise MetricUndefined(f"med: no code has any information about factors[:, {int(np.argmin(known_K))}]")
    importance_DK = information_DK / known_K
    return MedResult(importance_DK, _most_disentangled(importance_DK, top_k), top_k)


def _most_disentangled(importance_DK: NDArray[np.float64], top_k: int) -> NDArray[np.bool_]:
    """Which codes are among the first `top_k` of their factor [D], by how little they serve others."""
    order_D = np.argsort(-disentanglements(importance_DK), kind="stable")
    kept_D = np.zeros(len(importance_DK), dtype=np.bool_)
    for factor in range(importance_DK.shape[1]):
        own_D = order_D[importance_DK[order_D].argmax(axis=1) == factor]
        kept_D[own_D[:top_k]] = True
    return kept_D


def med_with_informativeness(
    train: Points, test: Points, *, num_bins: int = 20, top_k: int = 1, progress: Progress = silent
) -> MedResult:
    """MED of the training points, and how well logistic regression predicts each factor on both sets."""
    shares = med(train.codes_ND, train.factors_NK, num_bins=num_bins, top_k=top_k)
    check_usable(test.codes_ND, test.factors_NK, prefix="test_")
    check_same_columns(train, test)
    accuracies = np.empty((train.factors_NK.shape[1], 2))
    for factor in range(len(accuracies)):
        accuracies[factor] = _accuracies(train, test, factor)
        progress((factor + 1) / len(accuracies))
    return MedResult(shares.importance_DK, shares.kept_D, top_k, accuracies[:, 0], accuracies[:, 1])


def _accuracies(train: Points, test: Points, factor: int) -> list[float]:
    """On training and test points, of logistic regression at its optimum (the reference stops at 100 steps)."""
    codes_ND = train.codes_ND.astype(np.float64)
    mean_D, deviation_D = codes_ND.mean(axis=0), codes_ND.std(axis=0)
    constant_D = (codes_ND == codes_ND[0]).all(axis=0) | (deviation_D == 0)  # rounding can leave either alone
    scale_D = np.where(constant_D, 1.0, deviation_D)
    classifier = fit_logistic_regression((codes_ND - mean_D) / scale_D, train.factors_NK[:, factor])
    return [
        float(np.mean(classifier.predict((points.codes_ND - mean_D) / scale_D) == points.factors_NK[:, factor]))
        for points in (train, test)
    ]


def evaluate(spec: Med, representation: Representation, seed: int, progress: Progress) -> MedResult:
    """MED of `num_train` fresh points, informativeness also on `num_test` more."""
    rs = RandomState(seed)
    train = sample_points(representation, spec.num_train, rs, spec.batch_size)
    test = sample_points(representation, spec.num_test, rs, spec.batch_size)
    return med_with_informativeness(train, test, num_bins=spec.num_bins, top_k=spec.top_k, progress=progress)


def score(spec: Med, arrays: OwnArrays, seed: int, progress: Progress) -> MedResult:
    """MED of the training points, informativeness also of the test points."""
    return med_with_informativeness(*arrays.split(seed), num_bins=spec.num_bins, top_k=spec.top_k, progress=progress)


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
