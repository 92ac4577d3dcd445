"""Data sets of a few factors, without images or with images that tell their row."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.card import DataCard, Factor, Origin
from disentanglement.datasets.ground_truth import GridData

SIDE = 8


def grid(*sizes: int, noise: tuple[int, ...] = (), of: type[GridData] = GridData) -> GridData:
    """A data set of these factors; those at the positions `noise` are observed noise."""
    factors = [Factor(name=f"f{i}", size=size, is_latent=i not in noise) for i, size in enumerate(sizes)]
    card = DataCard.of(
        name="grid",
        origin=Origin.GENERATED,
        images_sha256="0" * 64,
        images_bytes=0,
        num_images=math.prod(sizes),
        encoding="uint8",
        observation_shape=(SIDE, SIDE, 1),
        factors=factors,
    )
    return of(card)


def numbered_images(num: int) -> NDArray[np.uint8]:
    """uint8 [num, 8, 8, 1]: every pixel of an image is its row."""
    rows = np.arange(num, dtype=np.uint8)[:, None, None, None]
    return np.ascontiguousarray(np.broadcast_to(rows, (num, SIDE, SIDE, 1)))
