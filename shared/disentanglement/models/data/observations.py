"""Observations that are drawn: colours, noise and orientations as functions of one number for each image, its *draw*.

A draw is hashed, on the device, into as many uniform numbers as an image needs. In training it comes from a stream of
the run; in extraction from the data set's digest and the point, so that equal models have equal codes.

Shapes: B batch, H, W, C image.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from disentanglement.datasets.dsprites_variants import (
    COLOURED,
    DARKEST_TINT,
    GREYS,
    HUSL,
    AbstractDsprites,
    ColorDsprites,
    NoisyDsprites,
)
from disentanglement.datasets.ground_truth import GridData

Gather = Callable[[Tensor], Tensor]
"""From rows [B] to stored images, float32 [B, H, W, C]."""
Observe = Callable[[Gather, Tensor, Tensor], Tensor]
"""From stored images, points [B] and draws [B] to images float32 [B, H, W, C] in [0, 1]."""

GOLDEN, FIRST, SECOND = (x - 2**64 for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Of SplitMix64 (Steele, Lea and Flood, 2014), as signed numbers."""
BITS = 24
"""Of a uniform number: as many as float32 keeps."""
LARGEST_DRAW = 2**62


@dataclass(frozen=True, slots=True)
class Observation:
    """How points of a data set are observed."""

    num_points: int
    image_shape: tuple[int, int, int]
    observe: Observe
    first_draw: int
    """Of the draws by which points are encoded: point p has `first_draw + p`."""


def observation_of(data: GridData) -> Observation | None:
    """How a data set is observed; None where its stored images are what is seen."""
    if isinstance(data, ColorDsprites):
        observe: Observe = tinted
    elif isinstance(data, NoisyDsprites):
        observe = on_noise
    elif isinstance(data, AbstractDsprites):
        observe = partial(abstract, data.sprite_sizes)
    else:
        return None
    digest = hashlib.sha256(f"draw 0 of {data.card.digest}".encode()).digest()
    first = int.from_bytes(digest[:8], "little") % LARGEST_DRAW
    return Observation(data.num_points, data.observation_shape, observe, first)


def tinted(gather: Gather, points_B: Tensor, draws_B: Tensor) -> Tensor:
    """Sprites in a colour of their own, each channel from 0.5 to 1."""
    tint_B3 = DARKEST_TINT + (1 - DARKEST_TINT) * uniform(draws_B, 3)
    return gather(points_B) * tint_B3[:, None, None, :]


def on_noise(gather: Gather, points_B: Tensor, draws_B: Tensor) -> Tensor:
    """White sprites on uniform noise."""
    noise = uniform(draws_B, math.prod(COLOURED)).view(-1, *COLOURED)
    return (gather(points_B) + noise).clamp_(max=1)


def abstract(sprite_sizes: Sequence[int], gather: Gather, points_B: Tensor, draws_B: Tensor) -> Tensor:
    """Sprites in one of six colours on one of five greys, at an orientation that is drawn."""
    shapes, scales, orientations, *positions = sprite_sizes
    places, forms = math.prod(positions), shapes * scales
    turn_B = (uniform(draws_B, 1)[:, 0] * orientations).long().clamp_(max=orientations - 1)
    form_B, colours_B = points_B // places % forms, points_B // (places * forms)
    sprites = gather((form_B * orientations + turn_B) * places + points_B % places)
    greys = sprites.new_tensor(GREYS)[colours_B // len(HUSL), None, None, None]
    colours = sprites.new_tensor(HUSL)[colours_B % len(HUSL), None, None, :]
    return sprites * colours + (1 - sprites) * greys


def uniform(draws_B: Tensor, count: int) -> Tensor:
    """Uniform numbers float32 [B, count] in [0, 1), two of each hashed 64 bits."""
    half = (count + 1) // 2
    places = torch.arange(1, half + 1, device=draws_B.device) * GOLDEN
    bits = hashed(hashed(draws_B)[:, None] + places)
    both = torch.stack((bits >> (64 - BITS), bits >> (64 - 2 * BITS)), dim=2).bitwise_and_(2**BITS - 1)
    numbers: Tensor = both.view(len(draws_B), -1)[:, :count].to(torch.float32) / 2**BITS
    return numbers


def hashed(x: Tensor) -> Tensor:
    """SplitMix64's finaliser: int64 to int64, overflow wraps around."""
    x = (x ^ shifted(x, 30)) * FIRST
    x = (x ^ shifted(x, 27)) * SECOND
    return x ^ shifted(x, 31)


def shifted(x: Tensor, places: int) -> Tensor:
    """To the right, zeros from the left."""
    kept: Tensor = (x >> places) & (2 ** (64 - places) - 1)
    return kept
