from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import integers, sampled_from
from sklearn.metrics import mutual_info_score

from disentanglement.metrics.statistics.information import Labels, entropies, mutual_information

some_labels = arrays(np.int64, (15, 3), elements=integers(-3, 3))


def test_the_entropy_of_three_equally_frequent_values_is_ln_3() -> None:
    labels = np.array([[1, 1, 2, 2, 3, 3], [3, 3, 2, 2, 1, 1]]).T
    assert entropies(labels) == pytest.approx([log(3), log(3)])


def test_the_entropy_of_a_biased_coin_is_worked_out_by_hand() -> None:
    assert entropies(np.array([[0], [0], [0], [1]])) == pytest.approx([2 * log(2) - 0.75 * log(3)])


def test_the_entropy_of_a_constant_is_zero() -> None:
    assert entropies(np.array([[5], [5]])).tolist() == [0.0]


def test_columns_that_determine_each_other_share_their_entropy_and_independent_ones_nothing() -> None:
    left = np.array([[1, 2, 1, 2], [1, 1, 2, 2]]).T
    right = np.array([[1, 2, 1, 2], [2, 2, 1, 1]]).T
    assert mutual_information(left, right) == pytest.approx(np.array([[log(2), 0], [0, log(2)]]))


def test_partly_shared_information_is_worked_out_by_hand() -> None:
    left, right = np.array([[0], [0], [1], [1]]), np.array([[0], [0], [0], [1]])
    expected = 0.5 * log(0.5 / (0.5 * 0.75)) + 0.25 * log(0.25 / (0.5 * 0.75)) + 0.25 * log(0.25 / (0.5 * 0.25))
    assert mutual_information(left, right) == pytest.approx(np.array([[expected]]))


@given(left=some_labels, right=some_labels)
def test_mutual_information_is_symmetric_and_bounded_by_both_entropies(left: Labels, right: Labels) -> None:
    shared = mutual_information(left, right)
    assert shared == pytest.approx(mutual_information(right, left).T, abs=1e-12)
    assert (shared >= 0).all()
    assert (shared <= np.minimum.outer(entropies(left), entropies(right)) + 1e-12).all()


@given(labels=some_labels)
def test_a_column_shares_its_whole_entropy_with_itself(labels: Labels) -> None:
    assert np.diag(mutual_information(labels, labels)) == pytest.approx(entropies(labels), abs=1e-12)


@given(labels=some_labels)
def test_only_equality_of_labels_matters(labels: Labels) -> None:
    renamed = 1000 - 7 * labels
    assert mutual_information(renamed, labels) == pytest.approx(mutual_information(labels, labels), abs=1e-12)


@given(seed=integers(0, 2**32 - 1), spread=sampled_from([1, 7, 2**40]))
def test_information_of_all_pairs_is_scikit_learns(seed: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = (spread * rng.integers(-2, num, size=(50, 3)) for num in (3, 6))
    expected = [[mutual_info_score(right[:, k], left[:, d]) for k in range(3)] for d in range(3)]
    assert mutual_information(left, right) == pytest.approx(np.array(expected), abs=1e-12)
