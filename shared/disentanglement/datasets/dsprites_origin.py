"""Telling whether a file in the released dSprites format was released or rendered: only the former is comparable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.card import Origin
from disentanglement.datasets.dsprites_file import is_released_file, says_rendered
from disentanglement.datasets.dsprites_rendering import is_rendering


@dataclass(frozen=True, slots=True)
class Recognised:
    """An origin, why it is believed, and whether that is beyond doubt."""

    origin: Origin
    reason: str
    is_certain: bool = True


def recognise(path: Path, packed: NDArray[np.uint8]) -> Recognised:
    """The origin of a file, given also the images that `read_released` read from it."""
    if is_released_file(path):
        return Recognised(Origin.RELEASED, "the file is byte for byte the one that its authors released")
    if says_rendered(path):
        return Recognised(Origin.RENDERED, "the file says that its images were rendered")
    if is_rendering(packed):
        return Recognised(Origin.RENDERED, "the images equal those that are rendered here")
    return Recognised(
        Origin.RELEASED, "the file has the released format, and its images are not ours", is_certain=False
    )
