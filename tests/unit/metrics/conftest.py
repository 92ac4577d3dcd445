"""The identity data of the reference's own tests, and its representations as functions of the factors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes, Factors


@dataclass(frozen=True)
class IdentityData:
    """Ten factors, values 1 to 10; the observation is the factor row, and `code` maps rows [N, 10] to codes."""

    code: Callable[[Factors], Codes]
    factor_sizes: Sequence[int] = (1,) * 10

    @property
    def num_codes(self) -> int:
        return int(self.code(np.ones((1, 10), dtype=np.int64)).shape[1])

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        return rs.randint(1, 11, size=(num, 10))

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        return np.asarray(np.ravel_multi_index(tuple(factors_NK.T - 1), (10,) * 10))

    def codes_of(self, rows_N: NDArray[np.int64]) -> Codes:
        return self.code(np.stack(np.unravel_index(rows_N, (10,) * 10), axis=1) + 1)


def observed(factors_NK: Factors) -> Codes:
    return factors_NK.astype(np.float64)


def zeros(factors_NK: Factors) -> Codes:
    return np.zeros(factors_NK.shape)


def duplicated(factors_NK: Factors) -> Codes:
    return np.hstack([factors_NK, factors_NK]).astype(np.float64)


def linear(factors_NK: Factors) -> Codes:
    """Six codes, each a blurred factor."""
    distance = np.arange(10)[:, None] - np.arange(6)[None, :]
    return factors_NK @ (1.0 / (1.0 + distance**2))


def shuffled() -> Callable[[Factors], Codes]:
    """Every point's codes in an order of its own."""
    rs = RandomState(0)

    def code(factors_NK: Factors) -> Codes:
        return np.array([rs.permutation(row) for row in factors_NK], dtype=np.float64)

    return code


@pytest.fixture
def representation() -> Callable[[str], IdentityData]:
    """A representation of the identity data by name."""
    codes = {
        "identity": observed,
        "zeros": zeros,
        "duplicated": duplicated,
        "linear": linear,
        "shuffled": shuffled(),
    }
    return lambda name: IdentityData(codes[name])
