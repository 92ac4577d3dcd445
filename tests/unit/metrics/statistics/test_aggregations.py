"""Aggregations of matrices worked out by hand, beside brute force, and laws of theirs."""

from __future__ import annotations

from itertools import combinations
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers, permutations, sampled_from
from numpy.typing import NDArray

from disentanglement.metrics.statistics.aggregations import (
    completeness,
    completenesses,
    disentanglement,
    disentanglements,
    group_curve,
    merge_ranks,
    modularities,
)

Matrix = NDArray[np.float64]

DIAGONAL = 5.0 * np.eye(5)
TWO_OF_TEN = 1 - log(2) / log(10)
MEASURED = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0.3], [0.1, 0.05, 0.6], [0.5, 0.5, 0.5]])
"""Whose aggregations were noted from a run of the reference, to eight digits."""

some_matrices = arrays(np.float64, (4, 3), elements=floats(0, 1))
with_ties = arrays(np.float64, (4, 3), elements=sampled_from([0.0, 0.25, 0.5, 1.0]))


def groups_by_brute_force(matrix_DK: Matrix, threshold: float) -> int:
    """Start with a group for each edge; while two share a code or a factor, make them one."""
    groups = [{f"code {d}", f"factor {k}"} for d, k in np.argwhere((matrix_DK >= threshold) & (matrix_DK != 0))]
    while touching := [(a, b) for a, b in combinations(groups, 2) if a & b]:
        first, second = touching[0]
        groups = [group for group in groups if group not in (first, second)] + [first | second]
    return len(groups)


@pytest.mark.parametrize(
    ("matrix", "expected_disentanglement", "expected_completeness"),
    [
        pytest.param(DIAGONAL, 1, 1, id="diagonal"),
        pytest.param(np.array([[1.0, 0], [0, 1], [0, 0]]), 1, 1, id="a code used for nothing"),
        pytest.param(np.zeros((10, 10)), 0, 0, id="zeros"),
        pytest.param(np.vstack([DIAGONAL, DIAGONAL]), 1, TWO_OF_TEN, id="each factor in two codes"),
        pytest.param(DIAGONAL[:2], 1, 1, id="factors that no code serves"),
        pytest.param(np.hstack([DIAGONAL, DIAGONAL]), TWO_OF_TEN, 1, id="each code for two factors"),
    ],
)
def test_disentanglement_and_completeness_are_those_of_the_references_own_tests(
    matrix: Matrix, expected_disentanglement: float, expected_completeness: float
) -> None:
    assert disentanglement(matrix) == pytest.approx(expected_disentanglement, rel=1e-7, abs=1e-7)
    assert completeness(matrix) == pytest.approx(expected_completeness, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        pytest.param(DIAGONAL, 1, id="diagonal"),
        pytest.param(np.array([[1.0, 0], [0, 1], [0, 0]]), 2 / 3, id="a code used for nothing"),
        pytest.param(np.zeros((10, 10)), 0, id="zeros"),
        pytest.param(np.vstack([DIAGONAL, DIAGONAL]), 1, id="each factor in two codes"),
        pytest.param(DIAGONAL[:2], 1, id="factors that no code serves"),
        pytest.param(np.hstack([DIAGONAL, DIAGONAL]), 1 - 1 / 9, id="each code for two factors"),
    ],
)
def test_modularity_is_that_of_the_references_own_tests(matrix: Matrix, expected: float) -> None:
    assert modularities(matrix).mean() == pytest.approx(expected)


def test_aggregations_are_those_measured_from_the_reference() -> None:
    assert disentanglement(MEASURED) == pytest.approx(0.27051865, abs=5e-9)
    assert completeness(MEASURED) == pytest.approx(0.23508074, abs=5e-9)
    assert modularities(MEASURED).mean() == pytest.approx(0.71872589, abs=5e-9)
    assert group_curve(MEASURED).area == pytest.approx(1.35)
    assert group_curve(MEASURED).highest == 3


def test_scores_of_single_codes_and_factors_are_worked_out_by_hand() -> None:
    matrix = np.array([[3.0, 1.0], [1.0, 1.0]])  # shares of rows 3/4, 1/4 and 1/2, 1/2; columns alike
    quarter = 1 - (0.75 * log(4 / 3) + 0.25 * log(4)) / log(2)
    assert disentanglements(matrix) == pytest.approx([quarter, 0.0], abs=1e-9)
    assert completenesses(matrix) == pytest.approx([quarter, 0.0], abs=1e-9)
    assert disentanglement(matrix) == pytest.approx(quarter * 4 / 6)
    assert modularities(matrix) == pytest.approx([1 - 1 / 9, 0.0])


@given(matrix=some_matrices, codes=permutations(range(4)), factors=permutations(range(3)))
def test_scores_are_bounded_and_ignore_the_order_of_codes_and_factors(
    matrix: Matrix, codes: list[int], factors: list[int]
) -> None:
    moved = matrix[codes][:, factors]
    for score in (disentanglement, completeness):
        assert -1e-9 <= score(matrix) <= 1 + 1e-9
        assert score(moved) == pytest.approx(score(matrix), abs=1e-9)
    assert disentanglements(moved) == pytest.approx(disentanglements(matrix)[codes], abs=1e-9)
    assert completenesses(moved) == pytest.approx(completenesses(matrix)[factors], abs=1e-9)
    assert modularities(moved) == pytest.approx(modularities(matrix)[codes], abs=1e-9)
    assert ((modularities(matrix) >= -1e-9) & (modularities(matrix) <= 1)).all()


@given(matrix=with_ties, scale=sampled_from([0.125, 0.3, 7.0, 1e3]))
def test_only_the_area_depends_on_the_scale(matrix: Matrix, scale: float) -> None:
    for score in (disentanglements, completenesses, modularities):
        assert score(matrix * scale) == pytest.approx(score(matrix), abs=1e-7)  # within the floor of the entropy
    assert group_curve(matrix * scale).area == pytest.approx(group_curve(matrix).area * scale)
    assert group_curve(matrix * scale).num_groups_T.tolist() == group_curve(matrix).num_groups_T.tolist()


@given(matrix=some_matrices)
def test_disentanglement_of_the_transpose_is_completeness(matrix: Matrix) -> None:
    assert disentanglement(matrix.T) == completeness(matrix)


@given(matrix=with_ties)
def test_groups_are_those_found_by_brute_force_at_every_threshold(matrix: Matrix) -> None:
    curve = group_curve(matrix)
    assert curve.threshold_T.tolist() == sorted(set(matrix.ravel()), reverse=True)
    assert curve.num_groups_T.tolist() == [groups_by_brute_force(matrix, value) for value in curve.threshold_T]
    assert curve.highest == max(groups_by_brute_force(matrix, value) for value in matrix.ravel())


@given(matrix=with_ties)
def test_the_area_is_the_trapezoids_over_all_entries(matrix: Matrix) -> None:
    thresholds = sorted(matrix.ravel(), reverse=True)
    heights = [groups_by_brute_force(matrix, value) for value in thresholds]
    assert group_curve(matrix).area == pytest.approx(-np.trapezoid(heights, thresholds))
    assert group_curve(matrix.T).area == pytest.approx(group_curve(matrix).area)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [(np.zeros((5, 5)), 0), (np.eye(5), 5), (np.triu(np.ones((5, 5))), 1), (np.ones((5, 5)), 1)],
)
def test_groups_at_the_highest_threshold_are_those_of_the_references_own_tests(matrix: Matrix, expected: int) -> None:
    assert group_curve(matrix).num_groups_T[0] == expected


def test_the_area_of_two_pairs_that_become_one_is_worked_out_by_hand() -> None:
    # One group from 4 on, two from 3, both in one from 2, and so to 1: trapezoids of 1.5, 1.5 and 1.
    curve = group_curve(np.array([[4.0, 2.0], [1.0, 3.0]]))
    assert curve.num_groups_T.tolist() == [1, 2, 1, 1]
    assert curve.area == pytest.approx(4.0)


def test_factors_merge_when_an_entry_connects_them() -> None:
    # Falling: code 1 to factor 1 (4), code 0 to factor 1 (3), code 1 to factor 0 (2, rank 2): the first merge.
    assert merge_ranks(np.array([[1.0, 3.0], [2.0, 4.0]])) == {(0, 1): 2}


def test_a_factor_that_merges_with_two_merges_with_both_at_the_same_rank() -> None:
    # Code 0 connects factors 1 and 2 at rank 1; code 1 has factor 0 (rank 2), and connects it to factor 2 at rank 3.
    matrix = np.array([[0.0, 0.8, 0.9], [0.7, 0.0, 0.6]])
    assert merge_ranks(matrix) == {(1, 2): 1, (2, 0): 3, (1, 0): 3}


@given(seed=integers(0, 2**32 - 1), shape=sampled_from([(2, 4), (5, 3), (1, 3), (4, 1)]))
def test_each_pair_of_factors_merges_once_as_soon_as_both_are_in_one_group(seed: int, shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape) + 1.0
    ranks = merge_ranks(matrix)
    assert {frozenset(pair) for pair in ranks} == {frozenset(pair) for pair in combinations(range(shape[1]), 2)}
    assert len(ranks) == shape[1] * (shape[1] - 1) / 2
    falling = np.sort(matrix, axis=None)[::-1]
    for (left, right), rank in ranks.items():
        assert not are_connected(matrix, falling[rank] + 0.5, left, right)
        assert are_connected(matrix, falling[rank], left, right)


def are_connected(matrix_DK: Matrix, threshold: float, left: int, right: int) -> bool:
    """Whether some way of strong entries leads from one factor to the other: powers of the matrix of factors."""
    edges_DK = (matrix_DK >= threshold).astype(float)
    reach_KK = np.eye(matrix_DK.shape[1]) + edges_DK.T @ edges_DK
    return bool(np.linalg.matrix_power(reach_KK, matrix_DK.shape[1])[left, right] > 0)


def test_equal_entries_connect_in_a_fixed_order() -> None:
    assert merge_ranks(np.ones((2, 3))) == merge_ranks(np.ones((2, 3)))
    assert merge_ranks(np.zeros((2, 2))) == {(0, 1): 2}  # the last of all entries first: factor 1's, then factor 0's
