"""Pairs of points that differ in one factor. Shapes: N points, P pairs, C combinations, A anchors, E entries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, Factors, Points
from disentanglement.metrics.sampling.combinations import combination_labels
from disentanglement.metrics.sampling.points import Representation

MOST_PAIRS = 100_000
"""For each factor; of more, a random part is taken."""


class CodePairs(NamedTuple):
    """Codes [P, D] of both members of each pair."""

    first_PD: Codes
    second_PD: Codes


def pairs_drawn(representation: Representation, num_pairs: int, random_state: RandomState) -> list[CodePairs]:
    """For each factor `num_pairs` pairs: the same first members, and one other value of that factor, uniformly.

    Values are taken to run from 0 to the factor's size. Raises MetricUndefined naming a factor of a single value.
    """
    factors_PK = representation.sample_factors(num_pairs, random_state)
    first_PD = representation.codes_of(representation.rows(factors_PK, random_state))
    pairs = []
    for factor, size in enumerate(representation.factor_sizes):
        if size < 2:
            raise MetricUndefined(f"no pair can differ in factor {factor}: it has a single value")
        changed_PK = factors_PK.copy()
        changed_PK[:, factor] = (factors_PK[:, factor] + random_state.randint(1, size, size=num_pairs)) % size
        pairs.append(CodePairs(first_PD, representation.codes_of(representation.rows(changed_PK, random_state))))
    return pairs


def pairs_among(points: Points, rng: Generator, *, most: int = MOST_PAIRS) -> list[CodePairs]:
    """For each factor the pairs among these points, each combination of factor values at its first occurrence.

    Each combination in turn has all those that share the other factors shuffled and paired off, so a pair may come
    up again. Raises MetricUndefined naming a factor for which no two points share all the others.
    """
    _, first_C = np.unique(combination_labels(points.factors_NK), return_index=True)
    chosen = points.rows(first_C)
    return [_codes(chosen, _rows(chosen.factors_NK, factor, rng, most)) for factor in range(chosen.factors_NK.shape[1])]


def _codes(points: Points, rows_P2: NDArray[np.int64]) -> CodePairs:
    return CodePairs(points.codes_ND[rows_P2[:, 0]], points.codes_ND[rows_P2[:, 1]])


def _rows(factors_CK: Factors, factor: int, rng: Generator, most: int) -> NDArray[np.int64]:
    """Rows [P, 2] of pairs that differ in this factor alone."""
    group_C = combination_labels(np.delete(factors_CK, factor, axis=1))
    size_G = np.bincount(group_C)
    if size_G.max() < 2:
        raise MetricUndefined(
            f"no two points share all factors but factors[:, {factor}]: pairs that differ in one factor need the"
            " grid of factor combinations, or a good part of it"
        )
    group_A = rng.permutation(group_C)
    enough = int(np.searchsorted(np.cumsum(size_G[group_A] // 2), most)) + 1
    return _paired_off(group_C, group_A[:enough], rng)[:most]


def _paired_off(group_C: NDArray[np.int64], group_A: NDArray[np.int64], rng: Generator) -> NDArray[np.int64]:
    """For each anchor the members of its group in random order, two by two; of an odd number the last is left out."""
    size_G = np.bincount(group_C)
    members, start_G = np.argsort(group_C, kind="stable"), np.cumsum(size_G) - size_G
    size_A = size_G[group_A]
    anchor_E = np.repeat(np.arange(len(group_A)), size_A)
    position_E = np.arange(len(anchor_E)) - np.repeat(np.cumsum(size_A) - size_A, size_A)
    shuffled_E = np.lexsort((rng.random(len(anchor_E)), anchor_E))  # positions stay, members move within their anchor
    row_E: NDArray[np.int64] = members[start_G[group_A[anchor_E]] + position_E][shuffled_E]
    paired_E = position_E < (size_A // 2 * 2)[anchor_E]
    return row_E[paired_E].reshape(-1, 2)
