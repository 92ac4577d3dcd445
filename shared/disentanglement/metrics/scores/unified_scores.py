"""All aggregations of several matrices of codes by factors (Locatello et al., 2020, arXiv:2007.14184).

Shapes: N points, D codes, K factors. A matrix says of each code how much it has to do with each factor; the scores
known from dci, mig, sap_score and modularity are then computed of every matrix, though each was made for one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import (
    Points,
    check_factors_vary,
    check_same_columns,
    check_several_codes,
    check_usable,
    gap_to_second,
)
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.metrics.scores.dci import dci
from disentanglement.metrics.scores.sap_score import accuracies
from disentanglement.metrics.statistics.aggregations import (
    Matrix,
    completeness,
    completenesses,
    disentanglement,
    disentanglements,
    group_curve,
    merge_ranks,
    modularities,
)
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.metrics.statistics.information import entropies, mutual_information
from disentanglement.specs.metrics import RelationMatrix, UnifiedScores, UnifiedScoreValidation

ALL_MATRICES: tuple[RelationMatrix, ...] = (
    "importance_gbt_matrix",
    "mutual_information_matrix",
    "accuracy_svm_matrix",
)
EFFORT: Mapping[RelationMatrix, float] = {
    "importance_gbt_matrix": 98.0,
    "mutual_information_matrix": 1.0,
    "accuracy_svm_matrix": 1.0,
}
"""Roughly, for progress."""


@dataclass(frozen=True, slots=True)
class UnifiedScoresResult:
    """The matrices [D, K] by their names, and what there is to know of each factor, in nats."""

    matrices: Mapping[RelationMatrix, Matrix]
    entropy_K: NDArray[np.float64]
    has_merges: bool = False

    def scores(self) -> dict[str, float]:
        """Under the reference's keys; those of merging factors only with `has_merges`.

        Kept from the reference: `max_precision` counts groups, `dci_completeness.code_j` is of factor j, and `mig` and
        `sap` of matrices that they were not made for may exceed 1.
        """
        scores: dict[str, float] = {}
        for name, matrix_DK in self.matrices.items():
            merges = _merges(matrix_DK) if self.has_merges else {}
            scores |= {f"{name}.{key}": value for key, value in (merges | self._aggregated(matrix_DK)).items()}
        return scores

    def _aggregated(self, matrix_DK: Matrix) -> dict[str, float]:
        curve = group_curve(matrix_DK)
        gap_K = gap_to_second(matrix_DK)
        relative_gap_K, modularity_D = gap_K / self.entropy_K, modularities(matrix_DK)
        return {
            "area_precision": curve.area,
            "max_precision": float(curve.highest),
            "dci_disentanglement": disentanglement(matrix_DK),
            "dci": disentanglement(matrix_DK),
            "dci_completeness": completeness(matrix_DK),
            **_each("dci_disentanglement.code", disentanglements(matrix_DK)),
            **_each("dci_completeness.code", completenesses(matrix_DK)),
            "mig": float(relative_gap_K.mean()),
            **_each("mig.factor", relative_gap_K),
            "sap": float(gap_K.mean()),
            **_each("sap.factor", gap_K),
            "modularity": float(modularity_D.mean()),
            **_each("modularity.code", modularity_D),
        }


def _merges(matrix_DK: Matrix) -> dict[str, float]:
    return {f"merge_{left}_{right}": float(rank) for (left, right), rank in merge_ranks(matrix_DK).items()}


def _each(name: str, score_S: NDArray[np.float64]) -> dict[str, float]:
    return {f"{name}_{index}": float(score) for index, score in enumerate(score_S)}


def unified_scores(
    train: Points,
    test: Points,
    *,
    random_state: RandomState,
    matrices: Sequence[RelationMatrix] = ALL_MATRICES,
    num_bins: int = 20,
    has_merges: bool = False,
    progress: Progress = silent,
) -> UnifiedScoresResult:
    """Every aggregation of these matrices; `random_state` is for the trees, as in `dci`.

    The reference's trees also make splits that gain nothing but rounding, ours don't: a code used for nothing else
    has importances of 1e-16 there and 0 here, hence modularity 0, and connects nothing in the area.

    Raises MetricUndefined for a single code, a single factor and a factor of a single value (the reference fails or
    gives NaN).
    """
    _check(train, test)
    names = list(dict.fromkeys(matrices))
    efforts = np.cumsum([EFFORT[name] for name in names])
    parts = pairwise([0.0, *(efforts / efforts[-1]).tolist()])
    computed = {
        name: relation_matrix(name, train, test, random_state, num_bins, part_of(progress, *part))
        for name, part in zip(names, parts, strict=True)
    }
    return UnifiedScoresResult(computed, entropies(train.factors_NK), has_merges)


def _check(train: Points, test: Points) -> None:
    check_usable(train.codes_ND, train.factors_NK)
    check_usable(test.codes_ND, test.factors_NK, prefix="test_")
    check_same_columns(train, test)
    check_several_codes(train.codes_ND, "unified_scores")
    check_factors_vary(train.factors_NK, "unified_scores")
    if train.factors_NK.shape[1] < 2:
        raise MetricUndefined("unified_scores compares factors: wanted 2 columns of factors or more, got 1")


def relation_matrix(
    name: RelationMatrix, train: Points, test: Points, random_state: RandomState, num_bins: int, progress: Progress
) -> Matrix:
    """One matrix [D, K]: importances of boosted trees, mutual information, or accuracies of support vector machines."""
    match name:
        case "importance_gbt_matrix":
            return dci(train, test, random_state=random_state, progress=progress).importance_DK
        case "mutual_information_matrix":
            matrix_DK = mutual_information(discretize(train.codes_ND, num_bins=num_bins), train.factors_NK)
            progress(1.0)
            return matrix_DK
        case "accuracy_svm_matrix":
            return accuracies(train, test, progress=progress)


def evaluate(spec: UnifiedScores, representation: Representation, seed: int, progress: Progress) -> UnifiedScoresResult:
    """Trained on `num_train` fresh points, tested on `num_test` more.

    With the ranks at which factors merge: the reference computes them where it may write plots, as always when it
    evaluates a model.
    """
    rs = RandomState(seed)
    train = sample_points(representation, spec.num_train, rs, spec.batch_size)
    test = sample_points(representation, spec.num_test, rs, spec.batch_size)
    return of_parts(spec, train, test, seed, progress, has_merges=True)


def score(spec: UnifiedScores, arrays: OwnArrays, seed: int, progress: Progress) -> UnifiedScoresResult:
    """Of training and test points."""
    return of_parts(spec, *arrays.split(seed), seed, progress)


def of_parts(
    spec: UnifiedScores | UnifiedScoreValidation,
    train: Points,
    test: Points,
    seed: int,
    progress: Progress,
    *,
    has_merges: bool = False,
) -> UnifiedScoresResult:
    """As a spec has it; the trees start from the metric's seed."""
    return unified_scores(
        train,
        test,
        random_state=RandomState(seed),
        matrices=spec.matrix_fns,
        num_bins=spec.num_bins,
        has_merges=has_merges,
        progress=progress,
    )


METRIC = Metric(Needs.HELD_OUT_POINTS, evaluate, score)
