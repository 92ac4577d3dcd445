"""A sample of labelled points: drawn once, split once, in its order.

Shapes: N labelled points, K labels. Images are rows of the data set, so a labelled image costs no memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.factor_space import Factors
from disentanglement.datasets.ground_truth import Rows
from disentanglement.datasets.labellers import labeller
from disentanglement.specs.supervision import LabelledDataSpec


class LabelledSource(Protocol):
    """The part of a ground truth that is drawn from."""

    @property
    def factor_sizes(self) -> Sequence[int]: ...

    def sample_factors(self, num: int, rs: RandomState) -> Factors: ...

    def rows(self, factors_NK: Factors, rs: RandomState) -> Rows: ...


def num_training(num_labelled: int, train_percentage: float) -> int:
    """How many labelled points are trained on: rounded up, in the reference's arithmetic."""
    return math.ceil(num_labelled * train_percentage)


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """Rows of images and their labels."""

    rows_N: Rows
    labels_NK: NDArray[np.float32]
    sizes: tuple[int, ...]
    """How many values each label can take."""

    @classmethod
    def draw(cls, source: LabelledSource, spec: LabelledDataSpec) -> Self:
        """Factors, observations, then labels, from one `RandomState(supervised_data_seed)`, as the reference draws.

        Raises:
            SpecError: the labeller asks for what these factors don't have.
            NotBuiltYet: the labeller is a plugin.
        """
        label, rs = labeller(spec.labeller), RandomState(spec.supervised_data_seed)
        factors_NK = source.sample_factors(spec.num_labelled_samples, rs)
        rows_N = source.rows(factors_NK, rs)
        labels = label(factors_NK, source.factor_sizes, rs)
        return cls(rows_N, np.ascontiguousarray(labels.values_NL), labels.sizes)

    def __len__(self) -> int:
        return len(self.rows_N)

    def split(self, train_percentage: float) -> tuple[Self, Self]:
        """The first `ceil(N * train_percentage)` points, which train, and the rest, which validates: maybe none."""
        num = num_training(len(self), train_percentage)
        return self._part(slice(0, num)), self._part(slice(num, None))

    def _part(self, part: slice) -> Self:
        return type(self)(self.rows_N[part], self.labels_NK[part], self.sizes)
