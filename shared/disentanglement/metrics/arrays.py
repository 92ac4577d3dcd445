"""What a metric takes: codes and the factors behind them, checked. Shapes: N points, D codes, K factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentanglement.errors import MetricUndefined, SpecError

Codes = NDArray[np.floating[Any]]
"""Codes [N, D], float32 or float64 as the representation gives them: histograms and variances keep it."""

CODE_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

Factors = NDArray[np.int64]
"""Factor values [N, K]: any integers, only their being equal or not matters."""

LARGEST_CODE = float(np.finfo(np.float32).max)
"""Decision trees compute in float32."""


@dataclass(frozen=True, slots=True)
class Points:
    """Codes of N points and the factor values behind them, row by row."""

    codes_ND: Codes
    factors_NK: Factors

    def __len__(self) -> int:
        return len(self.codes_ND)

    @property
    def num_bytes(self) -> int:
        """Memory that they take."""
        return self.codes_ND.nbytes + self.factors_NK.nbytes

    def rows(self, rows_N: NDArray[np.int64]) -> Points:
        """The points at these rows, in this order."""
        return Points(self.codes_ND[rows_N], self.factors_NK[rows_N])


@dataclass(frozen=True, slots=True)
class FixedFactorVariances:
    """Of M batches: which factor was kept fixed, and the variance (ddof 1) of each code within the batch."""

    factor_M: NDArray[np.int64]
    variance_MD: Codes


def as_codes(array: ArrayLike, field: str = "codes") -> Codes:
    """Codes [N, D] from what a user has: float32 and float64 stay, other real numbers become float64.

    Raises SpecError naming `field` where the array is not a table of real numbers.
    """
    table = _table(array, field)
    if table.dtype.kind not in "fiu":
        raise SpecError.of(f"{field}.dtype", "real numbers", table.dtype)
    return table if table.dtype in CODE_DTYPES else table.astype(np.float64)


def as_factors(array: ArrayLike, field: str = "factors") -> Factors:
    """Factor values [N, K] as int64. Raises SpecError where they are no integers: rounding would hide a mistake."""
    table = _table(array, field)
    if table.dtype.kind not in "iub":
        raise SpecError.of(f"{field}.dtype", "integers, one for each value of a factor", table.dtype)
    return table.astype(np.int64, copy=False)


def _table(array: ArrayLike, field: str) -> NDArray[Any]:
    try:
        table = np.asarray(array)
    except ValueError as error:
        raise SpecError.of(field, "an array of two dimensions", "rows of unequal lengths") from error
    if table.ndim != 2 or 0 in table.shape:
        raise SpecError.of(f"{field}.shape", "[points, columns], both at least 1", list(table.shape))
    return table


def check_usable(codes_ND: Codes, factors_NK: Factors, *, prefix: str = "") -> None:
    """As `check_paired`, and raises MetricUndefined naming the first code with a value that is not finite."""
    check_paired(codes_ND, factors_NK, prefix=prefix)
    check_finite(codes_ND, f"{prefix}codes")


def check_paired(codes_ND: Codes, factors_NK: Factors, *, prefix: str = "") -> None:
    """Raises SpecError naming the array whose shape or dtype is wrong; `prefix` is `test_` for held-out points."""
    if _table(codes_ND, f"{prefix}codes").dtype not in CODE_DTYPES:
        raise SpecError.of(f"{prefix}codes.dtype", "float32 or float64", codes_ND.dtype)
    as_factors(factors_NK, f"{prefix}factors")
    if len(codes_ND) != len(factors_NK):
        wanted = f"{len(codes_ND)} rows, as many as {prefix}codes"
        raise SpecError.of(f"{prefix}factors.shape", wanted, len(factors_NK))


def check_finite(codes_ND: Codes, name: str = "codes") -> None:
    """Raises MetricUndefined naming the first code that holds NaN, infinity or more than float32 can."""
    usable_ND = np.abs(codes_ND) <= LARGEST_CODE
    if not usable_ND.all():
        row, code = np.argwhere(~usable_ND)[0]
        value = codes_ND[row, code]
        raise MetricUndefined(f"{name}[:, {code}] is {value} at row {row}; wanted finite float32 values")


def check_same_columns(train: Points, test: Points) -> None:
    """Raises SpecError where held-out points have other codes or factors than the training points."""
    for name, wanted, given in (
        ("test_codes", train.codes_ND.shape[1], test.codes_ND.shape[1]),
        ("test_factors", train.factors_NK.shape[1], test.factors_NK.shape[1]),
    ):
        if wanted != given:
            raise SpecError.of(f"{name}.shape", f"{wanted} columns", given)


def check_several_codes(codes_ND: Codes, metric: str) -> None:
    """Raises MetricUndefined for a single code, where a metric compares codes with each other."""
    if codes_ND.shape[1] < 2:
        raise MetricUndefined(f"{metric} compares codes with each other: wanted 2 columns of codes or more, got 1")


def check_several_factors(factors_NK: Factors, metric: str) -> None:
    """Raises MetricUndefined for a single factor, where a metric compares factors with each other."""
    if factors_NK.shape[1] < 2:
        raise MetricUndefined(f"{metric} compares factors with each other: wanted 2 columns of factors or more, got 1")


def check_factors_vary(factors_NK: Factors, metric: str) -> None:
    """Raises MetricUndefined naming the first factor that has a single value: nothing can be known of it."""
    constant_K = (factors_NK == factors_NK[0]).all(axis=0)
    if constant_K.any():
        factor = int(np.argmax(constant_K))
        value = factors_NK[0, factor]
        raise MetricUndefined(f"{metric} needs factors that vary; factors[:, {factor}] is {value} at every point")


def gap_to_second(score_DK: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each factor [K], how far its best code is ahead of its second best."""
    second_K, best_K = np.sort(score_DK, axis=0)[-2:]
    gap_K: NDArray[np.float64] = best_K - second_K
    return gap_K
