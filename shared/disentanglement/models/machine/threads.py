"""The number of threads is part of the contract: sums in another order are other numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from disentanglement.specs import THREADS_PER_STEP


@contextmanager
def contract_threads() -> Iterator[None]:
    """PyTorch computes with `THREADS_PER_STEP` threads inside, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS_PER_STEP)
    try:
        yield
    finally:
        torch.set_num_threads(before)
