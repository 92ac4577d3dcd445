"""Gradients of the log-loss, and predictions, in compiled code. Shapes: N points, C trees of a round, B of a block."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.classifiers.boosted_trees.compiling import compiled
from disentanglement.metrics.classifiers.boosted_trees.layout import DEPTH, NUM_NODES, Classes, Floats, Singles

BLOCK = 256
LOWEST_EXPONENT = -700.0
ROUNDING = 1.5 * 2.0**52
LOG2_E = 1.4426950408889634
LN2_HIGH = 0.6931471803691238
"""ln 2 with its last bits zero: its product with a small integer is exact."""
LN2_LOW = 1.9082149292705877e-10
TAYLOR = tuple(1.0 / math.factorial(n) for n in range(13, -1, -1))


@compiled
def negative_gradients(raw_CN: Floats, class_N: Classes, gradient_CN: Floats, start: int, end: int) -> None:
    """Fills in, for the points from `start` to `end`: 1 for the true class and 0 for others, less the probability."""
    size = min(BLOCK, end - start)
    largest_B, total_B, shifted_B, power_B = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for low in range(start, end, BLOCK):
        high = min(low + BLOCK, end)
        if len(raw_CN) == 1:
            _of_two_classes(raw_CN[0, low:high], class_N[low:high], gradient_CN[0, low:high], shifted_B, power_B)
        else:
            _of_many_classes(
                raw_CN[:, low:high],
                class_N[low:high],
                gradient_CN[:, low:high],
                largest_B[: high - low],
                total_B[: high - low],
                shifted_B,
                power_B,
            )


@compiled
def _of_two_classes(raw_B: Floats, class_B: Classes, gradient_B: Floats, shifted_B: Floats, power_B: Floats) -> None:
    for b in range(len(raw_B)):
        gradient_B[b] = -abs(raw_B[b])
    exponentials(gradient_B, shifted_B, power_B)
    for b in range(len(raw_B)):
        e = gradient_B[b]  # of minus the distance from even odds
        numerator = 1.0 if raw_B[b] >= 0 else e
        gradient_B[b] = float(class_B[b]) - numerator / (1.0 + e)


@compiled
def _of_many_classes(
    raw_CB: Floats,
    class_B: Classes,
    gradient_CB: Floats,
    largest_B: Floats,
    total_B: Floats,
    shifted_B: Floats,
    power_B: Floats,
) -> None:
    largest_B[:] = raw_CB[0]
    total_B[:] = 0.0
    for c in range(1, len(raw_CB)):
        for b in range(len(largest_B)):
            largest_B[b] = max(largest_B[b], raw_CB[c, b])
    for c in range(len(raw_CB)):
        for b in range(len(largest_B)):
            gradient_CB[c, b] = raw_CB[c, b] - largest_B[b]
        exponentials(gradient_CB[c], shifted_B, power_B)
        for b in range(len(largest_B)):
            total_B[b] += gradient_CB[c, b]
    for c in range(len(raw_CB)):
        for b in range(len(largest_B)):
            truth = 1.0 if class_B[b] == c else 0.0
            gradient_CB[c, b] = truth - gradient_CB[c, b] / total_B[b]


@compiled
def exponentials(x_B: Floats, shifted_B: Floats, power_B: Floats) -> None:
    """Exponentials of numbers from 0 down, in place and to about the last bit; two arrays of as many are overwritten.

    Sums and products alone, so these are the same numbers on every machine, four or eight at a time. e^x is 2^k e^r
    where k is the integer next to x / ln 2, and e^r, |r| <= ln 2 / 2, is Taylor's polynomial. Adding 1.5 * 2^52 leaves
    k in the lowest bits of a float.
    """
    shifted_bits_B, power_bits_B = shifted_B.view(np.int64), power_B.view(np.int64)
    for b in range(len(x_B)):
        x_B[b] = max(x_B[b], LOWEST_EXPONENT)
        shifted_B[b] = x_B[b] * LOG2_E + ROUNDING
    for b in range(len(x_B)):
        power_bits_B[b] = (shifted_bits_B[b] + 1023) << 52
    for b in range(len(x_B)):
        k = shifted_B[b] - ROUNDING
        r = x_B[b] - k * LN2_HIGH - k * LN2_LOW
        sum_of_terms = TAYLOR[0]
        for i in range(1, len(TAYLOR)):
            sum_of_terms = sum_of_terms * r + TAYLOR[i]
        x_B[b] = sum_of_terms * power_B[b]


@compiled
def add_predictions(
    values_DN: Singles,
    code_CK: NDArray[np.int32],
    threshold_CK: Floats,
    value_CL: Floats,
    learning_rate: float,
    raw_CN: Floats,
) -> None:
    """Adds what the trees of one round predict."""
    for c in range(len(raw_CN)):
        code_K, threshold_K, value_L = code_CK[c], threshold_CK[c], value_CL[c]
        for n in range(raw_CN.shape[1]):
            k = 0
            for _ in range(DEPTH):
                k = 2 * k + 1 + int(values_DN[code_K[k], n] > threshold_K[k])
            raw_CN[c, n] += learning_rate * value_L[k - NUM_NODES]
