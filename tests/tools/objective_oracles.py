"""The objectives' terms once more: loops over plain numbers in float64, as slow and as plain as the formulas.

Arguments are `[B, Z]` arrays: codes, means, log-variances. Nothing here is shared with what it checks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]


def divergence(means: Matrix, logvars: Matrix) -> float:
    """KL to the prior: a sum over latents, a mean over the batch."""
    total = 0.0
    for mean_Z, logvar_Z in zip(means.tolist(), logvars.tolist(), strict=True):
        for mean, logvar in zip(mean_Z, logvar_Z, strict=True):
            total += 0.5 * (mean**2 + math.exp(logvar) - logvar - 1)
    return total / len(means)


def mean_of(numbers: list[float]) -> float:
    """Plain mean."""
    return sum(numbers) / len(numbers)


def covariance(rows: Matrix) -> list[list[float]]:
    """E[x y] - E[x] E[y] for each pair of columns."""
    columns = [column.tolist() for column in rows.T]
    return [
        [mean_of([x * y for x, y in zip(a, b, strict=True)]) - mean_of(a) * mean_of(b) for b in columns]
        for a in columns
    ]


def covariance_of_codes(means: Matrix, logvars: Matrix) -> list[list[float]]:
    """With the mean variance of the encoder on the diagonal."""
    matrix = covariance(means)
    for i, column in enumerate(logvars.T.tolist()):
        matrix[i][i] += mean_of([math.exp(logvar) for logvar in column])
    return matrix


def identity_penalty(matrix: list[list[float]], *, off_diagonal: float, diagonal: float) -> float:
    """Weighted squared distance from the identity, entry by entry."""
    penalty = 0.0
    for i, row in enumerate(matrix):
        for j, entry in enumerate(row):
            penalty += diagonal * (entry - 1) ** 2 if i == j else off_diagonal * entry**2
    return penalty


def log_density(x: float, mean: float, logvar: float) -> float:
    """Of a Gaussian."""
    return -0.5 * ((x - mean) ** 2 / math.exp(logvar) + logvar + math.log(2 * math.pi))


def log_sum_exp(numbers: list[float]) -> float:
    """Without overflow."""
    largest = max(numbers)
    return largest + math.log(sum(math.exp(number - largest) for number in numbers))


def total_correlation(codes: Matrix, means: Matrix, logvars: Matrix) -> float:
    """Mean over samples j of log sum_i q_i(z_j) - sum_d log sum_i q_i(z_jd)."""
    encodings = list(zip(means.tolist(), logvars.tolist(), strict=True))
    num_latent = codes.shape[1]
    terms = []
    for code in codes.tolist():
        densities = [[log_density(code[d], m[d], v[d]) for d in range(num_latent)] for m, v in encodings]
        joint = log_sum_exp([sum(of_one) for of_one in densities])
        terms.append(joint - sum(log_sum_exp([of_one[d] for of_one in densities]) for d in range(num_latent)))
    return mean_of(terms)


def probability(logits: list[float], of: int) -> float:
    """Softmax of two logits, clipped to [1e-6, 1 - 1e-6]."""
    p = 1 / (1 + math.exp(min(logits[1 - of] - logits[of], 700)))
    return min(max(p, 1e-6), 1 - 1e-6)


def discriminator_objective(logits: Matrix, permuted_logits: Matrix) -> float:
    """What the discriminator maximises."""
    joint = mean_of([math.log(probability(row, 0)) for row in logits.tolist()])
    permuted = mean_of([math.log(probability(row, 1)) for row in permuted_logits.tolist()])
    return 0.5 * joint + 0.5 * permuted


def discriminated_correlation(logits: Matrix) -> float:
    """Mean difference of the logits "joint" and "permuted"."""
    return mean_of([joint - permuted for joint, permuted in logits.tolist()])
