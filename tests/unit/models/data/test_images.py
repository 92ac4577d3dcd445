from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from disentanglement.errors import SpecError
from disentanglement.models.data.images import TrainingData


def test_packed_and_plain_images_are_the_same_numbers() -> None:
    binary = np.random.default_rng(0).integers(0, 2, (5, 64, 64), dtype=np.uint8)
    rows = torch.tensor([4, 0, 4])
    packed = TrainingData(np.packbits(binary, axis=2))
    assert packed.image_shape == (64, 64, 1)
    assert torch.equal(packed.images(rows), torch.from_numpy(binary[[4, 0, 4], :, :, None]).float())
    assert torch.equal(packed.encoded_images(1, 3), packed.images(torch.tensor([1, 2])))


def test_the_highest_bit_of_a_byte_is_its_first_pixel() -> None:
    images = TrainingData(np.array([[[0b1000_0001]]], dtype=np.uint8)).images(torch.tensor([0]))
    assert images.flatten().tolist() == [1, 0, 0, 0, 0, 0, 0, 1]


def test_plain_images_are_divided_by_255() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    images = TrainingData(stored).images(torch.tensor([0]))
    assert images.flatten().tolist() == (np.arange(256, dtype=np.float32) / np.float32(255)).tolist()


def test_a_read_only_memory_map_is_shared_without_a_warning(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.ones((3, 64, 8), dtype=np.uint8))
    data = TrainingData(np.load(tmp_path / "images.npy", mmap_mode="r"))
    assert len(data) == 3
    assert data.images(torch.tensor([2])).sum() == 512


def test_images_of_another_type_are_refused() -> None:
    with pytest.raises(SpecError, match="float32"):
        TrainingData(np.zeros((2, 64, 64, 1), dtype=np.float32))
