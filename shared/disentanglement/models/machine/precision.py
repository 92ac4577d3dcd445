"""The device's switches for the precision of float32 products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from disentanglement.specs.steps import Precision


@contextmanager
def precision_switches(precision: Precision) -> Iterator[None]:
    """Products of float32 numbers on CUDA keep 10 bits of each factor for tf32 and all of them else, while inside.

    PyTorch's own default is neither: matrix products are exact and convolutions are not. Elsewhere nothing changes.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
