"""Every metric by its word, and how to evaluate one by its spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from disentanglement.errors import NotBuiltYet
from disentanglement.metrics.own_arrays import (
    OwnArrays,
    score_dci,
    score_factor_vae_score,
    score_mig,
    score_sap_score,
)
from disentanglement.metrics.plugin import evaluate_plugin, score_plugin
from disentanglement.metrics.progress import Progress, silent
from disentanglement.metrics.protocol import (
    evaluate_dci,
    evaluate_factor_vae_score,
    evaluate_mig,
    evaluate_sap_score,
)
from disentanglement.metrics.sampling import Representation
from disentanglement.specs.metrics import MetricSpec


class MetricResult(Protocol):
    """What every metric returns."""

    def scores(self) -> dict[str, float]:
        """The scores under the reference's keys."""
        ...


class Needs(StrEnum):
    """What a metric is computed from."""

    POINTS = "codes and factors of N points"
    HELD_OUT_POINTS = "codes and factors of N points, and of others to test on"
    FIXED_FACTORS = "codes of points that share one factor: the full grid of factor combinations"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it needs, and its two ways in. Both take (parameters, source, seed, progress)."""

    needs: Needs
    evaluate: Callable[[Any, Representation, int, Progress], MetricResult]
    """On points drawn from a representation, as the reference draws them."""
    score: Callable[[Any, OwnArrays, int, Progress], MetricResult]
    """On somebody's own arrays."""


METRICS: dict[str, Metric] = {
    "mig": Metric(Needs.POINTS, evaluate_mig, score_mig),
    "sap_score": Metric(Needs.HELD_OUT_POINTS, evaluate_sap_score, score_sap_score),
    "factor_vae_score": Metric(Needs.FIXED_FACTORS, evaluate_factor_vae_score, score_factor_vae_score),
    "dci": Metric(Needs.HELD_OUT_POINTS, evaluate_dci, score_dci),
}


PLUGIN = Metric(Needs.POINTS, evaluate_plugin, score_plugin)
"""Somebody's own; its code is looked for when it is computed."""


def find_metric(metric: MetricSpec) -> Metric:
    """Raises NotBuiltYet for a metric that has a spec, but no code here."""
    if metric.plugin is not None:
        return PLUGIN
    if metric.word not in METRICS:
        raise NotBuiltYet(f"metric {metric.word} is not built yet; there are {', '.join(METRICS)}")
    return METRICS[metric.word]


def evaluate_metric(
    metric: MetricSpec, representation: Representation, seed: int, *, progress: Progress = silent
) -> MetricResult:
    """One metric of one representation, on points drawn from `RandomState(seed)` in the reference's order."""
    _, parameters = metric.selected
    return find_metric(metric).evaluate(parameters, representation, seed, progress)
