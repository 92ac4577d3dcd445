from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis.strategies import integers

from disentanglement.metrics.sampling.combinations import combination_labels, groups_of


def test_equal_rows_have_equal_numbers() -> None:
    rows = np.array([[5, -1], [5, 2], [0, -1], [5, -1]])
    assert combination_labels(rows).tolist() == [1, 2, 0, 1]
    assert [group.tolist() for group in groups_of(combination_labels(rows))] == [[2], [0, 3], [1]]


def test_rows_of_no_column_are_all_equal() -> None:
    assert combination_labels(np.empty((3, 0), dtype=np.int64)).tolist() == [0, 0, 0]


@given(seed=integers(0, 2**32 - 1), num_columns=integers(1, 5))
def test_labels_are_those_of_distinct_rows_in_order(seed: int, num_columns: int) -> None:
    rows = np.random.default_rng(seed).integers(-2, 3, size=(40, num_columns)) * 2**40
    _, expected = np.unique(rows, axis=0, return_inverse=True)
    label = combination_labels(rows)
    assert (label == expected.ravel()).all()
    assert all((label[group] == position).all() for position, group in enumerate(groups_of(label)))
