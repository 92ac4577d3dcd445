"""The released Shapes3D file `3dshapes.h5`, and the `.npz` that the reference expected."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.images import Progress
from disentanglement.datasets.npz_file import IMAGES_PER_CHUNK, copy_images, open_archive, open_member
from disentanglement.datasets.shapes3d import SHAPE, SIZES, labels
from disentanglement.errors import SpecError

if TYPE_CHECKING:
    import h5py

WANTED = "the released 3dshapes.h5"
LARGEST_BLOCK = 2**28
"""Bytes that a compressed block of the file may unpack to."""


def read_released(path: Path, images_PHWC: NDArray[np.uint8], progress: Progress | None = None) -> None:
    """Fills `images`, uint8 [480000, 64, 64, 3], from either file.

    Raises:
        SpecError: the file is missing, damaged or another one: what was wanted, what was found.
    """
    if path.suffix == ".npz":
        _read_npz(path, images_PHWC, progress)
    else:
        _read_h5(path, images_PHWC, progress)


def _read_npz(path: Path, images_PHWC: NDArray[np.uint8], progress: Progress | None) -> None:
    shapes = images_PHWC.shape, (*SIZES, *SHAPE)
    with (
        open_archive(path, "the .npz of Shapes3D that the reference expected") as archive,
        open_member(archive, "images", np.uint8, *shapes) as member,
    ):
        copy_images(member, images_PHWC, progress)


def _read_h5(path: Path, images_PHWC: NDArray[np.uint8], progress: Progress | None) -> None:
    import h5py

    num = len(images_PHWC)
    try:
        with h5py.File(path, "r") as file:
            found_labels = _array(path, file, "labels", np.float64, (num, len(SIZES)))
            images = _array(path, file, "images", np.uint8, images_PHWC.shape)
            for start in range(0, num, IMAGES_PER_CHUNK):
                stop = min(start + IMAGES_PER_CHUNK, num)
                if not np.allclose(found_labels[start:stop], labels(start, stop)):
                    order = "floor, wall and object hue, scale, shape, orientation in row-major order"
                    raise SpecError.of(f"{path}: labels", order, f"another one among images {start} to {stop - 1}")
                images.read_direct(images_PHWC, np.s_[start:stop], np.s_[start:stop])
                if progress is not None:
                    progress(stop, num)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise SpecError.of(str(path), WANTED, f"{type(error).__name__}: {error}") from error


def _array(path: Path, file: h5py.File, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> Any:
    """An array that lies in this very file: a link into another one would read whatever it names."""
    import h5py

    if name not in file or not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise SpecError.of(str(path), f"{WANTED}, with an array {name}", ", ".join(list(file)[:10]) or "nothing")
    array = file[name]
    if not isinstance(array, h5py.Dataset) or array.external or array.is_virtual:
        raise SpecError.of(f"{path}: {name}", "an array in the file itself", "something else")
    if array.dtype != dtype or array.shape != shape:
        raise SpecError.of(f"{path}: {name}", f"{np.dtype(dtype)} {list(shape)}", f"{array.dtype} {list(array.shape)}")
    if array.chunks and math.prod(array.chunks) * array.dtype.itemsize > LARGEST_BLOCK:
        raise SpecError.of(f"{path}: {name}", f"blocks of at most {LARGEST_BLOCK} bytes", list(array.chunks))
    return array
