"""Files from anywhere: nothing in them runs, takes limitless memory, or raises anything but our errors."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from disentanglement.datasets.dsprites import latents_classes
from disentanglement.datasets.dsprites_file import read_released
from disentanglement.datasets.images import StoredImages
from disentanglement.errors import CorruptArtifact, SpecError

NUM = 3
IMGS: NDArray[np.uint8] = np.random.default_rng(0).integers(2, size=(NUM, 64, 64), dtype=np.uint8)
IMGS_HEADER = "{'descr': '|u1', 'fortran_order': False, 'shape': (3, 64, 64), }"
MEBIBYTE = 2**20


class Poison:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def npy(array: NDArray[np.generic], *, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version, allow_pickle=True)
    return stream.getvalue()


def with_header(header: str, data: bytes = b"") -> bytes:
    """A `.npy` file of version 1.0 with this header as it stands."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def archive(path: Path, members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    whole = {"imgs": npy(IMGS), "latents_classes": npy(latents_classes(0, NUM)), **members}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in whole.items():
            file.writestr(f"{name}.npy", content)
    return path


def read(path: Path) -> NDArray[np.uint8]:
    packed = np.zeros((NUM, 64, 8), np.uint8)
    read_released(path, packed)
    return packed


def refusal(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read(path)
    (violation,) = caught.value.violations
    assert violation.field.startswith(str(path))
    assert violation.wanted
    assert violation.given
    return f"{violation.field.removeprefix(str(path))}: {violation.given}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dsprites.npz"


def test_a_poisoned_pickle_does_not_run_as_metadata(path: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    poisoned = npy(np.array(Poison(trap), dtype=object))
    pickle.loads(poisoned[poisoned.index(b"\n") + 1 :])  # the trap works
    trap.rmdir()
    found = read(archive(path, {"metadata": poisoned}))
    np.testing.assert_array_equal(found, np.packbits(IMGS, axis=-1))
    assert not trap.exists()


@pytest.mark.parametrize("member", ["imgs", "latents_classes"])
def test_a_poisoned_pickle_does_not_run_as_an_array(member: str, path: Path, tmp_path: Path) -> None:
    poisoned = npy(np.full((NUM, 64, 64), Poison(tmp_path / "trap"), dtype=object))
    assert refusal(archive(path, {member: poisoned})) == f": {member}: object [3, 64, 64]"
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (npy(IMGS.astype(bool)), "bool [3, 64, 64]"),
        (npy(IMGS.astype(np.int8)), "int8 [3, 64, 64]"),
        (npy(IMGS.reshape(NUM, 64 * 64)), "uint8 [3, 4096]"),
        (npy(IMGS[..., np.newaxis]), "uint8 [3, 64, 64, 1]"),
        (npy(IMGS, version=(2, 0)), "version 2.0"),
        (npy(IMGS, version=(3, 0)), "version 3.0"),
        (with_header(IMGS_HEADER.replace("(3,", "(3000000000,")), "uint8 [3000000000, 64, 64]"),
        (with_header(IMGS_HEADER.replace("(3,", "(-3,")), "uint8 [-3, 64, 64]"),
        (with_header(IMGS_HEADER + " " * 20_000, IMGS.tobytes()), "is large"),
        (with_header(IMGS_HEADER[:-1]), "EOF in multi-line statement"),
        (with_header("{[]: 1}"), "unhashable type"),
        (with_header("(" * 5000), ""),
        (with_header("__import__('os').abort()"), "malformed node or string"),
        (with_header("[]"), "not a dictionary"),
        (with_header(IMGS_HEADER.replace("'|u1'", "'no type'")), "not a valid dtype"),
        (npy(IMGS * np.uint8(3)), "3"),
        (npy(IMGS) + b"\0", "more"),
        (npy(IMGS)[:-1], "an end after 0 or more"),
    ],
)
def test_other_arrays_of_images_are_refused(content: bytes, found: str, path: Path) -> None:
    message = refusal(archive(path, {"imgs": content}))
    assert message.startswith(": imgs: ")
    assert found in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (npy(latents_classes(0, NUM).astype(">i8")), ">i8 [3, 6]"),
        (npy(latents_classes(0, NUM).astype(np.int32)), "int32 [3, 6]"),
        (npy(np.asfortranarray(latents_classes(0, NUM))), "column-major int64 [3, 6]"),
        (npy(latents_classes(0, NUM)[::-1].copy()), "another one among images 0 to 2"),
        (npy(latents_classes(0, NUM))[:-8], "an end after 0 or more"),
        (npy(latents_classes(0, NUM)) + b"\0", "more"),
    ],
)
def test_other_orders_of_images_are_refused(content: bytes, found: str, path: Path) -> None:
    message = refusal(archive(path, {"latents_classes": content}))
    assert message.startswith(": latents_classes: ")
    assert found in message


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_is_found_however_the_archive_is_compressed(compression: int, path: Path) -> None:
    archive(path, {}, compression=compression)
    np.testing.assert_array_equal(read(path), np.packbits(IMGS, axis=-1))
    content = bytearray(path.read_bytes())
    for at in range(300, 316):  # in the first member, imgs
        content[at] ^= 1
    path.write_bytes(content)
    assert refusal(path)


def test_a_compression_that_is_not_known_is_refused(path: Path) -> None:
    content = bytearray(archive(path, {}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.index(signature) + offset
        content[at : at + 2] = struct.pack("<H", 77)
    path.write_bytes(content)
    assert "compression" in refusal(path)


def test_a_directory_that_points_outside_the_file_is_refused(path: Path) -> None:
    content = bytearray(archive(path, {}).read_bytes())
    at = content.index(b"PK\x01\x02") + 42  # where the first member begins
    content[at : at + 4] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(content)
    assert refusal(path)


def test_a_header_that_claims_gibibytes_is_not_read(path: Path) -> None:
    claimed = 64 * MEBIBYTE
    bomb = b"\x93NUMPY\x02\x00" + struct.pack("<I", claimed) + b" " * claimed
    archive(path, {"imgs": bomb})
    tracemalloc.start()
    try:
        assert "version 2.0" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBIBYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "header",
    [
        IMGS_HEADER[:-1],
        "{[]: 1}",
        "(" * 5000,
        "",
        "\t\n  1",
        IMGS_HEADER.replace("(3,", "(-3,"),
        IMGS_HEADER.replace("(3,", "(9223372036854775807,"),
        IMGS_HEADER.replace("(3,", "(4,"),
        IMGS_HEADER.replace("'|u1'", "'|O'"),
        IMGS_HEADER.replace("'|u1'", "'<f4'"),
        IMGS_HEADER + " " * 20_000,
    ],
)
def test_stored_images_with_a_hostile_header_are_corrupt(header: str, tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    path.write_bytes(with_header(header, IMGS.tobytes()))
    with pytest.raises(CorruptArtifact, match=r"images\.npy: wanted a \.npy file of images \(packed_bits\)"):
        StoredImages.open(path, "packed_bits")


def test_a_poisoned_pickle_does_not_run_as_stored_images(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    path.write_bytes(npy(np.full((NUM, 64, 8), Poison(tmp_path / "trap"), dtype=object)))
    with pytest.raises(CorruptArtifact, match=r"images\.npy"):
        StoredImages.open(path, "packed_bits")
    assert not (tmp_path / "trap").exists()
