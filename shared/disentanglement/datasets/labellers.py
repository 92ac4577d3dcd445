"""How known factors become the labels that a semi-supervised model sees (Locatello et al., 2020, arXiv:1905.01258).

Shapes: N points, K latent factors, L labels. Everything is drawn from the `RandomState` that is passed in, in the
reference's order, so labels here are the labels there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.factor_space import Factors
from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.specs.supervision import (
    BinLabeller,
    LabellerSpec,
    NoisyLabeller,
    PartialLabeller,
    PerfectLabeller,
    PermutedLabeller,
    SupervisedLossSpec,
)


@dataclass(frozen=True, slots=True)
class Labels:
    """Whole numbers as float32 `[N, L]`, and how many values each label can take."""

    values_NL: NDArray[np.float32]
    sizes: tuple[int, ...]


Labeller = Callable[[Factors, Sequence[int], RandomState], Labels]
"""(factors_NK, factor sizes, random state) -> labels; the factors are left as they are."""


def perfect_labels(factors_NK: Factors, sizes: Sequence[int]) -> Labels:
    """The factors themselves."""
    return Labels(factors_NK.astype(np.float32), tuple(sizes))


def binned_labels(factors_NK: Factors, sizes: Sequence[int], *, num_bins: int) -> Labels:
    """Factors with more than `num_bins` values in bins of equal width `size / num_bins`.

    In float32, as the reference computes: where a bin should begin at a whole number, but its width is rounded up,
    that number falls into the bin before (12 values in 10 bins: 6 into bin 4).
    """
    values_NK = factors_NK.astype(np.float32)
    for k, size in enumerate(sizes):
        if size > num_bins:
            values_NK[:, k] = np.minimum(values_NK[:, k] // np.float32(size / num_bins), num_bins - 1)
    return Labels(values_NK, tuple(min(size, num_bins) for size in sizes))


def noisy_labels(factors_NK: Factors, sizes: Sequence[int], rs: RandomState, *, prob_random: float) -> Labels:
    """Each label is replaced with this probability, perhaps by itself: point after point, factor after factor."""
    values_NK = factors_NK.copy()
    for label_K in values_NK:
        for k, size in enumerate(sizes):
            if rs.rand() < prob_random:
                label_K[k] = rs.randint(size)
    return Labels(values_NK.astype(np.float32), tuple(sizes))


def permuted_labels(factors_NK: Factors, sizes: Sequence[int], rs: RandomState) -> Labels:
    """Values of each factor renamed by one permutation, so that their order is lost."""
    columns = [rs.permutation(size)[column] for column, size in zip(factors_NK.T, sizes, strict=True)]
    return Labels(np.stack(columns, axis=1).astype(np.float32), tuple(sizes))


def partial_labels(factors_NK: Factors, sizes: Sequence[int], rs: RandomState, *, num_observed_factors: int) -> Labels:
    """Some factors only, in the order in which they are drawn.

    Raises:
        SpecError: more factors than there are.
    """
    check_observed(num_observed_factors, len(sizes))
    observed = rs.choice(len(sizes), size=num_observed_factors, replace=False).tolist()
    return Labels(factors_NK[:, observed].astype(np.float32), tuple(sizes[k] for k in observed))


def labeller(spec: LabellerSpec) -> Labeller:
    """The labeller that a spec names. Raises `NotBuiltYet` for plugins."""
    match spec.selected:
        case _, PerfectLabeller():
            return lambda factors, sizes, rs: perfect_labels(factors, sizes)
        case _, BinLabeller(num_bins=num_bins):
            return lambda factors, sizes, rs: binned_labels(factors, sizes, num_bins=num_bins)
        case _, NoisyLabeller(prob_random=prob_random):
            return lambda factors, sizes, rs: noisy_labels(factors, sizes, rs, prob_random=prob_random)
        case _, PermutedLabeller():
            return permuted_labels
        case _, PartialLabeller(num_observed_factors=num):
            return lambda factors, sizes, rs: partial_labels(factors, sizes, rs, num_observed_factors=num)
        case word, _:
            raise NotBuiltYet(f"labelled.labeller.{word}")


def num_labels(spec: LabellerSpec, num_factors: int) -> int:
    """How many labels there will be. Raises `SpecError` where there are not so many factors to observe."""
    if spec.partial_labeller is None:
        return num_factors
    check_observed(spec.partial_labeller.num_observed_factors, num_factors)
    return spec.partial_labeller.num_observed_factors


def check_observed(num_observed_factors: int, num_factors: int) -> None:
    """Raises `SpecError` for more factors than there are."""
    if num_observed_factors > num_factors:
        field = "labelled.labeller.partial_labeller.num_observed_factors"
        raise SpecError.of(field, f"at most {num_factors}", num_observed_factors)


def check_latents(spec: SupervisedLossSpec, *, num_labels: int, num_latent: int) -> None:
    """Raises `SpecError` where a label would have no latent of its own and the loss wants one."""
    if spec.ties_latents and num_latent < num_labels:
        raise SpecError.of("architecture.num_latent", f"at least the number of labels, {num_labels}", num_latent)
