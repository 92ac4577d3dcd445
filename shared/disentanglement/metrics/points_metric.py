"""Metrics of nothing but codes and factors of N points: all of them draw their points alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.random import RandomState

from disentanglement.metrics.arrays import Points
from disentanglement.metrics.metric import Metric, MetricResult, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.points import Representation, sample_points

Compute = Callable[[Any, Points, int, Progress], MetricResult]
"""From (parameters, points, seed, progress)."""


def points_metric(compute: Compute) -> Metric:
    """On `num_train` fresh points, drawn `batch_size` at a time, or on the given ones; test points play no part."""

    def evaluate(spec: Any, representation: Representation, seed: int, progress: Progress) -> MetricResult:
        points = sample_points(representation, spec.num_train, RandomState(seed), spec.batch_size)
        return compute(spec, points, seed, progress)

    def score(spec: Any, arrays: OwnArrays, seed: int, progress: Progress) -> MetricResult:
        return compute(spec, arrays.given, seed, progress)

    return Metric(Needs.POINTS, evaluate, score)
