"""The whole of dSprites, as a user renders it, writes it and reads it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from disentanglement.datasets.dsprites import NUM_IMAGES
from disentanglement.datasets.dsprites_file import read_released, says_rendered, write_released
from disentanglement.datasets.dsprites_rendering import render

GIBIBYTE = 2**30


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_images_are_written_and_read_back_in_little_memory(tmp_path: Path) -> None:
    """Measured once: 18 s of one core (42 s on a busy machine), 0.8 GiB resident at the peak, a file of 50 MB."""
    path = tmp_path / "dsprites.npz"
    tracemalloc.start()
    try:
        packed, read = (np.empty((NUM_IMAGES, 64, 8), np.uint8) for _ in range(2))
        render(packed)
        write_released(path, packed)
        read_released(path, read)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(read, packed)
    assert says_rendered(path)
    assert peak < GIBIBYTE  # the images unpack to 3 GB
