"""The released dSprites file: a zip of `.npy` members. Its pickled `metadata` is neither read nor written.

The images are streamed through, so that reading and writing need far less memory than the 3 GB they unpack to.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from disentanglement.datasets.card import Origin
from disentanglement.datasets.dsprites import (
    HEIGHT,
    RELEASED_GIT_BLOB,
    SIZES,
    WIDTH,
    latents_classes,
    value_tables,
)
from disentanglement.datasets.images import Progress
from disentanglement.datasets.npz_file import IMAGES_PER_CHUNK, Member, open_archive, open_member
from disentanglement.errors import SpecError

IMGS, CLASSES, VALUES = "imgs", "latents_classes", "latents_values"


def read_released(path: Path, packed_PHX: NDArray[np.uint8], progress: Progress | None = None) -> None:
    """Fills `packed`, uint8 [P, 64, 8], with the images of a released file as packed bits.

    Raises:
        SpecError: the file is missing, truncated, corrupt or another one: which, what was wanted, what was found.
    """
    num = len(packed_PHX)
    with open_archive(path, "the released dSprites .npz") as archive:
        with open_member(archive, CLASSES, np.int64, (num, len(SIZES))) as member:
            _check_classes(member, num)
        with open_member(archive, IMGS, np.uint8, (num, HEIGHT, WIDTH)) as member:
            _read_images(member, packed_PHX, progress)


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


def _check_classes(member: Member, num: int) -> None:
    for start in range(0, num, IMAGES_PER_CHUNK):
        stop = min(start + IMAGES_PER_CHUNK, num)
        wanted = latents_classes(start, stop)
        if not np.array_equal(member.rows(start, stop, np.broadcast_to(wanted[:1], (num, len(SIZES)))), wanted):
            order = "colour, shape, scale, orientation, x, y in row-major order"
            raise SpecError.of(f"{member.path}: {CLASSES}", order, f"another one among images {start} to {stop - 1}")
    member.check_end(num)


def _read_images(member: Member, packed_PHX: NDArray[np.uint8], progress: Progress | None) -> None:
    num = len(packed_PHX)
    unpacked_PHW = np.broadcast_to(np.uint8(0), (num, HEIGHT, WIDTH))
    for start in range(0, num, IMAGES_PER_CHUNK):
        stop = min(start + IMAGES_PER_CHUNK, num)
        images = member.rows(start, stop, unpacked_PHW)
        if images.max() > 1:
            raise SpecError.of(f"{member.path}: {IMGS}", "values 0 and 1", int(images.max()))
        packed_PHX[start:stop] = np.packbits(images, axis=-1)
        if progress is not None:
            progress(stop, num)
    member.check_end(num)


def _npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
