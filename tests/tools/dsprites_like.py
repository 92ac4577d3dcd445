"""Data sets of dSprites' family, small: other sizes, sprites that are squares, their own cards."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.card import DataCard
from disentanglement.datasets.catalog import DATA_SETS
from disentanglement.datasets.ground_truth import GridData
from disentanglement.datasets.images import StoredImages

SIZES = (1, 2, 2, 4, 3, 3)
BY_NAME = {"color": 1, "shape": 2, "scale": 2, "orientation": 4, "position_x": 3, "position_y": 3}


def sprites() -> NDArray[np.uint8]:
    """Packed images: the corner of a square says where it is, its sides what it is."""
    num = math.prod(SIZES)
    images = np.zeros((num, 64, 64), np.uint8)
    for row, (_, shape, scale, turn, x, y) in enumerate(np.ndindex(*SIZES)):
        height, width = 8 + 4 * scale + turn, 8 + 6 * shape
        images[row, 12 * y + 2 : 12 * y + 2 + height, 12 * x + 2 : 12 * x + 2 + width] = 1
    return np.packbits(images, axis=-1)


def small_card(name: str, stored: StoredImages, *, origin: str = "generated") -> DataCard:
    """A card of these images under the name of a data set of the family."""
    entry = DATA_SETS[name]
    factors = tuple(
        factor.model_copy(update={"size": BY_NAME.get(factor.name, factor.size)}) for factor in entry.factors
    )
    return DataCard.of(
        name=name,
        origin=origin,
        images_sha256=hashlib.sha256(stored.stored.tobytes()).hexdigest(),
        images_bytes=stored.stored.nbytes,
        num_images=len(stored),
        encoding="packed_bits",
        observation_shape=entry.observed or stored.observation_shape,
        factors=factors,
    )


def small_data(name: str, *, origin: str = "generated") -> GridData:
    """The data set, opened."""
    stored = StoredImages(sprites(), "packed_bits")
    return DATA_SETS[name].open(small_card(name, stored, origin=origin), stored)
