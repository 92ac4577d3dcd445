"""dSprites (Matthey et al., 2017): binary 64 x 64 images of a square, an ellipse or a heart.

Facts and value tables of the released file, shared by its reader and by our renderer.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.card import Factor

NAMES = ("color", "shape", "scale", "orientation", "position_x", "position_y")
SIZES = (1, 3, 6, 40, 32, 32)
NUM_IMAGES = math.prod(SIZES)
HEIGHT = WIDTH = 64
SQUARE, ELLIPSE, HEART = range(3)

SOURCE = "https://github.com/google-deepmind/dsprites-dataset"
LICENCE = "Apache-2.0"
"""Of the released file; its images were drawn with LOVE (zlib/libpng licence)."""
RELEASED_GIT_BLOB = "d98996d3f8ee1550e06b9d4ed78d0beb478910d5"
"""git's name for the released `.npz` in the repository of its authors."""
CITATION = "Matthey, Higgins, Hassabis, Lerchner: dSprites: Disentanglement testing Sprites dataset (2017)"


def value_tables() -> tuple[NDArray[np.float64], ...]:
    """What the values of each factor stand for, as in the released file."""
    return (
        np.array([1.0]),
        np.array([1.0, 2.0, 3.0]),
        np.linspace(0.5, 1.0, 6),
        np.linspace(0.0, 2 * np.pi, 40),
        np.linspace(0.0, 1.0, 32),
        np.linspace(0.0, 1.0, 32),
    )


def factors(latent: tuple[int, ...] = (1, 2, 3, 4, 5)) -> tuple[Factor, ...]:
    """The six factors; colour, which never changes, is observed noise unless asked for."""
    return tuple(
        Factor(name=name, size=size, is_latent=i in latent, values=tuple(values.tolist()))
        for i, (name, size, values) in enumerate(zip(NAMES, SIZES, value_tables(), strict=True))
    )


def latents_classes(start: int = 0, stop: int = NUM_IMAGES) -> NDArray[np.int64]:
    """Value indices [stop - start, 6] of the images `start` to `stop`."""
    return np.stack(np.unravel_index(np.arange(start, stop), SIZES), axis=1).astype(np.int64)
