from __future__ import annotations

from collections.abc import Callable
from math import isnan, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from disentanglement.errors import MetricUndefined
from disentanglement.metrics import evaluate_metric
from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.unsupervised_metrics import (
    gaussian_total_correlation,
    gaussian_wasserstein_correlation,
    unsupervised_metrics,
)
from disentanglement.specs.metrics import MetricSpec, UnsupervisedMetrics

CORRELATED = np.array([[1.0, 0.9], [0.9, 1.0]])
GRID = FactorGrid((3, 4)).all_factors().astype(np.float64)


def mixed_codes(seed: int, num_points: int = 50) -> Codes:
    rng = np.random.default_rng(seed)
    codes: Codes = rng.normal(size=(num_points, 3)) @ rng.normal(size=(3, 3))
    return codes


def test_total_correlation_of_two_correlated_codes_is_known() -> None:
    assert gaussian_total_correlation(CORRELATED) == pytest.approx(-0.5 * log(1 - 0.9**2))
    assert gaussian_total_correlation(np.diag([1.0, 4.0, 9.0])) == pytest.approx(0.0)


def test_wasserstein_distance_of_two_correlated_codes_is_known() -> None:
    # Eigenvalues 1.9 and 0.1; the product of marginals is standard: sum of (1 - root)^2.
    expected = (1 - 1.9**0.5) ** 2 + (1 - 0.1**0.5) ** 2
    assert gaussian_wasserstein_correlation(CORRELATED) == pytest.approx(expected)
    assert gaussian_wasserstein_correlation(np.diag([1.0, 4.0, 9.0])) == pytest.approx(0.0, abs=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
def test_wasserstein_distance_is_the_references_matrix_root(seed: int) -> None:
    covariance = np.asarray(np.cov(mixed_codes(seed), rowvar=False), dtype=np.float64)
    root = sqrtm(np.diag(np.diag(covariance)) @ covariance)
    expected = 2 * np.trace(covariance) - 2 * np.trace(root).real
    ours = gaussian_wasserstein_correlation(covariance)
    assert ours == pytest.approx(expected, rel=1e-6, abs=1e-6 * np.trace(covariance))


def test_independent_codes_share_nothing() -> None:
    scores = unsupervised_metrics(GRID).scores()
    assert scores == pytest.approx(dict.fromkeys(scores, 0.0), abs=1e-12)


def test_information_is_averaged_over_pairs_and_counted_in_nats() -> None:
    codes = np.stack([GRID[:, 0], GRID[:, 0], GRID[:, 1]], axis=1)
    result = unsupervised_metrics(codes)
    assert result.information_DD == pytest.approx(np.array([[log(3), log(3), 0], [log(3), log(3), 0], [0, 0, log(4)]]))
    assert result.scores()["mutual_info_score"] == pytest.approx(2 * log(3) / 6)


@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(3)))
def test_the_order_of_codes_changes_nothing(seed: int, order: list[int]) -> None:
    codes = mixed_codes(seed)
    ours, other = (unsupervised_metrics(c).scores() for c in (codes, codes[:, order]))
    assert other == pytest.approx(ours, rel=1e-6, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-30.0, 30.0))
def test_total_correlation_and_distance_do_not_depend_on_offsets(seed: int, shift: float) -> None:
    codes = mixed_codes(seed)
    ours, moved = (unsupervised_metrics(c).scores() for c in (codes, codes + np.array([shift, 0.0, -shift])))
    for key in ("gaussian_total_correlation", "gaussian_wasserstein_correlation"):
        assert moved[key] == pytest.approx(ours[key], rel=1e-4, abs=1e-6)


@given(seed=st.integers(0, 2**32 - 1), exponents=st.lists(st.integers(-3, 3), min_size=3, max_size=3))
def test_total_correlation_and_information_do_not_depend_on_the_scale_of_each_code(
    seed: int, exponents: list[int]
) -> None:
    codes = mixed_codes(seed)
    ours, scaled = (unsupervised_metrics(c).scores() for c in (codes, codes * 2.0 ** np.array(exponents)))
    for key in ("gaussian_total_correlation", "mutual_info_score"):
        assert scaled[key] == pytest.approx(ours[key], rel=1e-9, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_normalized_distance_does_not_depend_on_a_common_scale(seed: int) -> None:
    codes = mixed_codes(seed)
    ours, scaled = (unsupervised_metrics(c).scores() for c in (codes, codes * 8.0))
    assert scaled["gaussian_wasserstein_correlation"] == pytest.approx(64 * ours["gaussian_wasserstein_correlation"])
    key = "gaussian_wasserstein_correlation_norm"
    assert scaled[key] == pytest.approx(ours[key])
    assert 0 <= ours[key] <= 2


def test_a_code_that_never_changes_leaves_the_other_scores() -> None:
    scores = unsupervised_metrics(np.hstack([GRID, np.ones((12, 1))])).scores()
    assert isnan(scores.pop("gaussian_total_correlation"))
    assert scores == pytest.approx(dict.fromkeys(scores, 0.0), abs=1e-12)


def test_codes_of_which_none_changes_have_no_normalized_distance() -> None:
    scores = unsupervised_metrics(np.ones((5, 2))).scores()
    assert isnan(scores["gaussian_total_correlation"])
    assert isnan(scores["gaussian_wasserstein_correlation_norm"])
    assert (scores["gaussian_wasserstein_correlation"], scores["mutual_info_score"]) == (0.0, 0.0)


def test_a_doubled_code_is_at_a_finite_real_distance() -> None:
    covariance = np.ones((2, 2))
    assert gaussian_total_correlation(covariance) == np.inf
    assert gaussian_wasserstein_correlation(covariance) == pytest.approx(4 - 2 * 2**0.5)


def test_single_precision_is_taken() -> None:
    codes = mixed_codes(0)
    single, double = (unsupervised_metrics(c).scores() for c in (codes.astype(np.float32), codes))
    assert single == pytest.approx(double, rel=1e-4)


def test_one_code_one_point_and_codes_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(MetricUndefined, match="2 columns of codes or more, got 1"):
        unsupervised_metrics(GRID[:, :1])
    with pytest.raises(MetricUndefined, match="2 rows or more; got 1"):
        unsupervised_metrics(GRID[:1])
    with pytest.raises(MetricUndefined, match=r"codes\[:, 1\] is inf at row 2"):
        unsupervised_metrics(np.where(np.arange(24).reshape(12, 2) == 5, np.inf, GRID))


@pytest.mark.parametrize(
    ("name", "num_train", "expected"),
    [
        ("identity", 3000, (0.00698968, 0.05732098, 0.00069609, 0.01448614)),
        ("linear", 1000, (2.62290925, 26.66709702, 0.34864968, 0.35186141)),
    ],
)
def test_the_references_numbers_on_its_identity_data(
    representation: Callable[[str], object], name: str, num_train: int, expected: tuple[float, ...]
) -> None:
    spec = MetricSpec(unsupervised_metrics=UnsupervisedMetrics(num_train=num_train))
    scores = evaluate_metric(spec, representation(name), 0).scores()  # type: ignore[arg-type]
    assert tuple(scores.values()) == pytest.approx(expected, abs=1e-7)
