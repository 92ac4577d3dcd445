"""Unified scores: what is computed of which matrix, edge cases, and the assertions of the reference's own tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.catalog import evaluate_metric
from disentanglement.metrics.sampling.points import FactorGrid, GridRepresentation, Representation
from disentanglement.metrics.scores.dci import dci
from disentanglement.metrics.scores.mig import mig
from disentanglement.metrics.scores.sap_score import sap_score_discrete
from disentanglement.metrics.scores.unified_scores import ALL_MATRICES, UnifiedScoresResult, unified_scores
from disentanglement.metrics.scoring import score_arrays
from disentanglement.specs.metrics import MetricSpec, RelationMatrix, UnifiedScores

Named = Callable[[str], Representation]

GRID = np.tile(FactorGrid((2, 3)).all_factors(), (6, 1))
INFORMATION: RelationMatrix = "mutual_information_matrix"
MACHINES: RelationMatrix = "accuracy_svm_matrix"
TREES: RelationMatrix = "importance_gbt_matrix"


def noisy(num_codes: int = 4, seed: int = 0) -> Points:
    """Codes that mix two factors, with noise."""
    rng = np.random.default_rng(seed)
    mixed = GRID @ rng.normal(size=(2, num_codes))
    return Points(mixed + 0.3 * rng.normal(size=mixed.shape), GRID)


def computed(train: Points, test: Points, *matrices: RelationMatrix, seed: int = 0) -> UnifiedScoresResult:
    return unified_scores(train, test, random_state=RandomState(seed), matrices=matrices)


def test_keys_and_values_of_a_matrix_are_worked_out_by_hand() -> None:
    entropy = np.array([np.log(2), 2.0])
    matrix = np.array([[4.0, 2.0], [1.0, 3.0]])
    scores = UnifiedScoresResult({INFORMATION: matrix}, entropy, has_merges=True).scores()
    assert scores.pop(f"{INFORMATION}.dci_disentanglement.code_0") == pytest.approx(0.0817041659)  # 1 - H2(2/3)
    assert scores.pop(f"{INFORMATION}.dci_disentanglement.code_1") == pytest.approx(0.1887218755)  # 1 - H2(1/4)
    assert scores.pop(f"{INFORMATION}.dci_completeness.code_0") == pytest.approx(0.2780719051)  # 1 - H2(1/5)
    assert scores.pop(f"{INFORMATION}.dci_completeness.code_1") == pytest.approx(0.0290494055)  # 1 - H2(2/5)
    overall = 0.6 * 0.0817041659 + 0.4 * 0.1887218755
    assert scores == {
        f"{INFORMATION}.{key}": pytest.approx(value)
        for key, value in {
            "merge_1_0": 2,  # by the entry of code 0, which has factor 0, with factor 1
            "area_precision": 4.0,
            "max_precision": 2,
            "dci_disentanglement": overall,
            "dci": overall,
            "dci_completeness": 0.5 * 0.2780719051 + 0.5 * 0.0290494055,
            "mig": (3 / np.log(2) + 1 / 2) / 2,
            "mig.factor_0": 3 / np.log(2),
            "mig.factor_1": 1 / 2,
            "sap": 2.0,
            "sap.factor_0": 3.0,
            "sap.factor_1": 1.0,
            "modularity": (1 - 1 / 4 + 1 - 1 / 9) / 2,
            "modularity.code_0": 1 - 1 / 4,
            "modularity.code_1": 1 - 1 / 9,
        }.items()
    }


def test_there_are_a_hundred_and_three_keys_of_each_matrix_of_ten_by_ten() -> None:
    result = UnifiedScoresResult({MACHINES: np.eye(10)}, np.ones(10), has_merges=True)
    assert len(result.scores()) == 103


def test_matrices_are_those_of_the_metrics_that_they_were_made_for() -> None:
    train, test = noisy(), noisy(seed=1)
    result = computed(train, test, *ALL_MATRICES, seed=5)
    trees = dci(train, test, random_state=RandomState(5))
    information = mig(train.codes_ND, train.factors_NK)
    machines = sap_score_discrete(train, test)
    assert tuple(result.matrices) == ALL_MATRICES
    assert (result.matrices[TREES] == trees.importance_DK).all()
    assert (result.matrices[INFORMATION] == information.information_DK).all()
    assert (result.matrices[MACHINES] == machines.prediction_DK).all()
    scores = result.scores()
    assert scores[f"{TREES}.dci"] == trees.scores()["disentanglement"]
    assert scores[f"{TREES}.dci_completeness"] == trees.scores()["completeness"]
    assert scores[f"{INFORMATION}.mig"] == information.scores()["discrete_mig"]
    assert scores[f"{MACHINES}.sap"] == machines.scores()["SAP_score"]


def test_bins_decide_the_mutual_information() -> None:
    train = noisy()
    few, many = (
        unified_scores(train, train, random_state=RandomState(0), matrices=(INFORMATION,), num_bins=bins).matrices
        for bins in (2, 20)
    )
    assert (few[INFORMATION] <= np.log(2) + 1e-12).all()
    assert many[INFORMATION].max() > np.log(2)


def test_codes_in_another_order_have_their_scores_moved_alone() -> None:
    train, test = noisy(), noisy(seed=1)
    order = [2, 0, 3, 1]
    moved = [Points(points.codes_ND[:, order], points.factors_NK) for points in (train, test)]
    first = computed(train, test, INFORMATION, MACHINES).scores()
    second = computed(moved[0], moved[1], INFORMATION, MACHINES).scores()
    for key, value in second.items():
        stem, _, code = key.rpartition("_")
        of_code = stem.endswith((".dci_disentanglement.code", ".modularity.code"))
        assert value == pytest.approx(first[f"{stem}_{order[int(code)]}" if of_code else key], abs=1e-12), key


def test_a_code_that_never_changes_knows_nothing() -> None:
    codes = np.hstack([GRID + 0.0, np.ones((len(GRID), 1))])
    points = Points(codes, GRID)
    scores = computed(points, points, TREES, INFORMATION).scores()
    assert scores[f"{TREES}.dci"] == pytest.approx(1.0)
    assert scores[f"{INFORMATION}.mig"] == pytest.approx(1.0)
    for name in (TREES, INFORMATION):
        assert scores[f"{name}.modularity.code_2"] == 0.0
        assert scores[f"{name}.dci_disentanglement.code_2"] == pytest.approx(0.0, abs=1e-9)


def test_more_factors_than_codes_have_a_score_each() -> None:
    factors = np.tile(FactorGrid((2, 2, 2)).all_factors(), (3, 1))
    points = Points(factors[:, :2] + 0.0, factors)
    scores = computed(points, points, INFORMATION).scores()
    assert scores[f"{INFORMATION}.mig.factor_2"] == pytest.approx(0.0, abs=1e-12)
    assert scores[f"{INFORMATION}.mig"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (Points(np.ones((6, 1)), GRID[:6]), "unified_scores compares codes"),
        (Points(np.ones((6, 2)), GRID[:6, :1]), "unified_scores compares factors"),
        (
            Points(np.ones((6, 2)), GRID[:6] * np.array([1, 0])),
            r"unified_scores needs factors that vary; factors\[:, 1\] is 0",
        ),
        (Points(np.full((6, 2), np.nan), GRID[:6]), r"codes\[:, 0\] is nan at row 0"),
    ],
)
def test_what_has_no_score_is_named(points: Points, message: str) -> None:
    with pytest.raises(MetricUndefined, match=message):
        computed(points, points, INFORMATION)


def test_held_out_points_of_other_width_are_a_spec_error() -> None:
    with pytest.raises(SpecError, match=r"test_codes\.shape: wanted 4 columns, got 3"):
        computed(noisy(4), noisy(3), INFORMATION)


def test_progress_rises_to_one_and_a_matrix_named_twice_is_computed_once() -> None:
    shares: list[float] = []
    train = noisy()
    names = (MACHINES, INFORMATION, MACHINES)
    result = unified_scores(train, train, random_state=RandomState(0), matrices=names, progress=shares.append)
    assert tuple(result.matrices) == (MACHINES, INFORMATION)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_merges_are_told_of_representations_and_not_of_arrays() -> None:
    spec = MetricSpec(unified_scores=UnifiedScores(num_train=60, num_test=30, matrix_fns=(INFORMATION,)))
    grid = FactorGrid((2, 3))
    shown = GridRepresentation(grid, grid.all_factors() @ np.array([[1.0, 0.2], [0.3, 1.0]]))
    of_representation = evaluate_metric(spec, shown, 0).scores()
    whole = MetricSpec(unified_scores=UnifiedScores(matrix_fns=(INFORMATION,)))
    of_arrays = score_arrays(GRID + 0.0, GRID, metrics=[whole])["unified_scores"]
    assert isinstance(of_arrays, dict)
    assert {key for key in set(of_representation) - set(of_arrays) if "merge" not in key} == set()
    assert len(of_representation) == len(of_arrays) + 1


@pytest.mark.parametrize(
    ("name", "num_train", "num_test", "matrix", "expected"),
    [
        ("identity", 10000, 100, INFORMATION, {"mig": (0.9, 1.0), "modularity": (0.9, 1.0)}),
        ("duplicated", 1000, 1000, INFORMATION, {"mig": (0.0, 0.1), "modularity": (0.9, 1.0)}),
        ("duplicated", 1000, 1000, MACHINES, {"sap": (0.0, 0.2)}),
        pytest.param("identity", 10000, 100, TREES, {"dci_disentanglement": (0.9, 1.0)}, marks=pytest.mark.slow),
        pytest.param("duplicated", 1000, 1000, TREES, {"dci_disentanglement": (0.9, 1.0)}, marks=pytest.mark.slow),
    ],
)
def test_scores_lie_where_the_references_own_tests_want_them(
    representation: Named,
    name: str,
    num_train: int,
    num_test: int,
    matrix: RelationMatrix,
    expected: dict[str, tuple[float, float]],
) -> None:
    spec = UnifiedScores(num_train=num_train, num_test=num_test, matrix_fns=(matrix,))
    scores = evaluate_metric(MetricSpec(unified_scores=spec), representation(name), 0).scores()
    for key, (lowest, highest) in expected.items():
        assert lowest <= scores[f"{matrix}.{key}"] <= highest
