from __future__ import annotations

import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disentanglement.metrics.statistics.batch_statistics import batch_differences, batch_variances


def test_statistics_are_worked_out_by_hand() -> None:
    codes = np.array([[[1.0, 0.0], [3.0, 0.0], [5.0, 6.0]]])
    assert batch_variances(codes).tolist() == [[4.0, 12.0]]
    assert batch_differences(codes, np.zeros_like(codes)).tolist() == [[3.0, 2.0]]


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(2, 70), dtype=st.sampled_from([np.float32, np.float64]))
def test_compiled_sums_are_numpys_to_the_last_bit(seed: int, size: int, dtype: type) -> None:
    import_module("numba")  # who has it loaded has the compiled sums
    first, second = np.random.default_rng(seed).normal(3.0, size=(2, 5, size, 4)).astype(dtype)
    assert batch_variances(first).tobytes() == np.var(first, axis=1, ddof=1).tobytes()
    assert batch_differences(first, second).tobytes() == np.abs(first - second).mean(axis=1).tobytes()


def test_without_the_compiler_numpy_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    codes = np.random.default_rng(0).normal(size=(3, 7, 2))
    assert (batch_variances(codes) == np.var(codes, axis=1, ddof=1)).all()
    assert (batch_differences(codes, codes[::-1]) == np.abs(codes - codes[::-1]).mean(axis=1)).all()


def test_batches_of_one_point_have_no_variance() -> None:
    with pytest.warns(RuntimeWarning):
        assert np.isnan(batch_variances(np.ones((2, 1, 3)))).all()
