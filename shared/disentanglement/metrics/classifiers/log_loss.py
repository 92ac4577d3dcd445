"""The log-loss of classes whose logits are linear in the codes, and its gradient, in compiled code.

Shapes: N points, X blocks of B points, P weights of a class (one for each code, and the intercept, last), C classes,
or 1 where there are two.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.classifiers.boosted_trees.compiling import compiled
from disentanglement.metrics.classifiers.boosted_trees.gradients import exponentials

Floats = NDArray[np.float64]
Classes = NDArray[np.int32]

BLOCK = 256
"""Points at once: they stay in the cache, and their products are too small to wait for other threads."""


class Blocks(NamedTuple):
    """Points and their classes; the last block is filled up with points that are all 0, and of class -1."""

    inputs_XPB: Floats
    """Codes, then a row of ones."""
    class_XB: Classes
    num_points: int

    @classmethod
    def of(cls, codes_ND: Codes, class_N: Classes) -> Blocks:
        """The codes as they are: moved or scaled, a solver that stops early would stop elsewhere."""
        num_points, num_codes = codes_ND.shape
        size = min(BLOCK, num_points)
        num_blocks = -(-num_points // size)
        inputs_NP = np.zeros((num_blocks * size, num_codes + 1))
        inputs_NP[:num_points, :-1] = codes_ND
        inputs_NP[:num_points, -1] = 1.0
        padded_N = np.full(num_blocks * size, -1, np.int32)
        padded_N[:num_points] = class_N
        inputs_XPB = np.ascontiguousarray(inputs_NP.reshape(num_blocks, size, -1).transpose(0, 2, 1))
        return cls(inputs_XPB, padded_N.reshape(num_blocks, size), num_points)


def penalised_loss(weights: Floats, blocks: Blocks, num_rows: int, penalty: float) -> tuple[float, Floats]:
    """Mean log-loss plus half the penalty times all squared weights but the intercepts', and the gradient.

    Weights and gradient are flat [P * C], the classes of a code together, as in scikit-learn.
    """
    weights_CP = np.ascontiguousarray(weights.reshape(-1, num_rows).T)
    gradient_CP = np.zeros_like(weights_CP)
    total = _of_two if num_rows == 1 else _of_many
    loss = total(blocks.inputs_XPB, blocks.class_XB, weights_CP, gradient_CP) / blocks.num_points
    gradient_CP /= blocks.num_points
    slopes_CD = weights_CP[:, :-1]
    gradient_CP[:, :-1] += penalty * slopes_CD
    return loss + 0.5 * penalty * float(np.vdot(slopes_CD, slopes_CD)), gradient_CP.T.ravel()


@compiled
def _of_many(inputs_XPB: Floats, class_XB: Classes, weights_CP: Floats, gradient_CP: Floats) -> float:
    """The sum of losses; adds their gradient. Every logarithm is of a sum of powers, the largest of them 1."""
    num_classes, size = len(weights_CP), inputs_XPB.shape[2]
    logits_CB = np.empty((num_classes, size))
    largest_B, total_B = np.empty(size), np.empty(size)
    shifted_B, power_B = np.empty(size), np.empty(size)
    loss = 0.0
    for x in range(len(inputs_XPB)):
        class_B = class_XB[x]
        np.dot(weights_CP, inputs_XPB[x], logits_CB)
        largest_B[:] = logits_CB[0]
        for c in range(1, num_classes):
            for b in range(size):
                largest_B[b] = max(largest_B[b], logits_CB[c, b])
        for b in range(size):
            if class_B[b] >= 0:
                loss += largest_B[b] - logits_CB[class_B[b], b]
        total_B[:] = 0.0
        for c in range(num_classes):
            for b in range(size):
                logits_CB[c, b] -= largest_B[b]
            exponentials(logits_CB[c], shifted_B, power_B)
            for b in range(size):
                total_B[b] += logits_CB[c, b]
        for b in range(size):
            if class_B[b] >= 0:
                loss += math.log(total_B[b])
            total_B[b] = 1.0 / total_B[b] if class_B[b] >= 0 else 0.0
        for c in range(num_classes):
            for b in range(size):
                logits_CB[c, b] *= total_B[b]
        for b in range(size):
            if class_B[b] >= 0:
                logits_CB[class_B[b], b] -= 1.0
        gradient_CP += np.dot(logits_CB, inputs_XPB[x].T)
    return loss


@compiled
def _of_two(inputs_XPB: Floats, class_XB: Classes, weights_CP: Floats, gradient_CP: Floats) -> float:
    """As `_of_many`, of two classes that share one row of weights: that of the second."""
    size = inputs_XPB.shape[2]
    logits_1B, power_B = np.empty((1, size)), np.empty(size)
    shifted_B, scratch_B = np.empty(size), np.empty(size)
    loss = 0.0
    for x in range(len(inputs_XPB)):
        class_B = class_XB[x]
        np.dot(weights_CP, inputs_XPB[x], logits_1B)
        for b in range(size):
            power_B[b] = -abs(logits_1B[0, b])
        exponentials(power_B, shifted_B, scratch_B)
        for b in range(size):
            logit = logits_1B[0, b]
            if class_B[b] < 0:
                logits_1B[0, b] = 0.0
                continue
            loss += max(logit, 0.0) - logit * class_B[b] + math.log1p(power_B[b])
            numerator = 1.0 if logit >= 0 else power_B[b]
            logits_1B[0, b] = numerator / (1.0 + power_B[b]) - class_B[b]
        gradient_CP += np.dot(logits_1B, inputs_XPB[x].T)
    return loss
