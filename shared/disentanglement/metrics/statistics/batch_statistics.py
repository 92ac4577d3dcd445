"""Statistics of codes within many small batches. Shapes: M batches of B points, D codes.

NumPy's loops are slow on the few codes of a point. Where the compiler of the boosted trees is loaded already, the same
sums are taken by compiled code in the same order: no bit depends on which of the two it was.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np

from disentanglement.metrics.arrays import Codes


def batch_variances(codes_MBD: Codes) -> Codes:
    """Variance (ddof 1) of each code within each batch [M, D]."""
    if "numba" not in sys.modules or codes_MBD.shape[1] < 2:
        variance_MD: Codes = np.var(codes_MBD, axis=1, ddof=1)
        return variance_MD
    out_MD = np.empty((codes_MBD.shape[0], codes_MBD.shape[2]), dtype=codes_MBD.dtype)
    _kernels()[0](codes_MBD, out_MD)
    return out_MD


def batch_differences(first_MBD: Codes, second_MBD: Codes) -> Codes:
    """Mean absolute difference of each code between paired points [M, D]."""
    if "numba" not in sys.modules:
        difference_MD: Codes = np.abs(first_MBD - second_MBD).mean(axis=1)
        return difference_MD
    out_MD = np.empty((first_MBD.shape[0], first_MBD.shape[2]), dtype=first_MBD.dtype)
    _kernels()[1](first_MBD, second_MBD, out_MD)
    return out_MD


@cache
def _kernels() -> tuple[Any, Any]:
    from disentanglement.metrics.classifiers.boosted_trees.compiling import compiled

    return compiled(_variances), compiled(_differences)


def _variances(codes_MBD: Codes, out_MD: Codes) -> None:
    size, num_codes = codes_MBD.shape[1:]
    one = out_MD.dtype.type
    mean_D = np.empty(num_codes, dtype=out_MD.dtype)
    for batch in range(len(codes_MBD)):
        mean_D[:] = 0
        for point in range(size):
            for code in range(num_codes):
                mean_D[code] += codes_MBD[batch, point, code]
        for code in range(num_codes):
            mean_D[code] /= one(size)
            out_MD[batch, code] = 0
        for point in range(size):
            for code in range(num_codes):
                away = codes_MBD[batch, point, code] - mean_D[code]
                out_MD[batch, code] += away * away
        for code in range(num_codes):
            out_MD[batch, code] /= one(size - 1)


def _differences(first_MBD: Codes, second_MBD: Codes, out_MD: Codes) -> None:
    size, num_codes = first_MBD.shape[1:]
    one = out_MD.dtype.type
    for batch in range(len(first_MBD)):
        for code in range(num_codes):
            out_MD[batch, code] = 0
        for point in range(size):
            for code in range(num_codes):
                out_MD[batch, code] += abs(first_MBD[batch, point, code] - second_MBD[batch, point, code])
        for code in range(num_codes):
            out_MD[batch, code] /= one(size)
