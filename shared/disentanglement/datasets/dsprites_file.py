"""The released dSprites file: a zip of `.npy` members. Its pickled `metadata` is neither read nor written.

The images are streamed through, so that reading and writing need far less memory than the 3 GB they unpack to.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from disentanglement.datasets.card import Origin
from disentanglement.datasets.dsprites import (
    HEIGHT,
    NUM_IMAGES,
    RELEASED_GIT_BLOB,
    SIZES,
    WIDTH,
    latents_classes,
    value_tables,
)
from disentanglement.datasets.images import BAD_HEADER
from disentanglement.errors import SpecError

IMAGES_PER_CHUNK = 4096
NPY_VERSION = (1, 0)
"""Of the released arrays. A header of this version is at most 64 KiB long; that of a later one may be 4 GiB."""
IMGS, CLASSES, VALUES = "imgs", "latents_classes", "latents_values"
DAMAGE = (
    OSError, EOFError, RuntimeError, ValueError, OverflowError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
)  # fmt: skip
"""What reading a damaged archive may raise."""
Progress = Callable[[int, int], None]
"""(images done, images in all)."""


def read_released(path: Path, progress: Progress | None = None, *, num_images: int = NUM_IMAGES) -> NDArray[np.uint8]:
    """The images of a released file as packed bits, uint8 [P, 64, 8].

    Raises:
        SpecError: the file is missing, truncated, corrupt or another one: which, what was wanted, what was found.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            with _member(path, archive, CLASSES) as member:
                _check_header(path, member, CLASSES, np.int64, (num_images, len(SIZES)))
                _check_classes(path, member, num_images)
            with _member(path, archive, IMGS) as member:
                _check_header(path, member, IMGS, np.uint8, (num_images, HEIGHT, WIDTH))
                return _read_images(path, member, num_images, progress)
    except DAMAGE as error:
        raise SpecError.of(str(path), "the released dSprites .npz", f"{type(error).__name__}: {error}") from error


def is_released_file(path: Path) -> bool:
    """Whether it is, byte for byte, the file in the repository of its authors."""
    sha1 = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while data := file.read(2**20):
            sha1.update(data)
    return sha1.hexdigest() == RELEASED_GIT_BLOB


def says_rendered(path: Path) -> bool:
    """Whether `write_released` wrote it and was told that the images are rendered."""
    with zipfile.ZipFile(path) as archive:
        return archive.comment == _comment(Origin.RENDERED)


def write_released(
    path: Path, packed_PHX: NDArray[np.uint8], progress: Progress | None = None, *, origin: Origin = Origin.RENDERED
) -> None:
    """Writes packed images with the released members `imgs`, `latents_classes`, `latents_values`.

    The archive's comment tells the origin.
    """
    num = len(packed_PHX)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.comment = _comment(origin)
        with archive.open(f"{IMGS}.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (num, HEIGHT, WIDTH)}
            npy.write_array_header_1_0(member, header)
            for start in range(0, num, IMAGES_PER_CHUNK):
                member.write(np.unpackbits(packed_PHX[start : start + IMAGES_PER_CHUNK], axis=-1).tobytes())
                if progress is not None:
                    progress(min(start + IMAGES_PER_CHUNK, num), num)
        classes = latents_classes(0, num)
        values = np.stack([table[column] for table, column in zip(value_tables(), classes.T, strict=True)], axis=1)
        for name, array in ((CLASSES, classes), (VALUES, values)):
            archive.writestr(f"{name}.npy", _npy(array))


def _comment(origin: Origin) -> bytes:
    return f"disentanglement: {origin}".encode()


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(f"{name}.npy")
    except KeyError:
        there = ", ".join(archive.namelist()[:10]) or "nothing"
        raise SpecError.of(str(path), f"a dSprites archive with the member {name}.npy", there) from None


def _check_header(path: Path, member: IO[bytes], name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    try:
        version = npy.read_magic(member)
        if version != NPY_VERSION:
            raise ValueError(f"version {version[0]}.{version[1]}")
        found_shape, fortran_order, found = npy.read_array_header_1_0(member)
    except BAD_HEADER as error:
        raise SpecError.of(f"{path}: {name}", "an array in NumPy's format 1.0", error) from error
    if found_shape != shape or found != dtype or fortran_order:
        order = "column-major " if fortran_order else ""
        wanted, given = f"{np.dtype(dtype)} {list(shape)}", f"{order}{found} {list(found_shape)}"
        raise SpecError.of(f"{path}: {name}", wanted, given)


def _check_classes(path: Path, member: IO[bytes], num: int) -> None:
    for start in range(0, num, IMAGES_PER_CHUNK):
        stop = min(start + IMAGES_PER_CHUNK, num)
        wanted = latents_classes(start, stop)
        data = _read_exactly(member, wanted.nbytes)
        if data is None or not np.array_equal(np.frombuffer(data, np.int64).reshape(wanted.shape), wanted):
            order = "colour, shape, scale, orientation, x, y in row-major order"
            raise SpecError.of(f"{path}: {CLASSES}", order, f"another one among images {start} to {stop - 1}")
    _check_end(path, member, CLASSES, num)


def _read_images(path: Path, member: IO[bytes], num: int, progress: Progress | None) -> NDArray[np.uint8]:
    packed = np.empty((num, HEIGHT, WIDTH // 8), np.uint8)
    for start in range(0, num, IMAGES_PER_CHUNK):
        stop = min(start + IMAGES_PER_CHUNK, num)
        data = _read_exactly(member, (stop - start) * HEIGHT * WIDTH)
        if data is None:
            raise SpecError.of(f"{path}: {IMGS}", f"{num} images", f"an end after {start} images or more")
        images = np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH)
        if images.max() > 1:
            raise SpecError.of(f"{path}: {IMGS}", "values 0 and 1", int(images.max()))
        packed[start:stop] = np.packbits(images, axis=-1)
        if progress is not None:
            progress(stop, num)
    _check_end(path, member, IMGS, num)
    return packed


def _check_end(path: Path, member: IO[bytes], name: str, num: int) -> None:
    if member.read(1):  # at the end, the archive's checksum is compared
        raise SpecError.of(f"{path}: {name}", f"{num} images", "more")


def _read_exactly(member: IO[bytes], size: int) -> bytes | None:
    data = member.read(size)
    while len(data) < size:
        more = member.read(size - len(data))
        if not more:
            return None
        data += more
    return data


def _npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
