"""The released dSprites file: a zip of `.npy` members. Its pickled `metadata` is neither read nor written.

The images are streamed through, so that reading and writing need far less memory than the 3 GB they unpack to.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from disentanglement.datasets.dsprites import HEIGHT, NUM_IMAGES, WIDTH, latents_classes, value_tables
from disentanglement.errors import SpecError

IMAGES_PER_CHUNK = 4096
Progress = Callable[[int, int], None]
"""(images done, images in all)."""


def read_released(path: Path, progress: Progress | None = None, *, num_images: int = NUM_IMAGES) -> NDArray[np.uint8]:
    """The images of a released file as packed bits, uint8 [P, 64, 8].

    Raises:
        SpecError: the file is missing, truncated, corrupt or another one: which, what was wanted, what was found.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as member:
            _check_header(path, member, (num_images, HEIGHT, WIDTH))
            return _read_images(path, member, num_images, progress)
    except KeyError:
        raise SpecError.of(str(path), "a dSprites archive with the member imgs.npy", "an archive without it") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SpecError.of(str(path), "the released dSprites .npz", f"{type(error).__name__}: {error}") from error


def write_released(path: Path, packed_PHX: NDArray[np.uint8], progress: Progress | None = None) -> None:
    """Writes packed images with the released members `imgs`, `latents_classes`, `latents_values`."""
    num = len(packed_PHX)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("imgs.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (num, HEIGHT, WIDTH)}
            npy.write_array_header_1_0(member, header)
            for start in range(0, num, IMAGES_PER_CHUNK):
                member.write(np.unpackbits(packed_PHX[start : start + IMAGES_PER_CHUNK], axis=-1).tobytes())
                if progress is not None:
                    progress(min(start + IMAGES_PER_CHUNK, num), num)
        classes = latents_classes(0, num)
        values = np.stack([table[column] for table, column in zip(value_tables(), classes.T, strict=True)], axis=1)
        for name, array in (("latents_classes", classes), ("latents_values", values)):
            archive.writestr(f"{name}.npy", _npy(array))


def _check_header(path: Path, member: IO[bytes], wanted: tuple[int, ...]) -> None:
    try:
        major, minor = npy.read_magic(member)
        read = npy.read_array_header_1_0 if (major, minor) == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read(member, max_header_size=10_000)
    except ValueError as error:
        raise SpecError.of(f"{path}: imgs", "an array in NumPy's format", str(error)) from error
    if shape != wanted or dtype != np.uint8 or fortran_order:
        order = "column-major " if fortran_order else ""
        raise SpecError.of(f"{path}: imgs", f"uint8 {list(wanted)}", f"{order}{dtype} {list(shape)}")


def _read_images(path: Path, member: IO[bytes], num: int, progress: Progress | None) -> NDArray[np.uint8]:
    packed = np.empty((num, HEIGHT, WIDTH // 8), np.uint8)
    for start in range(0, num, IMAGES_PER_CHUNK):
        stop = min(start + IMAGES_PER_CHUNK, num)
        data = _read_exactly(member, (stop - start) * HEIGHT * WIDTH)
        if data is None:
            raise SpecError.of(f"{path}: imgs", f"{num} images", f"an end after {start} images or more")
        images = np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH)
        if images.max() > 1:
            raise SpecError.of(f"{path}: imgs", "values 0 and 1", int(images.max()))
        packed[start:stop] = np.packbits(images, axis=-1)
        if progress is not None:
            progress(stop, num)
    if member.read(1):
        raise SpecError.of(f"{path}: imgs", f"{num} images", "more")
    return packed


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
