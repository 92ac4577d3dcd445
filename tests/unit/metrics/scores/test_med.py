from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, permutations

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.scores.med import med, med_with_informativeness

FACTORS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
JOINT_AND_SECOND = (FACTORS @ [[2, 0], [1, 1]]).astype(float)
"""Code 0 tells both binary factors, code 1 the second."""


def random_points(seed: int) -> Points:
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, 3, size=(60, 3))
    return Points(factors @ rng.normal(size=(3, 4)) + 0.1 * rng.normal(size=(60, 4)), factors)


def test_shares_and_scores_are_worked_out_by_hand() -> None:
    result = med(JOINT_AND_SECOND, FACTORS, top_k=1)
    assert result.importance_DK == pytest.approx(np.array([[1.0, 0.5], [0.0, 0.5]]), abs=1e-12)
    # Code 0: shares 2/3 and 1/3 of its own, 1 - H = 1 - 0.918296; weight 3/4. Code 1 serves one factor; weight 1/4.
    assert result.scores() == {
        "disentanglement": pytest.approx(0.75 * (1 - 0.9182958340544896) + 0.25, abs=1e-9),
        "completeness": pytest.approx(0.5, abs=1e-9),
        "top1_disentanglement": pytest.approx(0.31127812445913283, abs=1e-9),
        "top1_completeness": pytest.approx(0.5, abs=1e-9),
    }


def test_the_top_keeps_the_most_disentangled_codes_of_each_factor_as_they_are() -> None:
    first, second = FACTORS.T
    codes = np.stack([FACTORS @ [2, 1], first, second, first, second], axis=1).astype(float)
    one, two = (med(codes, FACTORS, top_k=k) for k in (1, 2))
    # Each knows a third of what is known of its factor; code 0, which tells both, comes after those that tell one.
    assert one.kept_D.tolist() == [False, True, True, False, False]
    assert two.kept_D.tolist() == [False, True, True, True, True]
    assert one.scores()["top1_disentanglement"] == pytest.approx(1.0)
    assert one.scores()["top1_completeness"] == pytest.approx(1.0)
    assert two.scores()["top2_disentanglement"] == pytest.approx(1.0)
    assert two.scores()["top2_completeness"] == pytest.approx(1 - np.log(2) / np.log(4))


def test_the_completeness_of_a_single_kept_code_is_left_out() -> None:
    codes = np.stack([FACTORS @ [2, 1], FACTORS @ [2, 1]], axis=1).astype(float)
    result = med(codes, FACTORS)
    assert result.kept_D.tolist() == [True, False]
    assert set(result.scores()) == {"disentanglement", "completeness", "top1_disentanglement"}


def test_a_dead_code_counts_for_the_first_factor_as_in_the_reference() -> None:
    codes = np.column_stack([JOINT_AND_SECOND, np.full(4, 3.0)])
    assert med(codes, FACTORS, top_k=1).kept_D.tolist() == [True, True, False]
    assert med(codes, FACTORS, top_k=2).kept_D.tolist() == [True, True, True]


@given(
    seed=integers(0, 2**32 - 1),
    order=permutations(range(4)),
    factor_order=permutations(range(3)),
    scale=floats(0.5, 2),
)
def test_order_of_codes_and_factors_labels_and_scale_do_not_matter(
    seed: int, order: list[int], factor_order: list[int], scale: float
) -> None:
    points = random_points(seed)
    labels = np.array([7, -3, 100])[points.factors_NK[:, factor_order]]
    before = med(points.codes_ND, points.factors_NK).importance_DK
    scaled = np.float64(2.0 ** round(scale)) * points.codes_ND  # a power of two: bins stay the same to the last bit
    assert med(scaled[:, order], labels).importance_DK == pytest.approx(before[order][:, factor_order], abs=1e-12)


@given(seed=integers(0, 2**32 - 1), top_k=integers(1, 4))
def test_scores_lie_in_0_to_1_and_no_factor_keeps_more_than_its_top(seed: int, top_k: int) -> None:
    points = random_points(seed)
    result = med(points.codes_ND, points.factors_NK, top_k=top_k)
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in result.scores().values())
    owners = result.importance_DK.argmax(axis=1)
    kept = np.bincount(owners[result.kept_D], minlength=3)
    assert (kept == np.minimum(np.bincount(owners, minlength=3), top_k)).all()


def test_informativeness_is_the_accuracy_of_a_linear_classifier_on_both_sets() -> None:
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 2, size=(400, 2))
    codes = factors * 50.0 + rng.normal(size=(400, 2)) + 1000.0
    codes[:, 1] = rng.normal(size=400)  # says nothing of the second factor
    train, test = Points(codes[:200], factors[:200]), Points(codes[200:], factors[200:])
    shares: list[float] = []
    result = med_with_informativeness(train, test, progress=shares.append)
    assert result.train_accuracy_K is not None
    assert result.test_accuracy_K is not None
    assert (result.train_accuracy_K[0], result.test_accuracy_K[0]) == (1.0, 1.0)
    assert 0.4 < result.test_accuracy_K[1] < 0.6
    assert result.scores()["informativeness_test"] == pytest.approx(result.test_accuracy_K.mean())
    assert shares == [0.5, 1.0]
    assert result.importance_DK == pytest.approx(med(train.codes_ND, train.factors_NK).importance_DK)


def test_what_has_no_value_says_which_column_is_to_blame() -> None:
    codes = JOINT_AND_SECOND
    with pytest.raises(MetricUndefined, match=r"no code has any information about factors\[:, 0\]"):
        med(codes[:, [1, 1]], FACTORS)
    with pytest.raises(MetricUndefined, match=r"no code has any information about factors\[:, 0\]"):
        med(np.zeros((4, 2)), FACTORS)
    with pytest.raises(MetricUndefined, match="wanted 2 columns of codes or more"):
        med(codes[:, :1], FACTORS)
    with pytest.raises(MetricUndefined, match="wanted 2 columns of factors or more"):
        med(codes, FACTORS[:, :1])
    with pytest.raises(MetricUndefined, match=r"factors\[:, 1\] is 0 at every point"):
        med(codes, FACTORS * [1, 0])
    with pytest.raises(MetricUndefined, match=r"codes\[:, 0\] is nan"):
        med(np.where(codes == 3, np.nan, codes), FACTORS)
    with pytest.raises(SpecError, match=r"top_k.*>= 1, got 0"):
        med(codes, FACTORS, top_k=0)


def test_informativeness_does_not_see_scale_and_shift_of_codes_nor_constant_ones() -> None:
    train, test = random_points(0), random_points(1)

    def moved(points: Points) -> Points:
        scaled = points.codes_ND * np.array([1e-9, 1.0, 1e9, 1.0]) + np.array([0.0, 5.0, 0.0, 0.0])
        return Points(np.column_stack([scaled, np.full(len(points), 0.1)]), points.factors_NK)

    before, after = (med_with_informativeness(*both) for both in ((train, test), (moved(train), moved(test))))
    assert before.train_accuracy_K == pytest.approx(after.train_accuracy_K, abs=0.02)  # one point of 60
    assert before.test_accuracy_K == pytest.approx(after.test_accuracy_K, abs=0.02)


def test_test_points_with_other_columns_are_a_spec_error() -> None:
    train = Points(JOINT_AND_SECOND, FACTORS)
    with pytest.raises(SpecError, match=r"test_codes\.shape"):
        med_with_informativeness(train, Points(JOINT_AND_SECOND[:, :1], FACTORS))
