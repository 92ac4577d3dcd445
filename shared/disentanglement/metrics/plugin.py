"""Metrics of one's own: what a plugin makes from its parameters scores codes against factors.

Shapes: N points, D codes, K factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import RandomState

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors, Points, check_usable
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.specs.base import Plugin
from disentanglement.specs.sources import make

NUM_TRAIN, BATCH_SIZE = 10_000, 16
"""Points that a metric sees and how many are drawn at a time, unless it has attributes `num_train`, `batch_size`."""

FIELD = "metric.plugin"


class OwnMetric(Protocol):
    """What a plugin makes. With attributes `num_train` and `batch_size` it says how its points are drawn."""

    def score(self, codes_ND: Codes, factors_NK: Factors, random_state: RandomState) -> Mapping[str, float]:
        """Scores by their names. All randomness comes from `random_state`, a function of the metric's seed."""
        ...


@dataclass(frozen=True, slots=True)
class OwnScores:
    """Scores as a plugin returned them."""

    by_name: Mapping[str, float]

    def scores(self) -> dict[str, float]:
        """Under the plugin's names."""
        return dict(self.by_name)


def evaluate(plugin: Plugin, representation: Representation, seed: int, progress: Progress) -> OwnScores:
    """On fresh points, drawn as for the built-in metrics."""
    metric = own_metric(plugin)
    num_points = getattr(metric, "num_train", NUM_TRAIN)
    points = sample_points(representation, num_points, RandomState(seed), getattr(metric, "batch_size", BATCH_SIZE))
    return scored(plugin, metric, points, seed)


def score(plugin: Plugin, arrays: OwnArrays, seed: int, progress: Progress) -> OwnScores:
    """On the given points; test points play no part."""
    return scored(plugin, own_metric(plugin), arrays.given, seed)


def own_metric(plugin: Plugin) -> OwnMetric:
    """The plugin made. Raises `SpecError` where it is missing, was edited, or makes no metric."""
    return make(plugin, FIELD, OwnMetric)  # type: ignore[type-abstract]


def scored(plugin: Plugin, metric: OwnMetric, points: Points, seed: int) -> OwnScores:
    """Raises `MetricUndefined` for codes that are not finite, and where what comes back are no scores by name."""
    check_usable(points.codes_ND, points.factors_NK)
    scores: object = metric.score(points.codes_ND, points.factors_NK, RandomState(seed))  # or so they say
    if not isinstance(scores, Mapping) or not scores:
        raise MetricUndefined(f"{plugin.name} returned {scores!r}; wanted scores by name")
    numbers: dict[str, float] = {}
    for name, value in scores.items():
        if not isinstance(name, str) or not isinstance(value, int | float | np.number | np.bool_):
            raise MetricUndefined(f"{plugin.name} returned {value!r} as {name!r}; wanted numbers by name")
        numbers[name] = float(value)
    return OwnScores(numbers)


METRIC = Metric(Needs.POINTS, evaluate, score)
