from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from disentanglement.metrics.statistics.roc_area import roc_areas


def test_pairs_are_counted_and_equal_scores_count_half() -> None:
    # Class 0 scores 3, 1; the rest 2, 1: won, won, lost, equal.
    scores = np.array([[3.0], [1.0], [2.0], [1.0]])
    assert roc_areas(scores, np.array([0, 0, -1, -1])) == pytest.approx([2.5 / 4])


@given(seed=st.integers(0, 2**32 - 1), num_points=st.integers(10, 60), levels=st.integers(1, 30))
def test_areas_are_those_of_scikit_learn(seed: int, num_points: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (num_points, 3)) / levels
    classes = np.append([0, 1, 2], rng.integers(0, 3, num_points - 3))
    expected = [roc_auc_score(classes == class_, scores[:, class_]) for class_ in range(3)]
    assert roc_areas(scores, classes) == pytest.approx(expected, abs=1e-12)
    assert roc_areas(scores.astype(np.float32), classes) == pytest.approx(expected, abs=1e-12)


def test_a_class_of_no_point_or_of_all_has_no_area() -> None:
    scores = np.array([[0.5, 0.5], [0.2, 0.8]])
    assert np.isnan(roc_areas(scores, np.array([1, 1]))).all()
