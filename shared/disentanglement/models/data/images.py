"""Images as they are stored, on the device, gathered by row. Shapes: P stored points, B batch, H, W, C image."""

from __future__ import annotations

import warnings
from typing import Self

import numpy as np
import torch
from torch import Tensor

from disentanglement.datasets.ground_truth import GridData
from disentanglement.datasets.images import Stored
from disentanglement.errors import SpecError
from disentanglement.models.data.observations import Observation, observation_of


class TrainingData:
    """All stored images `[P, H, W, C]`, 255 being bright, or bits `[P, H, W / 8]` if binary with one channel.

    With an `observation` its points are what that makes of them, and each image needs a draw.
    """

    def __init__(
        self, stored: Stored, *, device: torch.device | str = "cpu", observation: Observation | None = None
    ) -> None:
        """On a CPU the array is shared, not copied: a memory map stays one. The first pixel is a byte's highest bit."""
        if stored.dtype not in (np.uint8, np.int16) or stored.ndim not in (3, 4):
            given = f"{stored.dtype} {stored.shape}"
            raise SpecError.of("images", "uint8 or int16 [P, H, W, C], or packed uint8 [P, H, W / 8]", given)
        self._stored = share(stored).to(device)
        self.packed = stored.ndim == 3
        self._shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=device)
        self._observation = observation

    @classmethod
    def of(cls, data: GridData, device: torch.device | str = "cpu") -> Self:
        """A data set's."""
        return cls(data.images.stored, device=device, observation=observation_of(data))

    def __len__(self) -> int:
        return self._stored.shape[0] if self._observation is None else self._observation.num_points

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self._stored.device

    @property
    def is_drawn(self) -> bool:
        """Whether an image is a function of its point and a draw."""
        return self._observation is not None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an image."""
        return self._stored_shape if self._observation is None else self._observation.image_shape

    def images(self, points_B: Tensor, draws_B: Tensor | None = None) -> Tensor:
        """Images `[B, H, W, C]` as float32 in [0, 1]. `draws` are int64, and needed where images are drawn."""
        if self._observation is None:
            return self._gather(points_B)
        assert draws_B is not None, "these images are drawn"
        return self._observation.observe(self._gather, points_B, draws_B)

    def encoded_images(self, start: int, stop: int) -> Tensor:
        """The images by which the points `start` to `stop` are encoded."""
        if self._observation is None:
            return self._as_float(self._stored[start:stop])
        points = torch.arange(start, stop, device=self.device)
        return self._observation.observe(self._gather, points, points + self._observation.first_draw)

    def _gather(self, rows_B: Tensor) -> Tensor:
        return self._as_float(self._stored.index_select(0, rows_B))

    def _as_float(self, stored: Tensor) -> Tensor:
        if not self.packed:
            return stored.to(torch.float32) / 255
        bits = (stored.unsqueeze(-1) >> self._shifts) & 1
        return bits.to(torch.float32).view(-1, *self._stored_shape)

    @property
    def _stored_shape(self) -> tuple[int, int, int]:
        if self.packed:
            _, height, columns = self._stored.shape
            return height, 8 * columns, 1
        height, width, channels = self._stored.shape[1:]
        return height, width, channels


def share(stored: Stored) -> Tensor:
    """The array's own memory as a tensor; nobody writes to it, so a read-only map is fine."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(stored)
