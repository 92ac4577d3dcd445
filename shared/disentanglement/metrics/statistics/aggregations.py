"""What a matrix of codes by factors says of a representation, whatever its entries measure (all at least 0).

Disentanglement and completeness: Eastwood and Williams, 2018, ICLR. Modularity: Ridgeway and Mozer, 2018,
arXiv:1802.05312. Groups of codes and factors above a threshold, and when factors merge: Locatello et al., 2020,
arXiv:2007.14184. Shapes: D codes, K factors, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

FLOOR = 1e-11
"""Added to entries, so that a code that is used for nothing has a uniform row, hence the score 0."""


def disentanglements(matrix_DK: Matrix) -> NDArray[np.float64]:
    """How far each code [D] is from serving several factors: 0 to 1. Needs two factors or more."""
    return _concentrations(matrix_DK)


def completenesses(matrix_DK: Matrix) -> NDArray[np.float64]:
    """How far each factor [K] is from being spread over several codes: 0 to 1. Needs two codes or more."""
    return _concentrations(matrix_DK.T)


def disentanglement(matrix_DK: Matrix) -> float:
    """That of the codes, weighted by how much each is used."""
    return _weighted(disentanglements(matrix_DK), matrix_DK)


def completeness(matrix_DK: Matrix) -> float:
    """That of the factors, weighted by how much each is found in codes."""
    return _weighted(completenesses(matrix_DK), matrix_DK.T)


def _concentrations(matrix_RC: Matrix) -> NDArray[np.float64]:
    """One minus the entropy of each row, in base of its length."""
    from scipy.stats import entropy  # half a second to import: only who scores pays for it

    return 1.0 - np.asarray(entropy(matrix_RC.T + FLOOR, base=matrix_RC.shape[1]), dtype=np.float64)


def _weighted(score_R: NDArray[np.float64], matrix_RC: Matrix) -> float:
    weighed_RC = matrix_RC if matrix_RC.any() else np.ones_like(matrix_RC)
    weight_R = weighed_RC.sum(axis=1) / weighed_RC.sum()
    return float((score_R * weight_R).sum())


def modularities(matrix_DK: Matrix) -> NDArray[np.float64]:
    """How little each code [D] knows of other factors than its best, by squares: 0 to 1, and 0 if it knows nothing.

    Needs two factors or more.
    """
    squared_DK = matrix_DK**2
    best_D = squared_DK.max(axis=1)
    knows_D = best_D > 0
    others_D = (squared_DK.sum(axis=1) - best_D) / (matrix_DK.shape[1] - 1)
    return np.where(knows_D, 1.0 - others_D / np.where(knows_D, best_D, 1.0), 0.0)


@dataclass(frozen=True, slots=True)
class GroupCurve:
    """How many separate groups of codes and factors there are when only entries from a threshold on connect them."""

    threshold_T: NDArray[np.float64]
    """All values of the matrix, falling."""
    num_groups_T: NDArray[np.int64]

    @property
    def area(self) -> float:
        """Under the curve, down to the smallest entry (the reference's `area_precision`; it may exceed 1)."""
        middle_t = (self.num_groups_T[:-1] + self.num_groups_T[1:]) / 2
        return float((middle_t * -np.diff(self.threshold_T)).sum())

    @property
    def highest(self) -> int:
        """The most groups (the reference's `max_precision`, which is a count)."""
        return int(self.num_groups_T.max())


def group_curve(matrix_DK: Matrix) -> GroupCurve:
    """The curve over all values of the matrix. An entry of 0 connects nothing, whatever the threshold."""
    threshold_T = np.unique(matrix_DK)[::-1]
    groups, num_groups, num_groups_T = _Groups(sum(matrix_DK.shape)), 0, []
    for threshold in threshold_T:
        for code, factor in np.argwhere((matrix_DK == threshold) & (matrix_DK != 0)).tolist():
            if sides := groups.connect(factor, matrix_DK.shape[1] + code):
                num_groups += 1 - sum(len(side) > 1 for side in sides)
        num_groups_T.append(num_groups)
    return GroupCurve(threshold_T, np.array(num_groups_T))


def merge_ranks(matrix_DK: Matrix) -> dict[tuple[int, int], int]:
    """For each pair of factors, the rank (from 0) of the entry through which both first connect.

    Entries connect in falling order, in the end also those of 0. The first of a pair is connected to the entry's
    factor, the second to its code. Of equal entries the last by factor and code goes first; the reference leaves their
    order to an unstable sort.
    """
    num_codes, num_factors = matrix_DK.shape
    groups = _Groups(num_factors + num_codes)
    ranks: dict[tuple[int, int], int] = {}
    for rank, entry in enumerate(np.argsort(matrix_DK.T, axis=None, kind="stable")[::-1].tolist()):
        factor, code = divmod(entry, num_codes)
        for left, right in product(*groups.connect(factor, num_factors + code) or ((), ())):
            if max(left, right) < num_factors:
                ranks[left, right] = rank
    return ranks


class _Groups:
    """Nodes, each alone until they are connected: first the factors, then the codes."""

    def __init__(self, num_nodes: int) -> None:
        self._group_of = [[node] for node in range(num_nodes)]

    def connect(self, left: int, right: int) -> tuple[list[int], list[int]] | None:
        """The two groups that become one, as they were before; None where both nodes are in one already."""
        sides = self._group_of[left], self._group_of[right]
        if sides[0] is sides[1]:
            return None
        joined = sides[0] + sides[1]
        for node in joined:
            self._group_of[node] = joined
        return sides
