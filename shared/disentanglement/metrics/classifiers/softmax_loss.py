"""The loss of logistic regression, its gradient and its curvature, a block of points at a time.

Shapes: N points, C classes, V weights of a class (the intercept last), W = C * V weights in all, M sampled points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes

Floats = NDArray[np.float64]
Real = NDArray[np.floating[Any]]
Single = NDArray[np.float32]
Solve = Callable[[Floats], Floats]

BLOCK = 1024
"""Points whose probabilities are held at once: they stay in cache, and products too small to wait for threads."""
MOST_JOINT_WEIGHTS = 500
"""With more weights, the curvature between classes is left to the memory of L-BFGS."""
POINTS_OF_ALL, POINTS_WITHIN = 1024, 2048
"""Points sampled for second derivatives, between all classes and within each; they only precondition."""
LEAST = 1e-6
"""What is added to second derivatives, relative to them: as much as single precision leaves undecided."""


def softmax(logits_CN: Real) -> tuple[Any, Any]:
    """Probabilities [C, N] and the logarithm of what they were divided by [N]."""
    power_CN, sum_N, largest_N = _powers(logits_CN)
    return power_CN / sum_N, largest_N + np.log(sum_N)


def _powers(logits_CN: Real) -> tuple[Real, Real, Real]:
    largest_N = logits_CN.max(axis=0)
    power_CN = np.exp(logits_CN - largest_N)
    return power_CN, power_CN.sum(axis=0), largest_N


@dataclass(frozen=True, slots=True)
class SoftmaxLoss:
    """Mean cross entropy and penalty as a function of weights [C, V], which are float64 whatever the points."""

    points_VN: Real
    observed_CV: Floats
    """Sum of the points of each class."""
    penalty_V: Floats
    rounding: float
    """Losses that differ by less are equal."""

    @classmethod
    def of(cls, codes_ND: Codes, class_N: NDArray[np.int64], num_classes: int, penalty: float) -> SoftmaxLoss:
        """The last row of points is 1, for the intercept, which has no penalty."""
        ones_1N = np.ones((1, len(codes_ND)))
        points_VN = np.concatenate([codes_ND.T, ones_1N], dtype=np.float64)
        sums_VC = [np.bincount(class_N, weights=point_N, minlength=num_classes) for point_N in points_VN]
        penalty_V = np.append(np.full(len(points_VN) - 1, penalty), 0.0)
        return cls(points_VN, np.stack(sums_VC, axis=1), penalty_V, 1e-14)

    @property
    def least_share(self) -> float:
        """Of a step: what goes down no earlier is rounding."""
        return 1e-2 if self.points_VN.dtype == np.float32 else 1e-6

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weights."""
        num_classes, num_weights = self.observed_CV.shape
        return num_classes, num_weights

    def single(self) -> SoftmaxLoss:
        """In float32, about three times as fast."""
        return SoftmaxLoss(self.points_VN.astype(np.float32), self.observed_CV, self.penalty_V, 1e-8)

    def at(self, weights_CV: Floats) -> tuple[float, Floats]:
        """The loss and its gradient [C, V]; sums over blocks are float64."""
        num_points = self.points_VN.shape[1]
        weights = weights_CV.astype(self.points_VN.dtype)
        shrunk_CV = self.penalty_V * weights_CV
        total, gradient_CV = -float(np.vdot(self.observed_CV, weights_CV)), -self.observed_CV
        for start in range(0, num_points, BLOCK):
            block_VN = self.points_VN[:, start : start + BLOCK]
            power_CN, sum_N, largest_N = _powers(weights @ block_VN)
            total += float((largest_N + np.log(sum_N)).sum(dtype=np.float64))
            gradient_CV = gradient_CV + power_CN @ (block_VN / sum_N).T
        return total / num_points + np.vdot(shrunk_CV, weights_CV) / 2, gradient_CV / num_points + shrunk_CV


def curvature(problem: SoftmaxLoss, weights_CV: Floats) -> Solve:
    """Solves for a step [C, V] by the second derivatives at these weights, taken on a sample of the points."""
    sampled = POINTS_OF_ALL if weights_CV.size <= MOST_JOINT_WEIGHTS else POINTS_WITHIN
    sample_VM = problem.points_VN[:, :: max(problem.points_VN.shape[1] // sampled, 1)].astype(np.float32)
    if not weights_CV.any():
        return _of_no_weights(sample_VM, len(weights_CV), problem.penalty_V)
    probability_CM, _ = softmax(weights_CV.astype(np.float32) @ sample_VM)
    if weights_CV.size <= MOST_JOINT_WEIGHTS:
        return _between_all(sample_VM, probability_CM, problem.penalty_V)
    return _within_classes(sample_VM, probability_CM, problem.penalty_V)


def _of_no_weights(sample_VM: Single, num_classes: int, penalty_V: Floats) -> Solve:
    """All classes are equally likely: one block for all, as gradients sum to 0 over classes."""
    spread_VV = sample_VM @ sample_VM.T / (num_classes * sample_VM.shape[1])
    inverse_VV = np.linalg.inv(_with_penalty(spread_VV.astype(np.float64), penalty_V))
    return lambda gradient_CV: gradient_CV @ inverse_VV


def _within_classes(sample_VM: Single, probability_CM: Single, penalty_V: Floats) -> Solve:
    num_weights, num_points = sample_VM.shape
    products_VVM = (sample_VM[:, None] * sample_VM).reshape(num_weights**2, num_points)
    spread_CM = probability_CM * (1.0 - probability_CM)
    blocks_CVV = (spread_CM @ products_VVM.T / num_points).reshape(-1, num_weights, num_weights)
    inverse_CVV = np.linalg.inv(_with_penalty(blocks_CVV.astype(np.float64), penalty_V))
    return lambda gradient_CV: (inverse_CVV @ gradient_CV[:, :, None])[:, :, 0]


def _between_all(sample_VM: Single, probability_CM: Single, penalty_V: Floats) -> Solve:
    from scipy.linalg import cho_factor, cho_solve  # a tenth of a second to import: only who fits pays for it

    (num_weights, num_points), num_classes = sample_VM.shape, len(probability_CM)
    weighted_WM = (probability_CM[:, None] * sample_VM).reshape(num_classes * num_weights, num_points)
    joint_WW = -(weighted_WM @ weighted_WM.T)
    own_CVV = (weighted_WM @ sample_VM.T).reshape(num_classes, num_weights, num_weights)
    view_CVCV = joint_WW.reshape(num_classes, num_weights, num_classes, num_weights)
    for class_, own_VV in enumerate(own_CVV):
        view_CVCV[class_, :, class_] += own_VV
    joint_WW /= num_points
    view_CVCV[:, -1, :, -1] += 1.0 / num_classes  # all intercepts at once change nothing: anything but 0 will do
    factor = cho_factor(_with_penalty(joint_WW, np.tile(penalty_V, num_classes)), overwrite_a=True, check_finite=False)
    return lambda gradient_CV: cho_solve(factor, gradient_CV.ravel()).reshape(gradient_CV.shape)


def _with_penalty(matrix: NDArray[Any], penalty: Floats) -> NDArray[Any]:
    """Adds it to the diagonals, and a little more: a class that is certain everywhere has no curvature."""
    index = np.arange(len(penalty))
    matrix[..., index, index] += penalty + 1e-3 * penalty.max() + LEAST * matrix[..., index, index].mean()
    return matrix
