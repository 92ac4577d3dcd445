"""Shapes3D (Burgess and Kim, 2018): an object in a room, 64 x 64 in colour.

Facts and value tables of the released file, shared by its reader and by our renderer.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.card import Factor

NAMES = ("floor_color", "wall_color", "object_color", "object_size", "object_type", "azimuth")
SIZES = (10, 10, 10, 8, 4, 15)
NUM_IMAGES = math.prod(SIZES)
SHAPE = (64, 64, 3)
CUBE, CYLINDER, SPHERE, CAPSULE = range(4)

SOURCE = "https://github.com/google-deepmind/3d-shapes"
LICENCE = "Apache-2.0"
CITATION = "Burgess, Kim: 3D Shapes Dataset (2018)"


def value_tables() -> tuple[NDArray[np.float64], ...]:
    """What the values of each factor stand for, as in the released file: hues, a scale, a shape, degrees."""
    hues = np.arange(10) / 10
    return hues, hues, hues, np.linspace(0.75, 1.25, 8), np.arange(4.0), np.linspace(-30.0, 30.0, 15)


def factors() -> tuple[Factor, ...]:
    """The six factors, all latent."""
    return tuple(
        Factor(name=name, size=size, values=tuple(values.tolist()))
        for name, size, values in zip(NAMES, SIZES, value_tables(), strict=True)
    )


def labels(start: int, stop: int) -> NDArray[np.float64]:
    """What the factors of the images `start` to `stop` stand for, [stop - start, 6], in row-major order."""
    classes = np.unravel_index(np.arange(start, stop), SIZES)
    return np.stack([table[values] for table, values in zip(value_tables(), classes, strict=True)], axis=1)
