from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import (
    Points,
    as_codes,
    as_factors,
    check_factors_vary,
    check_paired,
    check_same_columns,
    check_several_codes,
    check_usable,
    gap_to_second,
)

FACTORS = np.array([[0, 1], [1, 0], [1, 1]])


def test_float32_and_float64_codes_keep_their_dtype() -> None:
    for dtype in (np.float32, np.float64):
        assert as_codes(np.ones((2, 2), dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float16])
def test_other_real_codes_become_float64(dtype: type) -> None:
    assert as_codes(np.ones((2, 2), dtype=dtype)).dtype == np.float64


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.ones(3), r"codes.shape: wanted \[points, columns\], both at least 1, got \[3\]"),
        (np.ones((0, 2)), r"codes.shape: .* got \[0, 2\]"),
        (np.ones((2, 0)), r"codes.shape: .* got \[2, 0\]"),
        (np.ones((2, 2, 2)), r"codes.shape: .* got \[2, 2, 2\]"),
        (np.ones((2, 2), dtype=complex), "codes.dtype: wanted real numbers, got complex128"),
        (np.array([["a", "b"]]), "codes.dtype: wanted real numbers, got <U1"),
        ([[1.0], [1.0, 2.0]], "codes: wanted an array of two dimensions, got rows of unequal lengths"),
    ],
)
def test_codes_that_are_no_table_of_numbers_are_a_spec_error(codes: NDArray[np.float64], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        as_codes(codes)


def test_factors_become_int64() -> None:
    for dtype in (np.int16, np.uint8, np.bool_):
        assert as_factors(np.ones((2, 2), dtype=dtype)).dtype == np.int64


def test_float_factors_are_a_spec_error_even_when_they_are_whole() -> None:
    with pytest.raises(SpecError, match=r"factors\.dtype: wanted integers, .* got float64"):
        as_factors(np.ones((2, 2)))


def test_metrics_take_integer_codes_only_after_conversion() -> None:
    with pytest.raises(SpecError, match=r"codes\.dtype: wanted float32 or float64, got int64"):
        check_paired(np.ones((3, 2), dtype=np.int64), FACTORS)


def test_as_many_factors_as_codes_are_wanted_and_the_prefix_is_named() -> None:
    with pytest.raises(SpecError, match=r"test_factors\.shape: wanted 2 rows, as many as test_codes, got 3"):
        check_paired(np.ones((2, 2)), FACTORS, prefix="test_")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_a_value_that_is_not_finite_in_float32_names_its_code_and_row(value: float) -> None:
    codes = np.zeros((3, 4))
    codes[2, 1] = value
    with pytest.raises(MetricUndefined, match=r"codes\[:, 1\] is .* at row 2"):
        check_usable(codes, FACTORS)


def test_the_largest_float32_is_a_usable_code() -> None:
    check_usable(np.full((3, 1), np.finfo(np.float32).max), FACTORS)


def test_a_single_code_is_named_as_the_reason() -> None:
    with pytest.raises(MetricUndefined, match="mig compares codes with each other: wanted 2 columns"):
        check_several_codes(np.ones((3, 1)), "mig")


def test_the_first_factor_that_never_changes_is_named() -> None:
    with pytest.raises(MetricUndefined, match=r"dci needs factors that vary; factors\[:, 1\] is 7 at every point"):
        check_factors_vary(np.array([[0, 7, 2], [1, 7, 2]]), "dci")


def test_held_out_points_need_the_same_columns() -> None:
    train = Points(np.ones((3, 2)), FACTORS)
    with pytest.raises(SpecError, match=r"test_codes\.shape: wanted 2 columns, got 3"):
        check_same_columns(train, Points(np.ones((3, 3)), FACTORS))
    with pytest.raises(SpecError, match=r"test_factors\.shape: wanted 2 columns, got 1"):
        check_same_columns(train, Points(np.ones((3, 2)), FACTORS[:, :1]))


def test_the_gap_is_between_the_best_and_the_second_best_code_of_each_factor() -> None:
    scores = np.array([[0.5, 0.1], [0.9, 0.1], [0.2, 0.75]])
    assert gap_to_second(scores) == pytest.approx([0.4, 0.65])
