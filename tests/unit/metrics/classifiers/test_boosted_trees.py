"""Our boosted trees: by hand, against scikit-learn's, and by the laws that exact trees keep.

Where splits tie on paper (codes that part the points alike), scikit-learn decides by the rounding of its sums, so the
comparisons are of cases without ties, or of what a tie does not touch.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis.strategies import DrawFn, booleans, composite, integers, permutations
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.tree import DecisionTreeRegressor

from disentanglement.errors import MetricUndefined, NotBuiltYet
from disentanglement.metrics.classifiers.boosted_trees import BoostedTrees, compiling, fit_boosted_trees, sort_codes
from disentanglement.metrics.classifiers.boosted_trees.gradients import exponentials, negative_gradients
from disentanglement.metrics.classifiers.boosted_trees.growing import grow_trees
from disentanglement.metrics.classifiers.boosted_trees.layout import NUM_NODES, Trees, make_trees, make_workspace

Codes = NDArray[np.float64]
Labels = NDArray[np.int64]


def fit(
    codes_ND: Codes, labels_N: Labels, *, rounds: int = 5, seed: int = 0, bins: int = 128, threads: int = 1
) -> BoostedTrees:
    codes = sort_codes(codes_ND, num_bins=bins)
    return fit_boosted_trees(codes, labels_N, random_state=RandomState(seed), num_rounds=rounds, num_threads=threads)


def reference(codes_ND: Codes, labels_N: Labels, *, rounds: int = 5, seed: int = 0) -> GradientBoostingClassifier:
    return GradientBoostingClassifier(n_estimators=rounds, random_state=RandomState(seed)).fit(codes_ND, labels_N)


def same(ours: BoostedTrees, others: BoostedTrees) -> bool:
    """Equal to the last bit."""
    return all(
        np.array_equal(getattr(our_trees, field), getattr(other_trees, field))
        for our_trees, other_trees in zip(ours.rounds, others.rounds, strict=True)
        for field in Trees._fields
    )


@composite
def points(draw: DrawFn, max_points: int = 200, max_classes: int = 4) -> tuple[Codes, Labels]:
    """Codes that say something about the labels; some of them with few values, constant, or copies of others."""
    num_points, num_codes = draw(integers(8, max_points)), draw(integers(1, 5))
    rng = np.random.default_rng(draw(integers(0, 2**32 - 1)))
    codes_ND = rng.normal(size=(num_points, num_codes))
    labels_N = np.digitize(
        codes_ND[:, 0] + rng.normal(size=num_points), np.linspace(-1, 1, draw(integers(1, max_classes - 1)))
    )
    labels_N[:2] = 0, 1
    if draw(booleans()):
        codes_ND[:, -1] = np.rint(codes_ND[:, -1] * draw(integers(0, 3)))
    if draw(booleans()):
        codes_ND = np.column_stack([codes_ND, codes_ND[:, 0], -codes_ND[:, 0]])
    return codes_ND, labels_N.astype(np.int64)


def test_two_rounds_of_two_classes_by_hand() -> None:
    codes = np.array([[0.0], [1.0], [2.0], [3.0]])
    trees = fit(codes, np.array([0, 0, 1, 1]), rounds=2)
    # Even odds: gradients of 1/2, curvatures of 1/4, so leaves of 2; then of 1 / probability = 1 + exp(-0.2).
    raw = 0.1 * 2 + 0.1 * (1 + np.exp(-0.2))
    assert trees.predict_proba(codes)[:, 1] == pytest.approx(1 / (1 + np.exp([raw, raw, -raw, -raw])), abs=1e-15)
    assert [trees.threshold_CK[0, 0] for trees in trees.rounds] == [1.5, 1.5]
    assert trees.importance_D.tolist() == [1.0]
    assert trees.predict(np.array([[1.5], [1.51]])).tolist() == [0, 1]


def test_one_round_of_three_classes_by_hand() -> None:
    codes = np.array([[0.0], [1.0], [2.0]])
    trees = fit(codes, np.array([5, 6, 7]), rounds=1)
    # One third each: a point's own class gets 2/3 * (2/3) / (2/9) = 2, another one -1/3 * (2/3) / (2/9) = -1.
    odds = np.exp(0.1 * (3 * np.eye(3) - 1))
    assert trees.predict_proba(codes) == pytest.approx(odds / odds.sum(axis=1), abs=1e-15)
    # The middle class: both splits gain as much, and the lower one is taken first.
    assert trees.rounds[0].threshold_CK[:, 0].tolist() == [0.5, 0.5, 1.5]
    assert trees.predict(codes).tolist() == trees.predict_training_points().tolist() == [5, 6, 7]


def grown(codes_ND: Codes, gradient_N: NDArray[np.float64], *, bins: int, seed: int = 0) -> tuple[Trees, Labels]:
    """One tree on any gradients, and the leaf of each point."""
    codes = sort_codes(codes_ND, num_bins=bins)
    work, trees = make_workspace(codes), make_trees(1, codes_ND.shape[1])
    class_N = (gradient_N > 0).astype(np.int32)
    raw_CN, seed_C = np.zeros((1, len(codes_ND))), np.array([seed], np.uint32)
    arguments: list[Any] = [*codes, *work, *trees, class_N, gradient_N[np.newaxis], raw_CN, seed_C, 0, 1, 0.1]
    grow_trees(*arguments)
    return trees, work.node_N.astype(np.int64)


@given(points=points(), seed=integers(0, 2**32 - 1), bins=integers(2, 40))
def test_a_tree_of_any_gradients_is_scikit_learns(points: tuple[Codes, Labels], seed: int, bins: int) -> None:
    codes_ND, _ = points
    gradient_N = np.random.default_rng(seed).uniform(-1, 1, len(codes_ND))
    trees, leaf_N = grown(codes_ND, gradient_N, bins=bins)
    theirs = DecisionTreeRegressor(max_depth=3, random_state=0).fit(codes_ND.astype(np.float32), gradient_N)
    sums, counts = np.bincount(leaf_N, gradient_N), np.bincount(leaf_N)
    assert sums[leaf_N] / counts[leaf_N] == pytest.approx(theirs.predict(codes_ND), abs=1e-12)
    importance_D = theirs.tree_.compute_feature_importances(normalize=False)
    assert trees.importance_CD[0].sum() == pytest.approx(importance_D.sum(), abs=1e-12)
    if trees.num_ties_C[0] == 0:
        assert trees.importance_CD[0] == pytest.approx(importance_D, abs=1e-12)
        thresholds = sorted(theirs.tree_.threshold[theirs.tree_.children_left >= 0])
        assert sorted(trees.threshold_CK[0][np.isfinite(trees.threshold_CK[0])]) == thresholds


@settings(max_examples=30, deadline=None)
@given(seed=integers(0, 2**32 - 1), num_codes=integers(1, 4), num_classes=integers(2, 4))
def test_without_ties_all_is_scikit_learns(seed: int, num_codes: int, num_classes: int) -> None:
    rng = np.random.default_rng(seed)
    codes_ND, fresh_ND = rng.normal(size=(300, num_codes)), rng.normal(size=(100, num_codes))
    edges = np.linspace(-1, 1, num_classes + 1)[1:-1]
    labels_N = np.digitize(codes_ND.mean(axis=1) + 0.5 * rng.normal(size=300), edges)
    ours, theirs = fit(codes_ND, labels_N), reference(codes_ND, labels_N)
    # Mirror images move the choice among equal splits by one code, other seeds that among codes: here is neither.
    for other in range(1, 8):
        mirrored = fit(-codes_ND, labels_N, seed=other)
        assume(mirrored.predict_proba(-codes_ND) == pytest.approx(ours.predict_proba(codes_ND), abs=1e-12))
    assert ours.predict_proba(codes_ND) == pytest.approx(theirs.predict_proba(codes_ND), abs=1e-12)
    assert (ours.predict_training_points() == theirs.predict(codes_ND)).all()
    if ours.num_ties == 0:
        assert ours.importance_D == pytest.approx(theirs.feature_importances_, abs=1e-12)
        assert ours.predict_proba(fresh_ND) == pytest.approx(theirs.predict_proba(fresh_ND), abs=1e-12)
        assert (ours.predict(fresh_ND) == theirs.predict(fresh_ND)).all()


def test_rounds_of_many_points_and_codes_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    codes_ND, fresh_ND = rng.normal(size=(3000, 10)), rng.normal(size=(500, 10))
    labels_N = np.digitize(codes_ND[:, 0] + 0.5 * rng.normal(size=3000), [-0.7, 0.7])
    ours, theirs = fit(codes_ND, labels_N), reference(codes_ND, labels_N)
    assert ours.num_ties == 0
    assert ours.importance_D == pytest.approx(theirs.feature_importances_, abs=1e-12)
    assert ours.predict_proba(fresh_ND) == pytest.approx(theirs.predict_proba(fresh_ND), abs=1e-12)


@given(data_seed=integers(0, 2**32 - 1), seed=integers(0, 2**32 - 1))
def test_equal_codes_are_chosen_among_by_scikit_learns_random_numbers(data_seed: int, seed: int) -> None:
    rng = np.random.default_rng(data_seed)
    code_N, gradient_N = rng.normal(size=60), rng.uniform(-1, 1, size=60)
    flat_N, step_N = np.zeros(60), np.where(code_N > 0, 9.0, code_N)  # constant everywhere, and at some nodes
    copies_ND = np.column_stack([code_N, flat_N, code_N, step_N, code_N, flat_N, code_N])
    trees, _ = grown(copies_ND, gradient_N, bins=8, seed=RandomState(seed).randint(0, 2**31 - 1))
    theirs = DecisionTreeRegressor(max_depth=3, random_state=RandomState(seed)).fit(copies_ND, gradient_N)
    importance_D = theirs.tree_.compute_feature_importances(normalize=False)
    assert trees.importance_CD[0] == pytest.approx(importance_D, abs=1e-12)


def test_ties_are_broken_uniformly() -> None:
    code_N = np.arange(20.0)
    alike_ND = np.column_stack([code_N, -code_N, code_N**3])  # a copy, a mirror image, and another scale
    roots = [
        fit(alike_ND, (code_N > 9).astype(np.int64), rounds=1, seed=seed).rounds[0].code_CK[0, 0] for seed in range(300)
    ]
    assert np.bincount(roots) == pytest.approx(100, abs=35)  # more than four standard deviations


@given(points=points(), bins=integers(2, 40), seed=integers(0, 99))
def test_nothing_depends_on_the_number_of_bins(points: tuple[Codes, Labels], bins: int, seed: int) -> None:
    assert same(fit(*points, bins=bins, seed=seed), fit(*points, bins=256, seed=seed))


@settings(deadline=None)
@given(points=points(), threads=integers(2, 5))
def test_nothing_depends_on_the_number_of_threads(points: tuple[Codes, Labels], threads: int) -> None:
    one, several = fit(*points), fit(*points, threads=threads)
    assert same(one, several)
    assert (one.train_raw_CN == several.train_raw_CN).all()
    assert (one.importance_D == several.importance_D).all()


@given(points=points())
def test_only_the_order_of_codes_counts(points: tuple[Codes, Labels]) -> None:
    codes_ND, labels_N = points
    ranks_ND = np.stack([np.unique(code_N, return_inverse=True)[1] for code_N in codes_ND.T], axis=1).astype(float)
    ours = fit(codes_ND, labels_N)
    assert (ours.train_raw_CN == fit(ranks_ND, labels_N).train_raw_CN).all()
    doubled = fit(2 * codes_ND, labels_N)
    assert (doubled.predict_proba(2 * codes_ND) == ours.predict_proba(codes_ND)).all()
    assert (doubled.rounds[0].threshold_CK == 2 * ours.rounds[0].threshold_CK).all()


@given(points=points(), order=permutations(range(7)))
def test_without_ties_importances_move_with_their_codes(points: tuple[Codes, Labels], order: list[int]) -> None:
    codes_ND, labels_N = points
    ours = fit(codes_ND, labels_N)
    assume(ours.num_ties == 0)
    order = [d for d in order if d < codes_ND.shape[1]]
    assert fit(codes_ND[:, order], labels_N).importance_D == pytest.approx(ours.importance_D[order], abs=1e-12)


@given(points=points())
def test_labels_are_only_names(points: tuple[Codes, Labels]) -> None:
    codes_ND, labels_N = points
    ours, renamed = fit(codes_ND, labels_N), fit(codes_ND, 10 * labels_N - 7)
    assert same(ours, renamed)
    assert (renamed.predict(codes_ND) == 10 * ours.predict(codes_ND) - 7).all()


@given(points=points())
def test_predictions_of_training_points_are_those_of_the_fit(points: tuple[Codes, Labels]) -> None:
    codes_ND, labels_N = points
    ours = fit(codes_ND, labels_N)
    assert (ours.predict_training_points() == ours.predict(codes_ND)).all()
    assert ours.predict_proba(codes_ND).sum(axis=1) == pytest.approx(1.0)
    assert ours.importance_D.sum() == pytest.approx(1.0) or not ours.importance_D.any()


def test_codes_that_say_nothing_leave_the_priors() -> None:
    trees = fit(np.column_stack([np.zeros(6), np.arange(6) * 1e-9]), np.array([3, 3, 3, 4, 4, 5]))
    assert trees.importance_D.tolist() == [0.0, 0.0]
    # One leaf for each class, and its Newton step at the optimum is 0.
    assert trees.predict_proba(np.zeros((1, 2)))[0] == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    assert trees.predict(np.zeros((1, 2))).tolist() == [3]
    with pytest.raises(MetricUndefined, match="all are 3"):
        fit(np.zeros((2, 1)), np.array([3, 3]))


def test_values_closer_than_1e_7_are_not_separated() -> None:
    close = 0.125 + np.array([[0.0], [0.6e-7], [1.2e-7], [1.0]])  # a chain: each next to its neighbour
    trees = fit(close, np.array([0, 1, 1, 1]), rounds=1)
    assert trees.rounds[0].threshold_CK[0, 0] == pytest.approx(0.625)
    assert np.isinf(trees.rounds[0].threshold_CK[0, 1:]).all()


def test_exponentials_are_right_to_the_last_bits() -> None:
    x = np.concatenate([-np.geomspace(1e-300, 700, 5000), [0.0, -800.0]])
    result = x.copy()
    exponentials(result, np.empty_like(x), np.empty_like(x))
    assert result == pytest.approx(np.exp(np.maximum(x, -700.0)), rel=4e-16, abs=0)


def test_gradients_bear_extreme_predictions() -> None:
    raw_CN = np.array([[0.0, 900.0, -900.0], [0.0, -900.0, 5000.0], [0.0, 0.0, 0.0]])
    gradient_CN = np.empty_like(raw_CN)
    negative_gradients(raw_CN, np.zeros(3, np.int32), gradient_CN, 0, 3)
    assert gradient_CN == pytest.approx(np.array([[2 / 3, 0, 1], [-1 / 3, 0, -1], [-1 / 3, 0, 0]]), abs=1e-15)
    raw_CN, gradient_CN = np.array([[0.0, 900.0, -900.0]]), np.empty((1, 3))
    negative_gradients(raw_CN, np.array([1, 0, 1], np.int32), gradient_CN, 0, 3)
    assert gradient_CN[0] == pytest.approx([0.5, -1, 1])


def test_progress_rises_round_by_round_and_what_it_raises_ends_the_fit() -> None:
    codes, labels_N = sort_codes(np.arange(4.0)[:, np.newaxis]), np.array([0, 0, 1, 1])
    shares: list[float] = []
    fit_boosted_trees(codes, labels_N, random_state=RandomState(0), num_rounds=4, progress=shares.append)
    assert shares == [0.25, 0.5, 0.75, 1.0]

    def stop(share: float) -> None:
        shares.append(share)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_boosted_trees(codes, labels_N, random_state=RandomState(0), num_threads=2, progress=stop)
    assert shares[4:] == [0.01]


def test_without_numba_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, compiling.__name__)
    with pytest.raises(NotBuiltYet, match="pip install numba"):
        importlib.import_module(compiling.__name__)


def test_compiled_code_is_kept_in_the_local_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DISENTANGLEMENT_CACHE", str(tmp_path))
    compiling.kept_in.cache_clear()
    folder = compiling.kept_in()
    compiling.kept_in.cache_clear()
    assert folder.parent == tmp_path / "compiled"

    @compiling.compiled
    def double(x: int) -> int:
        return 2 * x

    assert double(NUM_NODES) == 2 * NUM_NODES
