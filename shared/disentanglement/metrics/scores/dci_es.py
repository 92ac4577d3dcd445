"""DCI-ES: explicitness and size beside DCI (Eastwood et al., 2023, arXiv:2210.00364), with random forests as probes.

Shapes: N points, D codes, K factors, T depths. Explicitness asks how soon, as a predictor may grow, it predicts a
factor as well as it ever will. It says nothing of how well that is: codes of pure noise have a flat loss, hence an
explicitness near 1. Quote it with the informativeness only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import (
    Points,
    check_factors_vary,
    check_same_columns,
    check_several_codes,
    check_several_factors,
    check_usable,
)
from disentanglement.metrics.classifiers.forest_probe import ForestProbe, Forests, Sample, probe_forests
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.metrics.statistics.aggregations import completeness, disentanglement
from disentanglement.specs.modern_metrics import DciesForest, DciesForestCut

DEPTHS = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)


@dataclass(frozen=True, slots=True)
class DciEsResult:
    """Test loss of each factor at each depth, the loss of knowing nothing, importance of codes at each depth."""

    depths: tuple[int, ...]
    loss_KT: NDArray[np.float64]
    baseline_K: NDArray[np.float64]
    importance_TDK: NDArray[np.float64]

    @property
    def explicitness_of_factors(self) -> NDArray[np.float64]:
        """Of each factor [K]."""
        return explicitness(self.loss_KT, np.array(self.depths, dtype=np.float64), self.baseline_K)

    @property
    def best(self) -> int:
        """Position of the first depth of the smallest mean loss: its importances give D and C, its scores I."""
        return int(np.argmax((1.0 - self.loss_KT).mean(axis=0)))

    def scores(self) -> dict[str, float]:
        """Under the paper's words; size is the number of factors for each code."""
        importance_DK = self.importance_TDK[self.best]
        return {
            "disentanglement": disentanglement(importance_DK),
            "completeness": completeness(importance_DK),
            "informativeness": float((1.0 - self.loss_KT[:, self.best]).mean()),
            "explicitness": float(self.explicitness_of_factors.mean()),
            "size": importance_DK.shape[1] / importance_DK.shape[0],
            "best_depth": float(self.depths[self.best]),
        }


def explicitness(
    loss_KT: NDArray[np.float64], capacity_T: NDArray[np.float64], baseline_K: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One minus twice the area between the falling loss and its smallest, in units of the baseline [K].

    1 if the smallest capacity is the best at once, 0 for a straight fall from the baseline to no loss at all, below 0
    for a fall at the end only. As in the reference the unit is the baseline, also where the smallest loss is not 0.
    """
    least_KT = np.minimum.accumulate(loss_KT, axis=1)
    above_KT = least_KT - least_KT[:, -1:]
    area_K = np.trapezoid(above_KT, capacity_T, axis=1)
    explicitness_K: NDArray[np.float64] = 1.0 - 2.0 * area_K / ((capacity_T[-1] - capacity_T[0]) * baseline_K)
    return explicitness_K


def dci_es(
    train: Points,
    test: Points,
    *,
    seed: int,
    numeric_factors: Sequence[int] = (),
    depths: Sequence[int] = DEPTHS,
    num_trees: int = 100,
    forests: Forests = "grown",
    progress: Progress = silent,
) -> DciEsResult:
    """Forests of growing depth predict each factor, as a class (accuracy) or, if numeric, as a number (R squared).

    Forests `grown` anew at each depth are the reference's; `cut` ones (`forest_probe`) cost a fraction, and differ
    within the seeds' spread, but for factors that codes know nothing of: there explicitness is 0.01 higher.
    Raises MetricUndefined for a single code or factor, and for a factor of a single value, of the test points too
    where it is numeric; SpecError for depths that repeat and factors that are not there.
    """
    _check(train, test, numeric_factors)
    depths = sorted(depths)
    if len(depths) < 2 or len({*depths}) < len(depths) or depths[0] < 1:
        raise SpecError.of("max_depths", "two or more, each once, from 1", depths)
    if num_trees < 1:
        raise SpecError.of("num_trees", ">= 1", num_trees)
    test_codes_ND = test.codes_ND.astype(np.float32, copy=False)
    losses, baselines, importances, num_factors = [], [], [], train.factors_NK.shape[1]
    for factor in range(num_factors):
        part = part_of(progress, factor / num_factors, (factor + 1) / num_factors)
        target = _target(train, test, factor, factor not in numeric_factors)
        probe = probe_forests(
            target.train, test_codes_ND, forests=forests, depths=depths, num_trees=num_trees, seed=seed, progress=part
        )
        losses.append(target.losses(probe))
        baselines.append(target.baseline)
        importances.append(probe.importance_TD)
    return DciEsResult(tuple(depths), np.stack(losses), np.array(baselines), np.stack(importances, axis=2))


@dataclass(frozen=True, slots=True)
class _Target:
    """One factor as the forest sees it: what it trains on, and the truth of the test points (-1: never seen)."""

    train: Sample
    test_N: NDArray[np.int64] | NDArray[np.float64]

    @property
    def baseline(self) -> float:
        """The loss of guessing: of a class by chance, of a number by its mean."""
        return 1.0 - 1.0 / self.train.num_outputs if self.train.is_class else 1.0

    def losses(self, probe: ForestProbe) -> NDArray[np.float64]:
        """One minus accuracy, or minus R squared [T]."""
        if self.train.is_class:
            return np.asarray((probe.prediction_TNC.argmax(axis=2) != self.test_N).mean(axis=1))
        error_T = ((probe.prediction_TNC[:, :, 0] - self.test_N) ** 2).mean(axis=1)
        return np.asarray(error_T / self.test_N.var())


def _target(train: Points, test: Points, factor: int, is_class: bool) -> _Target:
    codes_ND = train.codes_ND.astype(np.float32, copy=False)
    train_N, test_N = train.factors_NK[:, factor], test.factors_NK[:, factor]
    if not is_class:  # from 0 to 1 in single precision, as in the reference: which of equal splits is found hangs on it
        low, width = train_N.min(), np.ptp(train_N)
        scaled_N, scaled_test_N = (((values_N - low) / width).astype(np.float32) for values_N in (train_N, test_N))
        return _Target(Sample(codes_ND, scaled_N, is_class=False), scaled_test_N.astype(np.float64))
    values, label_N = np.unique(train_N, return_inverse=True)
    position_N = np.minimum(np.searchsorted(values, test_N), len(values) - 1)
    return _Target(Sample(codes_ND, label_N, is_class=True), np.where(values[position_N] == test_N, position_N, -1))


def _check(train: Points, test: Points, numeric_factors: Sequence[int]) -> None:
    check_usable(train.codes_ND, train.factors_NK)
    check_usable(test.codes_ND, test.factors_NK, prefix="test_")
    check_same_columns(train, test)
    check_several_codes(train.codes_ND, "dcies_forest")
    check_factors_vary(train.factors_NK, "dcies_forest")
    check_several_factors(train.factors_NK, "dcies_forest")
    num_factors = train.factors_NK.shape[1]
    for factor in numeric_factors:
        if not 0 <= factor < num_factors:
            raise SpecError.of("numeric_factors", f"0 to {num_factors - 1}", factor)
        if (test.factors_NK[:, factor] == test.factors_NK[0, factor]).all():
            raise MetricUndefined(
                f"dcies_forest: test_factors[:, {factor}] has a single value, so R squared is not defined"
            )


def _metric(forests: Forests) -> Metric:
    def evaluate(
        spec: DciesForest | DciesForestCut, representation: Representation, seed: int, progress: Progress
    ) -> DciEsResult:
        """Trained on `num_train` fresh points, tested on `num_test` more."""
        rs = RandomState(seed)
        train = sample_points(representation, spec.num_train, rs, spec.batch_size)
        test = sample_points(representation, spec.num_test, rs, spec.batch_size)
        return _of(spec, train, test, seed, forests, progress)

    def score(spec: DciesForest | DciesForestCut, arrays: OwnArrays, seed: int, progress: Progress) -> DciEsResult:
        """Of training and test points."""
        return _of(spec, *arrays.split(seed), seed, forests, progress)

    return Metric(Needs.HELD_OUT_POINTS, evaluate, score)


def _of(
    spec: DciesForest | DciesForestCut, train: Points, test: Points, seed: int, forests: Forests, progress: Progress
) -> DciEsResult:
    return dci_es(
        train,
        test,
        seed=seed,
        numeric_factors=spec.numeric_factors,
        depths=spec.max_depths,
        num_trees=spec.num_trees,
        forests=forests,
        progress=progress,
    )


GROWN = _metric("grown")
CUT = _metric("cut")
