"""Unified scores against those recorded from disentanglement_lib on fixed arrays (`metrics/README.md`).

Tolerances, and why:

- aggregations of the recorded matrices: 1e-12, sums and logarithms of a few numbers in another order.
- scores of matrices computed here: 1e-12 for mutual information and accuracies, which are the reference's (see
  `test_metrics_golden.py`). For the importances of boosted trees the recorded score is asked to lie among those of
  three seeds of ours, or outside by no more than these are apart, or by what scikit-learn's own importances move with
  the seed: 0.03 for scores of all codes or factors, 0.1 for those of one.
- importances, and matrices whose area is computed, are rounded to 12 digits first, both recorded and ours. The
  reference's trees make splits that gain nothing but rounding, and ours don't. A code that is used for those alone has
  importances of 1e-16 there and 0 here; its modularity is then that of noise (0.88 for 0 in `dsprites_perfect`). And
  the area jumps where entries become equal, or 0: by half a group in `small_perfect` (2.5 for 3).
- the ranks at which factors merge: none, they are integers; but only of matrices without equal entries, whose order
  the reference leaves to an unstable sort.
"""

from __future__ import annotations

import numpy as np
import pytest
from golden_metrics import CASES, SMALL, Case, each
from numpy.random import RandomState

from disentanglement.metrics.scores.unified_scores import ALL_MATRICES, UnifiedScoresResult, unified_scores
from disentanglement.metrics.statistics.aggregations import Matrix, group_curve
from disentanglement.metrics.statistics.information import entropies
from disentanglement.specs.metrics import MetricSpec, RelationMatrix, UnifiedScores

RECORDED_AS: dict[RelationMatrix, str] = {
    "importance_gbt_matrix": "ref_dci_importance",
    "mutual_information_matrix": "ref_mutual_information",
    "accuracy_svm_matrix": "ref_sap_matrix_discrete",
}
TREES: RelationMatrix = "importance_gbt_matrix"
TREES_ALWAYS = [*SMALL, "shapes3d_dead"]


def of_recorded_matrices(case: Case, *, has_merges: bool) -> UnifiedScoresResult:
    matrices = {name: case.arrays[recorded] for name, recorded in RECORDED_AS.items()}
    return UnifiedScoresResult(matrices, entropies(case.points("train").factors_NK), has_merges)


@each(CASES)
def test_aggregations_of_the_recorded_matrices_are_the_references(case: Case) -> None:
    scores = of_recorded_matrices(case, has_merges=False).scores()
    assert scores == pytest.approx(case.recorded["unified_scores"], abs=1e-12)


@each(CASES)
def test_factors_merge_at_the_references_ranks(case: Case) -> None:
    recorded = case.recorded["unified_scores_with_merges"]
    scores = of_recorded_matrices(case, has_merges=True).scores()
    ranks = {key: value for key, value in scores.items() if ".merge_" in key}
    without_ties = [name for name, array in RECORDED_AS.items() if is_without_ties(case.arrays[array])]
    assert without_ties or case.name in {"dsprites_redundant", "shapes3d_dead", "small_dead", "dsprites_perfect"}
    for name in without_ties:
        assert of_matrix(ranks, name) == of_matrix(recorded, name)


def is_without_ties(matrix_DK: np.ndarray) -> bool:
    return len(np.unique(matrix_DK)) == matrix_DK.size


def of_matrix(scores: dict[str, float], name: str) -> dict[str, float]:
    return {key: value for key, value in scores.items() if key.startswith(f"{name}.")}


@each(CASES)
def test_scores_but_for_those_of_trees_are_the_references(case: Case) -> None:
    names = tuple(name for name in ALL_MATRICES if name != TREES)
    result = unified_scores(case.points("train"), case.points("test"), random_state=RandomState(0), matrices=names)
    recorded = {key: value for name in names for key, value in with_stable_area(case, name).items()}
    assert result.scores() | stable_areas(result) == pytest.approx(recorded, abs=1e-12)


def test_arrays_that_are_scored_have_these_scores() -> None:
    case = Case("small_entangled")
    spec = MetricSpec(unified_scores=UnifiedScores(num_train=1, num_test=1, matrix_fns=("accuracy_svm_matrix",)))
    recorded = of_matrix(case.recorded["unified_scores"], "accuracy_svm_matrix")
    assert case.scores(spec, "unified_scores") == pytest.approx(recorded, abs=1e-12)


@each(CASES, TREES_ALWAYS)
def test_scores_of_trees_are_the_references_within_the_spread_over_seeds(case: Case) -> None:
    train, test = case.points("train"), case.points("test")
    entropy_K = entropies(train.factors_NK)
    fitted = [unified_scores(train, test, random_state=RandomState(seed), matrices=(TREES,)) for seed in range(3)]
    runs = [of_rounded(result.matrices[TREES], entropy_K) for result in fitted]
    recorded = of_rounded(case.arrays[RECORDED_AS[TREES]], entropy_K)
    assert set(fitted[0].scores()) == set(of_matrix(case.recorded["unified_scores"], TREES))
    for key, value in recorded.items():
        ours = [run[key] for run in runs]
        slack = max(max(ours) - min(ours), 0.1 if key[-1].isdigit() else 0.03)
        assert min(ours) - slack <= value <= max(ours) + slack, key


def of_rounded(importance_DK: Matrix, entropy_K: Matrix) -> dict[str, float]:
    return UnifiedScoresResult({TREES: importance_DK.round(12)}, entropy_K).scores()


def with_stable_area(case: Case, name: RelationMatrix) -> dict[str, float]:
    """Recorded scores of a matrix, but the area of its entries to 12 digits."""
    matrix_DK = case.arrays[RECORDED_AS[name]]
    areas = stable_areas(UnifiedScoresResult({name: matrix_DK}, np.ones(matrix_DK.shape[1])))
    return of_matrix(case.recorded["unified_scores"], name) | areas


def stable_areas(result: UnifiedScoresResult) -> dict[str, float]:
    """The area of each matrix to 12 digits."""
    return {f"{name}.area_precision": group_curve(matrix.round(12)).area for name, matrix in result.matrices.items()}
