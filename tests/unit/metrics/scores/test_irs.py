from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics import evaluate_metric
from disentanglement.metrics.arrays import Codes, Factors
from disentanglement.metrics.sampling.points import FactorGrid
from disentanglement.metrics.scores.irs import irs
from disentanglement.specs.metrics import Irs, MetricSpec

GRID = FactorGrid((3, 4)).all_factors()


def noisy_codes(seed: int, num_points: int = 60) -> tuple[Codes, Factors]:
    rng = np.random.default_rng(seed)
    factors = np.vstack([GRID, rng.integers(0, 3, size=(num_points - len(GRID), 2))])
    return factors @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(num_points, 3)), factors


def straightforward(codes_ND: Codes, factors_NK: Factors, quantile: float) -> NDArray[np.float64]:
    """Robustness [D, K], for factors of few values, point by point."""
    robustness = np.empty((codes_ND.shape[1], factors_NK.shape[1]))
    for code, factor in np.ndindex(*robustness.shape):
        strays = []
        for value in sorted(set(factors_NK[:, factor].tolist())):
            group = [c for c, f in zip(codes_ND[:, code], factors_NK[:, factor], strict=True) if f == value]
            distances = sorted(abs(c - sum(group) / len(group)) for c in group)
            place = quantile * (len(distances) - 1)
            below = int(place)
            above = min(below + 1, len(distances) - 1)
            strays.append(distances[below] + (place - below) * (distances[above] - distances[below]))
        whole = max(abs(c - codes_ND[:, code].mean()) for c in codes_ND[:, code])
        robustness[code, factor] = 1 - sum(strays) / len(strays) / whole
    return robustness


def test_a_code_that_copies_its_factor_is_robust() -> None:
    result = irs(GRID.astype(np.float64), GRID)
    assert result.scores()["IRS"] == pytest.approx(1.0)
    assert result.parents.tolist() == [0, 1]


def test_the_score_is_worked_out_by_hand() -> None:
    # The code 10 a + b of factors a (2 values) and b (3 values) strays from its mean by 6 at most. Given a it strays
    # by 1 (at most), given b by 5: robustness 5/6 and 1/6.
    factors = FactorGrid((2, 3)).all_factors()
    codes = (10 * factors[:, :1] + factors[:, 1:]).astype(np.float64)
    result = irs(codes, factors, diff_quantile=1.0)
    assert result.max_deviation_A == pytest.approx([6.0])
    assert result.robustness_AK == pytest.approx(np.array([[5 / 6, 1 / 6]]))
    assert result.scores() == pytest.approx({"IRS": 5 / 6, "num_active_dims": 36.0, "num_active_codes": 1.0})


def test_codes_count_by_how_far_they_stray() -> None:
    factors = FactorGrid((2, 3)).all_factors()
    codes = np.stack([10 * factors[:, 0] + factors[:, 1], 3 * factors[:, 0]], axis=1).astype(np.float64)
    expected = (6 * 5 / 6 + 1.5 * 1.0) / (6 + 1.5)
    assert irs(codes, factors, diff_quantile=1.0).scores()["IRS"] == pytest.approx(expected)


@given(seed=st.integers(0, 2**32 - 1), quantile=st.floats(0.0, 1.0))
def test_robustness_is_that_of_the_definition(seed: int, quantile: float) -> None:
    codes, factors = noisy_codes(seed)
    result = irs(codes, factors, diff_quantile=quantile)
    assert result.robustness_AK == pytest.approx(straightforward(codes, factors, quantile), abs=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.permutations(range(3)),
    scale=st.floats(0.1, 10.0),
    shift=st.floats(-5.0, 5.0),
)
def test_order_offset_and_common_scale_of_codes_change_nothing(
    seed: int, order: list[int], scale: float, shift: float
) -> None:
    codes, factors = noisy_codes(seed)
    changed = scale * codes[:, order] + shift
    assert irs(changed, factors[:, ::-1]).scores()["IRS"] == pytest.approx(irs(codes, factors).scores()["IRS"])


@given(seed=st.integers(0, 2**32 - 1))
def test_mirrored_factor_values_change_nothing(seed: int) -> None:
    codes, factors = noisy_codes(seed)
    mirrored = factors.max(axis=0) - factors
    assert irs(codes, mirrored).robustness_AK == pytest.approx(irs(codes, factors).robustness_AK)


def test_factors_of_many_values_are_cut_into_bins() -> None:
    factors = np.arange(40)[:, None]
    codes = factors.astype(np.float64)
    pairs_differ_by = 1.0  # 20 bins of two values each
    expected = 1 - pairs_differ_by / 2 / 19.5
    assert irs(codes, factors, num_bins=20, diff_quantile=1.0).scores()["IRS"] == pytest.approx(expected)


def test_the_references_count_of_active_codes_is_the_sum_of_their_entries() -> None:
    codes = np.hstack([GRID, np.full((12, 1), 7)]).astype(np.float64)
    scores = irs(codes, GRID).scores()
    assert scores["num_active_dims"] == GRID.sum()
    assert scores["num_active_codes"] == 2


def test_codes_that_never_change_have_no_part() -> None:
    codes, factors = noisy_codes(0)
    dead = np.hstack([np.ones((60, 1)), codes, np.zeros((60, 1))])
    result = irs(dead, factors)
    assert result.active_D.tolist() == [False, True, True, True, False]
    assert result.scores() == irs(codes, factors).scores()
    assert irs(np.zeros((12, 2)), GRID).scores() == {"IRS": 0.0, "num_active_dims": 0.0, "num_active_codes": 0.0}


def test_a_factor_of_a_single_value_explains_nothing() -> None:
    codes, factors = noisy_codes(0)
    constant = np.hstack([factors, np.zeros_like(factors[:, :1])])
    result = irs(codes, constant, diff_quantile=1.0)
    assert result.robustness_AK[:, 2] == pytest.approx(np.zeros(3), abs=1e-12)


def test_one_code_and_more_factors_than_codes_are_scored() -> None:
    codes, factors = noisy_codes(0)
    one = irs(codes[:, :1], factors)
    assert one.robustness_AK == pytest.approx(irs(codes, factors).robustness_AK[:1])


def test_single_precision_is_kept() -> None:
    codes, factors = noisy_codes(0)
    single, double = irs(codes.astype(np.float32), factors).scores(), irs(codes, factors).scores()
    assert single == pytest.approx(double, rel=1e-5)


def test_codes_that_are_no_numbers_are_named() -> None:
    codes, factors = noisy_codes(0)
    codes[4, 2] = np.nan
    with pytest.raises(MetricUndefined, match=r"codes\[:, 2\] is nan at row 4"):
        irs(codes, factors)


@pytest.mark.parametrize(("name", "score", "total"), [("identity", 1.0, None), ("linear", 0.51859475, 85011.01431636)])
def test_the_references_numbers_on_its_identity_data(
    representation: Callable[[str], object], name: str, score: float, total: float | None
) -> None:
    data = representation(name)
    scores = evaluate_metric(MetricSpec(irs=Irs(num_train=1000)), data, 0).scores()  # type: ignore[arg-type]
    assert scores["IRS"] == pytest.approx(score, abs=1e-8)
    assert total is None or scores["num_active_dims"] == pytest.approx(total, abs=1e-6)
