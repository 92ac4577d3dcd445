"""Linear support vector machines that tell the classes of a factor by one code, all of them at once.

The squared hinge of a class against the rest is a sum over the points within reach of a line, and where the values of
the code are sorted these are a stretch of the class's points and a stretch of the others: a binary search and three
prefix sums give value, gradient and Hessian, for all classes of all factors together. Sorting aside, a step costs the
logarithm of the number of points. Steps, tolerance and class weights are those of scikit-learn's
`LinearSVC(C=0.01, class_weight="balanced", dual=False)`, so its coefficients are met but for rounding.
Shapes: N points, M other points, K factors, P classes of all factors together, R some of these, V stored values.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Factors
from disentanglement.metrics.classifiers.trust_region import Floats, Local, Problems, minimise

PENALTY = 0.01
"""C: what a violated margin costs."""
TOLERANCE = 1e-4
"""How much shorter the gradient gets, times the share of the rarer of class and rest."""
POINTS_AT_ONCE = 2**10
"""Points predicted at once, so few that they stay in the cache; no number depends on it."""
JUST_ABOVE_MINUS_ONE = np.nextafter(-1.0, 0.0)

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FactorClasses:
    """The classes of all factors, one factor after the other."""

    labels: tuple[NDArray[np.int64], ...]
    """Of each factor, its values in rising order."""
    class_KN: NDArray[np.int64]
    """The class of each point within its factor."""
    size_P: Positions
    penalty_P: Floats
    penalty_of_rest_P: Floats

    @classmethod
    def of(cls, factors_NK: Factors) -> Self:
        """Classes weighed so that each counts alike."""
        found = [np.unique(factor_N, return_inverse=True, return_counts=True) for factor_N in factors_NK.T]
        penalties = [PENALTY * (len(factors_NK) / (len(size) * size)) for _, _, size in found]
        # Two classes are weighed against each other; of more, each against a rest that isn't: so does LIBLINEAR.
        rests = [own[::-1] if len(own) == 2 else np.full_like(own, PENALTY) for own in penalties]
        return cls(
            labels=tuple(labels for labels, _, _ in found),
            class_KN=np.stack([class_N for _, class_N, _ in found]),
            size_P=np.concatenate([size for _, _, size in found]),
            penalty_P=np.concatenate(penalties),
            penalty_of_rest_P=np.concatenate(rests),
        )

    @property
    def ends(self) -> list[int]:
        """Where in P the classes of each factor end, after a 0."""
        return [0, *np.cumsum([len(labels) for labels in self.labels]).tolist()]


def fit_lines(code_N: NDArray[np.floating[Any]], classes: FactorClasses) -> Floats:
    """Slope and offset [P, 2] of the line that tells each class from the rest of its factor."""
    rest_P = len(code_N) - classes.size_P
    tolerance_P = TOLERANCE * np.maximum(np.minimum(classes.size_P, rest_P), 1) / len(code_N)
    line_P2 = minimise(_SquaredHinge.of(code_N.astype(np.float64), classes), tolerance_P)
    for labels, start in zip(classes.labels, classes.ends, strict=False):
        if len(labels) == 2:
            line_P2[start + 1] = -line_P2[start]  # one machine tells both, and whom it doesn't tell is the first
    return line_P2


def predict(line_P2: Floats, classes: FactorClasses, code_M: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The value of each factor at other points [M, K]: that of the highest line, the lowest value of equals."""
    parts = np.array_split(code_M, max(len(code_M) // POINTS_AT_ONCE, 1))
    return np.concatenate([_highest(line_P2, classes, part_M) for part_M in parts])


def _highest(line_P2: Floats, classes: FactorClasses, code_M: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    height_PM = line_P2[:, :1] * code_M + line_P2[:, 1:]
    first_and_end = pairwise(classes.ends)
    highest = [height_PM[first:end].argmax(axis=0) for first, end in first_and_end]
    return np.stack([labels[class_M] for labels, class_M in zip(classes.labels, highest, strict=True)], axis=1)


@dataclass(frozen=True, slots=True)
class _SquaredHinge:
    """What the lines pay: squared violations of the margin, and half their squared coefficients."""

    value_V: Floats
    """The code's values in rising order: of all points, then for each factor of its classes, one after the other."""
    sum_V1: Floats
    """Sums of the values before each position, less the center: far from 0 they would cancel."""
    squares_V1: Floats
    center: float
    num_points: int
    start_P: Positions
    end_P: Positions
    penalty_P: Floats
    penalty_of_rest_P: Floats

    @classmethod
    def of(cls, code_N: Floats, classes: FactorClasses) -> Self:
        order_N = np.argsort(code_N)
        num_bits = np.min_scalar_type(int(classes.class_KN.max()))  # of few bits, NumPy sorts by counting
        rank_KN = classes.class_KN[:, order_N].astype(num_bits)
        grouped_KN = order_N[np.argsort(rank_KN, axis=1, kind="stable")]
        value_V = code_N[np.concatenate([order_N, grouped_KN.ravel()])]
        end_P = len(code_N) + classes.size_P.cumsum()
        center = float(value_V[len(code_N) // 2])  # of a code that never changes all sums are then 0: lines can tie
        centered_V = value_V - center
        return cls(
            value_V,
            np.concatenate([[0.0], centered_V.cumsum()]),
            np.concatenate([[0.0], (centered_V**2).cumsum()]),
            center,
            len(code_N),
            end_P - classes.size_P,
            end_P,
            classes.penalty_P,
            classes.penalty_of_rest_P,
        )

    def __call__(self, problem_R: Problems, line_R2: Floats) -> Local:
        own_R3, others_R3 = self._violations(problem_R, line_R2)
        penalties = self.penalty_P[problem_R], self.penalty_of_rest_P[problem_R]
        value_R = 0.5 * (line_R2**2).sum(axis=1)
        gradient_R2, hessian_R22 = line_R2.copy(), np.tile(np.eye(2), (len(problem_R), 1, 1))
        for moments_R3, penalty_R, wanted in zip((own_R3, others_R3), penalties, (1.0, -1.0), strict=True):
            part = self._paid(moments_R3, line_R2, wanted)
            value_R += penalty_R * part.value_R
            gradient_R2 += 2 * penalty_R[:, None] * part.gradient_R2
            hessian_R22 += 2 * penalty_R[:, None, None] * part.hessian_R22
        return Local(value_R, gradient_R2, hessian_R22)

    def _paid(self, moments_R3: Floats, line_R2: Floats, wanted: float) -> Local:
        """Squares of what these points miss the wanted height by, and (half) the derivatives."""
        num_R, sum_R, squares_R = moments_R3.T
        slope_R = line_R2[:, 0]
        height_R = line_R2[:, 1] + slope_R * self.center - wanted  # of the center, above what is wanted
        missed_R = slope_R * sum_R + height_R * num_R
        missed_by_value_R = slope_R * squares_R + height_R * sum_R
        value_R = slope_R * missed_by_value_R + height_R * missed_R
        gradient_R2 = np.stack([missed_by_value_R + self.center * missed_R, missed_R], axis=1)
        mixed_R = sum_R + self.center * num_R
        squared_R = squares_R + self.center * (sum_R + mixed_R)
        hessian_R22 = np.stack([squared_R, mixed_R, mixed_R, num_R], axis=1).reshape(-1, 2, 2)
        return Local(value_R, gradient_R2, hessian_R22)

    def _violations(self, problem_R: Problems, line_R2: Floats) -> tuple[Floats, Floats]:
        """Moments [R, 3] of the class's points where the line is below 1, and of the others where it is above -1."""
        start_R, end_R = self.start_P[problem_R], self.end_P[problem_R]
        all_R = np.full_like(start_R, self.num_points)
        start_3R, end_3R = np.stack([start_R, start_R, 0 * all_R]), np.stack([end_R, end_R, all_R])
        limit_31 = np.array([[1.0], [JUST_ABOVE_MINUS_ONE], [JUST_ABOVE_MINUS_ONE]])
        num_3R = self._num_below(start_3R, end_3R, line_R2, limit_31)
        is_rising_R = line_R2[:, 0] >= 0
        lowest_3R = np.where(is_rising_R, start_3R, end_3R - num_3R)
        below_3R3 = self._moments(lowest_3R, lowest_3R + num_3R)
        highest_3R = np.where(is_rising_R, start_3R + num_3R, start_3R)
        above_3R3 = self._moments(highest_3R, highest_3R + (end_3R - start_3R - num_3R))
        return below_3R3[0], above_3R3[2] - above_3R3[1]

    def _num_below(self, start_3R: Positions, end_3R: Positions, line_R2: Floats, limit_31: Floats) -> Positions:
        """How many values of a stretch, seen from where the line is low, have a line below the limit."""
        slope_R, offset_R = line_R2.T
        is_rising_R = slope_R >= 0
        low_3R, high_3R = np.zeros_like(start_3R), end_3R - start_3R
        while (is_open_3R := low_3R < high_3R).any():
            middle_3R = (low_3R + high_3R) // 2
            position_3R = np.where(is_rising_R, start_3R + middle_3R, end_3R - 1 - middle_3R)
            height_3R = slope_R * self.value_V.take(position_3R, mode="clip") + offset_R
            is_below_3R = height_3R < limit_31
            low_3R = np.where(is_open_3R & is_below_3R, middle_3R + 1, low_3R)
            high_3R = np.where(is_open_3R & ~is_below_3R, middle_3R, high_3R)
        return low_3R

    def _moments(self, start: Positions, end: Positions) -> Floats:
        """Number, sum and sum of squares of the centered values of stretches."""
        sums = self.sum_V1[end] - self.sum_V1[start]
        squares = self.squares_V1[end] - self.squares_V1[start]
        return np.stack([(end - start).astype(np.float64), sums, squares], axis=-1)
