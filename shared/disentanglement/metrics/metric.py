"""What a metric is: what it needs, and its two ways in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.points import Representation


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
