"""Stored images: bits and bytes, memory maps, files that are not images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from disentanglement.datasets.images import Encoding, StoredImages
from disentanglement.errors import ArtifactNotFound, CorruptArtifact, SpecError

BINARY = hnp.arrays(
    np.uint8,
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3).map(lambda n: 8 * n)),
    elements=st.integers(0, 1),
)


def test_the_first_pixel_of_eight_is_the_highest_bit() -> None:
    stored = StoredImages(np.array([[[0b1000_0010]]], np.uint8), "packed_bits")
    assert stored.gather(np.array([0]))[0, 0, :, 0].tolist() == [1, 0, 0, 0, 0, 0, 1, 0]


@given(BINARY, st.data())
def test_packed_images_are_gathered_as_they_were(binary_PHW: NDArray[np.uint8], data: st.DataObject) -> None:
    images = StoredImages.pack(binary_PHW)
    rows = np.array(data.draw(st.lists(st.integers(0, len(binary_PHW) - 1))), np.int64)
    assert images.stored.nbytes * 8 == binary_PHW.size
    assert images.observation_shape == (*binary_PHW.shape[1:], 1)
    np.testing.assert_array_equal(images.gather(rows), binary_PHW[rows][..., np.newaxis])
    as_float = images.gather_float32(rows)
    assert as_float.dtype == np.float32
    np.testing.assert_array_equal(as_float, images.gather(rows))


def test_bytes_are_divided_by_255_in_single_precision() -> None:
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    images = StoredImages(stored, "uint8")
    expected = (np.arange(256) / 255).astype(np.float32).reshape(1, 16, 16, 1)
    assert images.observation_shape == (16, 16, 1)
    np.testing.assert_array_equal(images.gather_float32(np.array([0])), expected)
    np.testing.assert_array_equal(images.gather(np.array([0])), stored)


@pytest.mark.parametrize(
    ("binary", "message"),
    [
        (np.full((1, 2, 8), 2, np.uint8), "wanted values 0 and 1, got 2"),
        (np.zeros((1, 2, 9), np.uint8), r"multiple of 8\], got uint8 \[1, 2, 9\]"),
        (np.zeros((2, 8), np.uint8), r"got uint8 \[2, 8\]"),
        (np.full((1, 2, 8), -1, np.int8), r"wanted uint8 .*, got int8"),
    ],
)
def test_only_zeros_and_ones_in_whole_bytes_are_packed(binary: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        StoredImages.pack(binary)


def test_a_file_is_mapped_and_not_read(tmp_path: Path) -> None:
    binary = np.eye(8, dtype=np.uint8)[np.newaxis].repeat(3, axis=0)
    np.save(tmp_path / "images.npy", StoredImages.pack(binary).stored)
    images = StoredImages.open(tmp_path / "images.npy", "packed_bits")
    assert isinstance(images.stored, np.memmap)
    assert not images.stored.flags.writeable
    np.testing.assert_array_equal(images.gather(np.array([2]))[0, :, :, 0], binary[2])


@pytest.mark.parametrize(
    ("stored", "encoding"),
    [
        (np.zeros((2, 8, 8, 1), np.uint8), "packed_bits"),
        (np.zeros((2, 8, 1), np.uint8), "uint8"),
        (np.zeros((2, 8, 8, 1), np.float32), "uint8"),
    ],
)
def test_an_array_of_another_form_is_refused(stored: NDArray[np.uint8], encoding: Encoding, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="wanted uint8 with"):
        StoredImages(stored, encoding)
    np.save(tmp_path / "images.npy", stored)
    with pytest.raises(CorruptArtifact, match=r"images\.npy.*uint8 with"):
        StoredImages.open(tmp_path / "images.npy", encoding)


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((2, 8, 1), np.uint8))
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:40], b"", b"text", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(CorruptArtifact, match=r"images\.npy"):
            StoredImages.open(path, "packed_bits")


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptArtifact, match=r"images\.npy"):
        StoredImages.open(tmp_path / "images.npy", "uint8")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFound, match=r"none\.npy"):
        StoredImages.open(tmp_path / "none.npy", "uint8")
