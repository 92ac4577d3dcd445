from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import floats, integers
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import Points
from disentanglement.metrics.classifiers.forest_probe import Forests, Sample, probe_forests
from disentanglement.metrics.scores.dci_es import dci_es, explicitness

DEPTHS = (1, 2, 3, 6)
STEPS = np.array([0.0, 1.0, 2.0])


def curve(*losses: float, baseline: float = 1.0) -> float:
    return float(explicitness(np.array([losses]), STEPS, np.array([baseline]))[0])


def points(seed: int, num: int = 80, num_codes: int = 3) -> Points:
    rng = np.random.default_rng(seed)
    factors = np.stack([rng.integers(0, 3, num), rng.integers(0, 4, num)], axis=1)
    codes = factors @ rng.normal(size=(2, num_codes)) + 0.5 * rng.normal(size=(num, num_codes))
    return Points(codes, factors)


def test_explicitness_of_curves_is_worked_out_by_hand() -> None:
    assert curve(1.0, 0.5, 0.0) == 0.0  # a straight fall from knowing nothing to knowing all
    assert curve(0.0, 0.0, 0.0) == 1.0  # all is known at once
    assert curve(1.0, 1.0, 0.0) == -0.5  # a fall at the end
    assert curve(0.7, 0.7, 0.7) == 1.0  # a flat curve: nothing is known, and none of it late
    assert curve(0.5, 0.25, 0.0, baseline=0.5) == 0.0
    assert curve(1.0, 0.75, 0.5) == 0.5  # in units of the baseline, not of what the loss falls


def test_a_loss_that_rises_again_counts_as_its_smallest_so_far() -> None:
    assert curve(1.0, 0.0, 1.0) == curve(1.0, 0.0, 0.0) == 0.5


def test_capacities_are_weighed_by_their_distance() -> None:
    value = explicitness(np.array([[1.0, 0.0, 0.0]]), np.array([1.0, 2.0, 11.0]), np.ones(1))
    assert value.tolist() == [pytest.approx(1 - 2 * 0.5 / 10)]


@given(loss=arrays(np.float64, (2, 5), elements=floats(0, 1)))
def test_explicitness_lies_in_minus_1_to_1(loss: NDArray[np.float64]) -> None:
    value = explicitness(loss, np.array([1.0, 2.0, 4.0, 8.0, 9.0]), np.ones(2))
    assert ((value >= -1.0) & (value <= 1.0)).all()


def fitted(train: Sample, depth: int, num_trees: int) -> Any:
    kind = RandomForestClassifier if train.is_class else RandomForestRegressor
    return kind(n_estimators=num_trees, max_depth=depth, random_state=5).fit(train.codes_ND, train.target_N)


@pytest.mark.parametrize("is_class", [True, False])
def test_grown_forests_are_scikit_learns(is_class: bool) -> None:
    train, test = points(0), points(1).codes_ND.astype(np.float32)
    sample = Sample(train.codes_ND.astype(np.float32), train.factors_NK[:, 1], is_class=is_class)
    probe = probe_forests(sample, test, forests="grown", depths=DEPTHS, num_trees=12, seed=5)
    for position, depth in enumerate(DEPTHS):
        forest = fitted(sample, depth, 12)
        expected = forest.predict_proba(test) if is_class else forest.predict(test)[:, None]
        assert probe.prediction_TNC[position] == pytest.approx(expected, abs=1e-12)
        assert probe.importance_TD[position] == pytest.approx(forest.feature_importances_, abs=1e-12)


@pytest.mark.parametrize("is_class", [True, False])
def test_cut_forests_are_grown_ones_where_nothing_but_the_bootstrap_is_drawn(is_class: bool) -> None:
    train, test = points(2, num_codes=1), points(3, num_codes=1).codes_ND.astype(np.float32)
    sample = Sample(train.codes_ND.astype(np.float32), train.factors_NK[:, 1], is_class=is_class)
    ways: list[Forests] = ["grown", "cut"]
    grown, cut = (probe_forests(sample, test, forests=way, depths=DEPTHS, num_trees=12, seed=5) for way in ways)
    assert cut.prediction_TNC == pytest.approx(grown.prediction_TNC, abs=1e-12)


def test_cut_forests_share_out_what_splits_gain_as_grown_ones() -> None:
    """All codes are tried at each split of a regression; without ties only their order differs."""
    rng = np.random.default_rng(4)
    codes = rng.normal(size=(200, 3)).astype(np.float32)
    target = (codes @ np.array([3.0, 2.0, 1.0])).argsort().argsort()  # splits near the middle: no two cut alike
    sample = Sample(codes, target, is_class=False)
    cut = probe_forests(sample, codes[:5], forests="cut", depths=DEPTHS, num_trees=12, seed=5)
    for position, depth in enumerate(DEPTHS[:2]):
        forest = fitted(sample, depth, 12)
        assert cut.importance_TD[position] == pytest.approx(forest.feature_importances_, abs=1e-9)


def test_forests_that_stop_by_themselves_are_grown_once() -> None:
    shares: list[float] = []
    sample = Sample(np.arange(8, dtype=np.float32)[:, None], np.arange(8) // 4, is_class=True)
    probe = probe_forests(
        sample, sample.codes_ND, forests="grown", depths=(1, 2, 30, 32), num_trees=3, seed=0, progress=shares.append
    )
    assert shares[-1] == pytest.approx(0.5)  # the second forest has no tree of depth 2: it is those of 30 and 32
    assert (probe.prediction_TNC[1:] == probe.prediction_TNC[1]).all()


def test_without_a_split_no_code_is_important() -> None:
    sample = Sample(np.zeros((6, 2), dtype=np.float32), np.array([0, 0, 0, 1, 1, 1]), is_class=True)
    probe = probe_forests(sample, sample.codes_ND, forests="grown", depths=(1, 2), num_trees=3, seed=0)
    assert probe.importance_TD.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def perfect() -> Points:
    factors = np.indices((2, 5)).reshape(2, -1).T.repeat(6, axis=0)
    noise = np.random.default_rng(0).normal(size=(60, 1))
    return Points(np.hstack([factors, noise]).astype(float), factors)


def test_codes_that_copy_factors_are_informative_and_soon_explicit() -> None:
    scores = dci_es(perfect(), perfect(), seed=0, numeric_factors=(0, 1), depths=DEPTHS, num_trees=10).scores()
    assert scores["informativeness"] == pytest.approx(1.0)
    assert scores["explicitness"] > 0.9
    assert scores["disentanglement"] > 0.99
    assert scores["completeness"] > 0.99
    assert scores["size"] == pytest.approx(2 / 3)
    assert list(scores) == [
        "disentanglement", "completeness", "informativeness", "explicitness", "size", "best_depth",
    ]  # fmt: skip


def test_the_first_depth_of_the_best_mean_score_decides() -> None:
    result = dci_es(points(5), points(6), seed=0, depths=DEPTHS, num_trees=10)
    means = (1 - result.loss_KT).mean(axis=0)
    assert result.scores()["best_depth"] == DEPTHS[int(np.flatnonzero(means == means.max())[0])]
    assert result.scores()["informativeness"] == pytest.approx(means.max())
    assert result.baseline_K.tolist() == [pytest.approx(2 / 3), 0.75]


def test_a_number_is_judged_by_r_squared_over_the_test_points() -> None:
    train, test = points(7), points(8)
    result = dci_es(train, test, seed=5, numeric_factors=(1,), depths=(2, 3), num_trees=10)
    forest = RandomForestRegressor(n_estimators=10, max_depth=3, random_state=5)
    forest.fit(train.codes_ND, (train.factors_NK[:, 1] / 3).astype(np.float32))
    assert 1 - result.loss_KT[1, 1] == pytest.approx(forest.score(test.codes_ND, test.factors_NK[:, 1] / 3))
    assert result.baseline_K.tolist() == [pytest.approx(2 / 3), 1.0]


def test_a_class_that_training_never_saw_is_a_mistake() -> None:
    train, test = perfect(), perfect()
    unseen = Points(test.codes_ND, np.where(test.factors_NK == [0, 9], -4, test.factors_NK))
    result = dci_es(train, unseen, seed=0, depths=(4, 5), num_trees=10)
    assert result.loss_KT[0].tolist() == [0.5, 0.5]


@given(seed=integers(0, 2**32 - 1), power=integers(-4, 4))
@settings(max_examples=10)
def test_labels_of_classes_and_scale_of_codes_do_not_matter(seed: int, power: int) -> None:
    train, test = points(seed % 1000, num=30), points(seed % 1000 + 1, num=20)

    def moved(given_points: Points) -> Points:
        return Points(2.0**power * given_points.codes_ND, 5 * given_points.factors_NK - 2)

    before, after = (dci_es(*both, seed=1, numeric_factors=[1], depths=(1, 3), num_trees=2) for both in (
        (train, test), (moved(train), moved(test)),
    ))  # fmt: skip
    assert after.loss_KT == pytest.approx(before.loss_KT, abs=1e-12)
    assert after.importance_TDK == pytest.approx(before.importance_TDK, abs=1e-9)


def test_it_repeats_from_its_seed_and_progress_rises_to_one() -> None:
    shares: list[float] = []
    runs = [
        dci_es(points(1), points(2), seed=seed, depths=(1, 2), num_trees=3, progress=shares.append)
        for seed in (3, 3, 4)
    ]
    assert runs[0].scores() == runs[1].scores()
    assert (runs[0].importance_TDK != runs[2].importance_TDK).any()
    third = shares[: len(shares) // 3]
    assert third == sorted(third)
    assert third[-1] == pytest.approx(1.0)


def test_what_has_no_value_says_what_is_to_blame() -> None:
    train, test = points(0), points(1)
    flat = Points(test.codes_ND, test.factors_NK * np.array([1, 0]))
    with pytest.raises(MetricUndefined, match=r"test_factors\[:, 1\] has a single value"):
        dci_es(train, flat, seed=0, numeric_factors=(1,))
    with pytest.raises(MetricUndefined, match=r"factors\[:, 1\] is 0 at every point"):
        dci_es(flat, test, seed=0)
    with pytest.raises(MetricUndefined, match="wanted 2 columns of codes or more"):
        dci_es(points(0, num_codes=1), points(1, num_codes=1), seed=0)
    with pytest.raises(MetricUndefined, match="wanted 2 columns of factors or more"):
        dci_es(Points(train.codes_ND, train.factors_NK[:, :1]), Points(test.codes_ND, test.factors_NK[:, :1]), seed=0)
    with pytest.raises(MetricUndefined, match=r"test_codes\[:, 0\] is nan"):
        dci_es(train, Points(np.full_like(test.codes_ND, np.nan), test.factors_NK), seed=0)
    with pytest.raises(SpecError, match=r"numeric_factors: wanted 0 to 1, got 2"):
        dci_es(train, test, seed=0, numeric_factors=(2,))
    with pytest.raises(SpecError, match="max_depths: wanted two or more, each once"):
        dci_es(train, test, seed=0, depths=(2, 2, 3))
    with pytest.raises(SpecError, match="num_trees"):
        dci_es(train, test, seed=0, num_trees=0)


def test_depths_are_taken_in_rising_order() -> None:
    falling, rising = (dci_es(points(1), points(2), seed=0, depths=d, num_trees=3) for d in ((3, 1), (1, 3)))
    assert falling.depths == (1, 3)
    assert falling.scores() == rising.scores()


def test_trees_are_read_a_few_at_a_time_and_are_those_of_one_forest() -> None:
    """More trees than are kept in memory at once (`TREES_AT_ONCE`)."""
    train = points(9)
    sample = Sample(train.codes_ND.astype(np.float32), train.factors_NK[:, 0], is_class=True)
    probe = probe_forests(sample, sample.codes_ND, forests="cut", depths=(3,), num_trees=25, seed=5)
    assert probe.prediction_TNC[0] == pytest.approx(fitted(sample, 3, 25).predict_proba(sample.codes_ND), abs=1e-12)
