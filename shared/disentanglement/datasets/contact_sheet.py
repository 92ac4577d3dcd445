"""Some images side by side, to look at a data set or at reconstructions."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.factor_space import Factors, FactorSpace
from disentanglement.datasets.images import Stored

GAP = 2
TRUE_COLOUR = 2
"""PNG's colour type of red, green and blue."""


def contact_sheet(images_NHWC: Stored, *, columns: int = 16) -> NDArray[np.uint8]:
    """One picture, uint8 [H', W', 3], of images [N, H, W, C]; binary ones (0 and 1) become black and white."""
    num, height, width, _ = images_NHWC.shape
    scale = 255 if images_NHWC.max(initial=0) <= 1 else 1
    bright = np.clip(images_NHWC.astype(np.int32) * scale, 0, 255).astype(np.uint8)
    rows = -(-num // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 96, np.uint8)
    for i, image in enumerate(bright):
        top, left = GAP + (i // columns) * (height + GAP), GAP + (i % columns) * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def traversals(space: FactorSpace, *, columns: int = 16) -> Factors:
    """Latent factors [lines * columns, K]: a line for each of them, from its first value to its last.

    All others stand still: early ones among their first values, late ones among their last, so that hues differ.
    """
    sizes = space.latent_sizes
    standing = [size * (factor + 1) // (len(sizes) + 1) for factor, size in enumerate(sizes)]
    lines = np.tile(standing, (len(sizes), columns, 1)).astype(np.int64)
    for factor, line in enumerate(lines):
        line[:, factor] = np.linspace(0, sizes[factor] - 1, columns).round()
    return lines.reshape(-1, len(sizes))


def png(picture_HW3: NDArray[np.uint8]) -> bytes:
    """The picture, uint8 [H, W, 3], as a PNG file."""
    height, width, _ = picture_HW3.shape
    lines = np.pad(picture_HW3.reshape(height, -1), ((0, 0), (1, 0)))  # each line begins with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, TRUE_COLOUR, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
