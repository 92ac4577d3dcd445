"""Recorded arrays of the reference, and its recipe for weights under our names and in our layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden"
Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]

OUR_NAMES = {
    "encoder/dense": "encoder.means",
    "encoder/dense_1": "encoder.log_var",
    "decoder/dense": "decoder.d1",
    "decoder/dense_1": "decoder.d2",
    "decoder/dense_2": "decoder.d3",
    "decoder/dense_3": "decoder.d4",
    "decoder/conv2d_transpose": "decoder.d3",
    "decoder/conv2d_transpose_1": "decoder.d4",
    "decoder/conv2d_transpose_2": "decoder.d5",
    "decoder/conv2d_transpose_3": "decoder.d6",
}


def arrays(name: str) -> Arrays:
    """The arrays of a recording, e.g. `models/architectures`."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def values(name: str) -> dict[str, Any]:
    """The scalars and descriptions of a recording."""
    loaded: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return loaded


def tensor(array: np.ndarray[Any, np.dtype[Any]]) -> Tensor:
    """As float32."""
    return torch.from_numpy(array.astype(np.float32))


def our_name(name: str) -> str:
    """`encoder/e1/kernel` -> `encoder.e1.kernel`; numbered layers get the names that they have here."""
    scope, _, kind = name.rpartition("/")
    return f"{OUR_NAMES.get(scope, scope.replace('/', '.'))}.{kind}"


def recipe(name: str, shape: list[int]) -> Tensor:
    """The value of a variable, in our layout, as `golden/models/README.md` says."""
    seed = sum((i + 1) * byte for i, byte in enumerate(name.encode())) % 2**31
    normal = np.random.RandomState(seed).standard_normal(shape)
    if len(shape) == 1:
        return tensor(0.02 * normal)
    fan_in = shape[0] * shape[1] * shape[3] if "transpose" in name else int(np.prod(shape[:-1]))
    return in_our_layout(tensor(normal / np.sqrt(fan_in)))


def in_our_layout(kernel: Tensor) -> Tensor:
    """(h, w, in, out) and, for a transposed convolution, (h, w, out, in): ours has the last axis first."""
    return kernel.permute(3, 0, 1, 2).contiguous() if kernel.ndim == 4 else kernel


def reference_weights(variables: list[tuple[str, list[int]]]) -> dict[str, Tensor]:
    """Weights by our names, from the recorded list of (name, shape)."""
    return {our_name(name): recipe(name, shape) for name, shape in variables}
