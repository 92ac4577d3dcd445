"""Rendering dSprites where the released file cannot be had: same shapes, value tables and row order, own pixels.

Each of the 720 masks (shape, scale, orientation) is rendered once, by counting sub-pixel samples, and then moved by
whole pixels to its 32 x 32 positions: every sprite stays inside the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from disentanglement.datasets.dsprites import ELLIPSE, HEIGHT, NUM_IMAGES, SIZES, SQUARE, WIDTH, value_tables

Mask = NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""(images done, images in all)."""

SAMPLES_PER_PIXEL = 8
REACH = 16
"""No sprite extends further from its centre, in pixels, so 32 positions one pixel apart fit into 64."""
SQUARE_HALF_SIDE = 9.5
ELLIPSE_SEMI_AXES = (14.0, 7.5)
HEART_UNIT, HEART_RISE = 10.6, 0.12
"""Pixels per unit of the heart's curve, and how far its middle lies above the curve's origin, in units."""
NUM_POSITIONS = SIZES[4]


def render(progress: Progress | None = None) -> NDArray[np.uint8]:
    """All images as packed bits, uint8 [737280, 64, 8], in the released order (377 MB)."""
    packed = np.empty((NUM_IMAGES, HEIGHT, WIDTH // 8), np.uint8)
    start = 0
    for block in blocks():
        packed[start : start + len(block)] = block
        start += len(block)
        if progress is not None:
            progress(start, NUM_IMAGES)
    return packed


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
    windows_yx = sliding_window_view(canvas, (HEIGHT, WIDTH))[
        ::-1, ::-1
    ]  # a window further left shows it further right
    windows_xy = windows_yx.transpose(1, 0, 2, 3)
    return np.packbits(windows_xy, axis=-1).reshape(-1, HEIGHT, WIDTH // 8)


def mask(shape: int, scale: float, orientation: float) -> Mask:
    """One sprite in the middle of 32 x 32 pixels: 1 where at least half of a pixel's samples lie inside."""
    side = 2 * REACH * SAMPLES_PER_PIXEL
    centred = (np.arange(side) + 0.5) / SAMPLES_PER_PIXEL - REACH
    right, down = np.meshgrid(centred, centred)
    cos, sin = np.cos(orientation), np.sin(orientation)
    x, y = (cos * right - sin * down) / scale, (-sin * right - cos * down) / scale
    samples = inside(shape, x, y).reshape(2 * REACH, SAMPLES_PER_PIXEL, 2 * REACH, SAMPLES_PER_PIXEL)
    return (samples.mean(axis=(1, 3)) >= 0.5).astype(np.uint8)


def inside(shape: int, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points lie in the sprite at scale 1, upright, in pixels from its centre; y points up."""
    if shape == SQUARE:
        return np.maximum(np.abs(x), np.abs(y)) <= SQUARE_HALF_SIDE
    if shape == ELLIPSE:
        a, b = ELLIPSE_SEMI_AXES
        return (x / a) ** 2 + (y / b) ** 2 <= 1
    u, v = x / HEART_UNIT, y / HEART_UNIT + HEART_RISE
    heart: NDArray[np.bool_] = (u**2 + v**2 - 1) ** 3 <= u**2 * v**3
    return heart
