"""Rendering dSprites where the released file cannot be had: same shapes, value tables and row order, own pixels.

Sizes, upright poses and directions are those that the authors' pictures of the released set show.

Each of the 720 masks (shape, scale, orientation) is rendered once, by counting sub-pixel samples, and then moved by
whole pixels to its 32 x 32 positions: every sprite stays inside the frame, and no two images are equal but those at the
first and the last orientation, which are one full turn apart.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from disentanglement.datasets.dsprites import ELLIPSE, HEIGHT, NUM_IMAGES, SIZES, SQUARE, WIDTH, value_tables
from disentanglement.datasets.images import Progress

Mask = NDArray[np.uint8]

SAMPLES_PER_PIXEL = 8
REACH = 16
"""No sprite extends further from its centre, in pixels, so 32 positions one pixel apart fit into 64."""
SQUARE_HALF_SIDE = 9.55
ELLIPSE_SEMI_AXES = (13.2, 7.0)
HEART_LOBE_RADIUS, HEART_LOBE_CENTRE, HEART_TIP = 5.0, (4.8, 3.8), -8.0
"""A heart is two discs, each with its tangents from the tip below: the right disc's centre, and how high the tip is."""
OFF_CENTRE = (0.3625, 0.3625, 0.0)
"""How far right of and below the pixels' corner each shape's centre lies, in pixels. 40 orientations over a full turn
bring a square within 2.3 degrees of itself: centred on the corner, many of its masks would be equal."""
NUM_POSITIONS = SIZES[4]


def render(packed_PHX: NDArray[np.uint8], progress: Progress | None = None) -> None:
    """Fills packed bits, uint8 [737280, 64, 8], with all images in the released order (377 MB)."""
    start = 0
    for block in blocks():
        packed_PHX[start : start + len(block)] = block
        start += len(block)
        if progress is not None:
            progress(start, NUM_IMAGES)


def is_rendering(packed: NDArray[np.uint8]) -> bool:
    """Whether packed images are exactly those of `render`; other images are told apart at once."""
    if packed.shape != (NUM_IMAGES, HEIGHT, WIDTH // 8):
        return False
    starts = range(0, NUM_IMAGES, NUM_POSITIONS**2)
    return all(np.array_equal(packed[i : i + len(block)], block) for i, block in zip(starts, blocks(), strict=True))


def blocks() -> Iterator[NDArray[np.uint8]]:
    """The images of each shape, scale and orientation in turn: packed bits, uint8 [1024, 64, 8]."""
    _, _, scales, orientations, _, _ = value_tables()
    for shape in range(SIZES[1]):
        for scale in scales:
            for orientation in orientations:
                yield at_all_positions(mask(shape, float(scale), float(orientation)))


def at_all_positions(sprite: Mask) -> NDArray[np.uint8]:
    """Packed images [1024, 64, 8] of a mask [32, 32] at every position; x changes slower than y."""
    canvas = np.zeros((HEIGHT + NUM_POSITIONS - 1, WIDTH + NUM_POSITIONS - 1), np.uint8)
    first = NUM_POSITIONS - 1
    canvas[first : first + 2 * REACH, first : first + 2 * REACH] = sprite
    windows_yx = sliding_window_view(canvas, (HEIGHT, WIDTH))[::-1, ::-1]  # further left, it shows further right
    windows_xy = windows_yx.transpose(1, 0, 2, 3)
    return np.packbits(windows_xy, axis=-1).reshape(-1, HEIGHT, WIDTH // 8)


def mask(shape: int, scale: float, orientation: float) -> Mask:
    """One sprite in the middle of 32 x 32 pixels: 1 where at least half of a pixel's samples lie inside.

    `orientation` is in radians, counter-clockwise as one sees it.
    """
    side = 2 * REACH * SAMPLES_PER_PIXEL
    centred = (np.arange(side) + 0.5) / SAMPLES_PER_PIXEL - REACH - OFF_CENTRE[shape]
    right, down = np.meshgrid(centred, centred)
    cos, sin = np.cos(orientation), np.sin(orientation)
    x, y = (cos * right - sin * down) / scale, (-sin * right - cos * down) / scale
    samples = inside(shape, x, y).reshape(2 * REACH, SAMPLES_PER_PIXEL, 2 * REACH, SAMPLES_PER_PIXEL)
    covered: NDArray[np.bool_] = samples.mean(axis=(1, 3)) >= 0.5
    return covered.astype(np.uint8)


def inside(shape: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points lie in the sprite at scale 1, upright, in pixels from its centre; y points up."""
    if shape == SQUARE:
        return np.less_equal(np.maximum(np.abs(x), np.abs(y)), SQUARE_HALF_SIDE)
    if shape == ELLIPSE:
        a, b = ELLIPSE_SEMI_AXES
        return np.less_equal((x / a) ** 2 + (y / b) ** 2, 1)
    return _in_heart(np.abs(x), y)


def _in_heart(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The right half is enough, as the heart is symmetric: the disc, or the kite of the tip and its tangents."""
    centre_x, centre_y = HEART_LOBE_CENTRE
    axis_x, axis_y = centre_x, centre_y - HEART_TIP
    length = np.hypot(axis_x, axis_y)
    along, across = (x * axis_x + (y - HEART_TIP) * axis_y) / length, (x * axis_y - (y - HEART_TIP) * axis_x) / length
    tangent = np.sqrt(length**2 - HEART_LOBE_RADIUS**2)  # its length
    in_kite: NDArray[np.bool_] = (along <= tangent**2 / length) & (
        np.abs(across) * tangent <= along * HEART_LOBE_RADIUS
    )
    in_disc: NDArray[np.bool_] = (x - centre_x) ** 2 + (y - centre_y) ** 2 <= HEART_LOBE_RADIUS**2
    return in_disc | in_kite
