from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers

from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.statistics.discretizer import discretize

some_codes = arrays(np.float64, (12, 2), elements=floats(-1e6, 1e6, width=32))


def test_six_values_fall_in_pairs_into_three_bins() -> None:
    rising = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    bins = discretize(np.stack([rising, rising[::-1]], axis=1), num_bins=3)
    assert bins.T.tolist() == [[1, 1, 2, 2, 3, 3], [3, 3, 2, 2, 1, 1]]


def test_a_value_on_an_edge_belongs_to_the_bin_on_its_right_but_for_the_last() -> None:
    assert discretize(np.array([[0.0], [1.0], [2.0], [3.0]]), num_bins=3).T.tolist() == [[1, 2, 3, 3]]


def test_a_code_that_never_changes_falls_into_one_bin() -> None:
    assert discretize(np.full((4, 1), 7.0), num_bins=20).T.tolist() == [[11, 11, 11, 11]]


def test_edges_are_computed_in_the_dtype_of_the_codes() -> None:
    # 0.7 rounded to float32 is the second edge in float32, and lies just below the second edge in float64.
    codes = np.array([[0.0], [0.7], [7.0]], dtype=np.float32)
    assert discretize(codes, num_bins=10).T.tolist() == [[1, 2, 10]]
    assert discretize(codes.astype(np.float64), num_bins=10).T.tolist() == [[1, 1, 10]]


def test_a_range_too_narrow_for_the_bins_is_still_binned() -> None:
    one = np.float32(1.0)
    bins = discretize(np.array([[one], [np.nextafter(one, np.float32(2))]]), num_bins=20)
    assert bins[0, 0] < bins[1, 0]


@given(codes=some_codes, num_bins=integers(2, 30))
def test_bins_rise_with_the_value_from_the_first_to_the_last(codes: Codes, num_bins: int) -> None:
    bins = discretize(codes, num_bins=num_bins)
    assert bins.min() >= 1
    assert bins.max() <= num_bins
    for code, binned in zip(codes.T, bins.T, strict=True):
        assert (np.diff(binned[np.argsort(code)]) >= 0).all()
        assert code.min() == code.max() or (binned.min(), binned.max()) == (1, num_bins)


@given(codes=arrays(np.float32, (12, 1), elements=floats(-100, 100, width=16)), num_bins=integers(2, 30))
def test_bins_are_those_of_a_histogram(codes: Codes, num_bins: int) -> None:
    counts, _ = np.histogram(codes[:, 0], bins=num_bins)
    bins = discretize(codes, num_bins=num_bins)
    assert np.bincount(bins[:, 0], minlength=num_bins + 1)[1:] == pytest.approx(counts)
