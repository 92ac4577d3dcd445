"""SmallNORB (LeCun, Huang, Bottou, 2004): photographs of toys, in a binary matrix format of their own.

A folder with the six released files, unpacked or `.gz`. Training comes first, then testing; of each pair of cameras
the first is used. Images are scaled from 96 to 64 pixels by the Lanczos filter on 32-bit integers, as in the
reference, which leaves some values a little outside 0 to 255: hence int16.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.card import Factor
from disentanglement.datasets.factor_space import FactorSpace
from disentanglement.datasets.images import Progress
from disentanglement.datasets.npz_file import read_exactly
from disentanglement.errors import SpecError

SPLITS = ("5x46789x9x18x6x2x96x96-training", "5x01235x9x18x6x2x96x96-testing")
PER_SPLIT = 24_300
NAMES, SIZES = ("category", "instance", "elevation", "azimuth", "lighting"), (5, 10, 9, 18, 6)
LATENT = (0, 2, 3, 4)
"""The instance, one of ten toys of its category, is observed noise."""
SHAPE = (64, 64, 1)
CAMERAS, SIDE = 2, 96
UINT8_MAGIC, INT32_MAGIC = 507333717, 507333716
PER_CHUNK = 100

SOURCE = "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/"
LICENCE = "for research, not for sale or commercial use"
CITATION = (
    "LeCun, Huang, Bottou: Learning Methods for Generic Object Recognition with Invariance to Pose and Lighting"
    " (CVPR 2004)"
)


def factors() -> tuple[Factor, ...]:
    """The five factors; the instance is observed noise."""
    return tuple(
        Factor(name=name, size=size, is_latent=i in LATENT)
        for i, (name, size) in enumerate(zip(NAMES, SIZES, strict=True))
    )


def read_released(path: Path, images_PHWC: NDArray[np.int16], progress: Progress | None = None) -> None:
    """Fills `images`, int16 [48600, 64, 64, 1], in row-major order of all five factors.

    Raises:
        SpecError: a file is missing, damaged or another one: which, what was wanted, what was found.
    """
    rows_P = _rows(path)
    done = 0
    for split in SPLITS:
        with _matrix(path, f"{split}-dat", UINT8_MAGIC, (PER_SPLIT, CAMERAS, SIDE, SIDE)) as (where, stream):
            for _ in range(0, PER_SPLIT, PER_CHUNK):
                pairs = _values(where, stream, np.dtype(np.uint8), (PER_CHUNK, CAMERAS, SIDE, SIDE))
                images_PHWC[rows_P[done : done + PER_CHUNK], :, :, 0] = _scaled(pairs[:, 0])
                done += PER_CHUNK
                if progress is not None:
                    progress(done, len(images_PHWC))


def _rows(path: Path) -> NDArray[np.int64]:
    """Row-major position of every image in file order."""
    columns = []
    for split in SPLITS:
        category = _integers(path, f"{split}-cat", (PER_SPLIT,))
        instance, elevation, azimuth, lighting = _integers(path, f"{split}-info", (PER_SPLIT, 4)).T
        columns.append(np.stack([category, instance, elevation, azimuth // 2, lighting], axis=1))
    rows = FactorSpace(NAMES, SIZES, LATENT).row_of(np.concatenate(columns).astype(np.int64))
    if len(np.unique(rows)) != math.prod(SIZES):
        raise SpecError.of(f"{path}: factors", "each combination once", f"{len(np.unique(rows))} different ones")
    return rows


def _integers(path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.int32]:
    with _matrix(path, name, INT32_MAGIC, shape) as (where, stream):
        return _values(where, stream, np.dtype("<i4"), shape)


@contextmanager
def _matrix(path: Path, name: str, magic: int, shape: tuple[int, ...]) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file of the folder at the start of its data, after its header was compared."""
    plain = path / f"smallnorb-{name}.mat"
    packed = plain.with_name(f"{plain.name}.gz")
    file = packed if packed.exists() and not plain.exists() else plain
    try:
        with _opened(file) as stream:
            _check_header(file, stream, magic, shape)
            yield file, stream
            if stream.read(1):
                raise SpecError.of(str(file), f"an end after {math.prod(shape)} values", "more")
    except (OSError, EOFError, zlib.error) as error:
        raise SpecError.of(str(file), "a released SmallNORB file", f"{type(error).__name__}: {error}") from error


def _opened(file: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _check_header(file: Path, stream: IO[bytes], magic: int, shape: tuple[int, ...]) -> None:
    """Little-endian int32: magic, number of axes, then as many sizes, but three at least."""
    places = max(3, len(shape))
    data = read_exactly(stream, 4 * (2 + places))
    if data is None:
        raise SpecError.of(str(file), "a header", "an end before it")
    found_magic, axes, *sizes = struct.unpack(f"<{2 + places}i", data)
    if found_magic != magic:
        raise SpecError.of(str(file), f"magic number {magic}", found_magic)
    if axes != len(shape) or tuple(sizes[: len(shape)]) != shape:
        raise SpecError.of(str(file), f"sizes {list(shape)}", f"{axes} axes, sizes {sizes}")


def _values(where: Path, stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    data = read_exactly(stream, dtype.itemsize * math.prod(shape))
    if data is None:
        raise SpecError.of(str(where), f"{list(shape)} more values", "an end before them")
    return np.frombuffer(data, dtype).reshape(shape)


def _scaled(images_NHW: NDArray[np.uint8]) -> NDArray[np.int16]:
    """[N, 64, 64]. Pillow's mode I neither clips nor wraps what the filter's negative lobes make."""
    from PIL import Image

    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize(SHAPE[:2], Image.Resampling.LANCZOS))
            for image in images_NHW.astype(np.int32)
        ]
    ).astype(np.int16)
