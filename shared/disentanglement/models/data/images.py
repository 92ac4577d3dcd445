"""Images as they are stored, on the device, gathered by row. Shapes: P stored points, B batch, H, W, C image."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from disentanglement.datasets.images import Stored
from disentanglement.errors import SpecError


class TrainingData:
    """All stored images `[P, H, W, C]`, 255 being bright, or bits `[P, H, W / 8]` if binary with one channel."""

    def __init__(self, stored: Stored, *, device: torch.device | str = "cpu") -> None:
        """On a CPU the array is shared, not copied: a memory map stays one. The first pixel is a byte's highest bit."""
        if stored.dtype not in (np.uint8, np.int16) or stored.ndim not in (3, 4):
            given = f"{stored.dtype} {stored.shape}"
            raise SpecError.of("images", "uint8 or int16 [P, H, W, C], or packed uint8 [P, H, W / 8]", given)
        self._stored = share(stored).to(device)
        self.packed = stored.ndim == 3
        self._shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=device)

    def __len__(self) -> int:
        return self._stored.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self._stored.device

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an image."""
        if self.packed:
            _, height, columns = self._stored.shape
            return height, 8 * columns, 1
        height, width, channels = self._stored.shape[1:]
        return height, width, channels

    def images(self, rows_B: Tensor | slice) -> Tensor:
        """Images `[B, H, W, C]` as float32 in [0, 1]."""
        stored = self._stored[rows_B] if isinstance(rows_B, slice) else self._stored.index_select(0, rows_B)
        if not self.packed:
            return stored.to(torch.float32) / 255
        bits = (stored.unsqueeze(-1) >> self._shifts) & 1
        return bits.to(torch.float32).view(-1, *self.image_shape)


def share(stored: Stored) -> Tensor:
    """The array's own memory as a tensor; nobody writes to it, so a read-only map is fine."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(stored)
