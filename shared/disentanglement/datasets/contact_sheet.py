"""Some images side by side, to look at a data set or at reconstructions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GAP = 2


def contact_sheet(images_NHWC: NDArray[np.uint8], *, columns: int = 16) -> NDArray[np.uint8]:
    """One picture, uint8 [H', W', 3], of images [N, H, W, C]; binary ones (0 and 1) become black and white."""
    num, height, width, _ = images_NHWC.shape
    bright = images_NHWC * np.uint8(255) if images_NHWC.max(initial=0) <= 1 else images_NHWC
    rows = -(-num // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 96, np.uint8)
    for i, image in enumerate(bright):
        top, left = GAP + (i // columns) * (height + GAP), GAP + (i % columns) * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet
