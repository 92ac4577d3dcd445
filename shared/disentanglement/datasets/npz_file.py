"""Arrays of an `.npz` archive, streamed: members are checked before they are read, and never unpickled."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from disentanglement.datasets.images import BAD_HEADER, Progress
from disentanglement.errors import SpecError

IMAGES_PER_CHUNK = 4096
NPY_VERSION = (1, 0)
"""Of released arrays. A header of this version is at most 64 KiB long; that of a later one may be 4 GiB."""
DAMAGE = (
    OSError, EOFError, RuntimeError, ValueError, OverflowError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
)  # fmt: skip
"""What reading a damaged archive may raise."""


@dataclass(frozen=True)
class Member:
    """An array `name` of the archive at `path`, at the start of its data."""

    path: Path
    name: str
    stream: IO[bytes]

    def rows(self, start: int, stop: int, like: NDArray[Any]) -> NDArray[Any]:
        """The next rows, `start` to `stop`, shaped as those of `like`. Raises SpecError where there are fewer."""
        data = read_exactly(self.stream, (stop - start) * like[:1].nbytes)
        if data is None:
            raise SpecError.of(f"{self.path}: {self.name}", f"{len(like)} rows", f"an end after {start} or more")
        return np.frombuffer(data, like.dtype).reshape(stop - start, *like.shape[1:])

    def check_end(self, num_rows: int) -> None:
        """Raises SpecError where there is more; at the end, the archive's checksum is compared."""
        if self.stream.read(1):
            raise SpecError.of(f"{self.path}: {self.name}", f"{num_rows} rows", "more")


@contextmanager
def open_archive(path: Path, wanted: str) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever is wrong with it is a SpecError that says what was `wanted`."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DAMAGE as error:
        raise SpecError.of(str(path), wanted, f"{type(error).__name__}: {error}") from error


@contextmanager
def open_member(archive: zipfile.ZipFile, name: str, dtype: DTypeLike, *shapes: tuple[int, ...]) -> Iterator[Member]:
    """An array that must have this type and one of these shapes, row-major. Raises SpecError where it has not."""
    path = Path(archive.filename or "archive")
    try:
        stream = archive.open(f"{name}.npy")
    except KeyError:
        there = ", ".join(archive.namelist()[:10]) or "nothing"
        raise SpecError.of(str(path), f"an archive with the member {name}.npy", there) from None
    with stream:
        _check_header(path, stream, name, np.dtype(dtype), shapes)
        yield Member(path, name, stream)


def _check_header(
    path: Path, stream: IO[bytes], name: str, dtype: np.dtype[Any], shapes: tuple[tuple[int, ...], ...]
) -> None:
    try:
        version = npy.read_magic(stream)
        if version != NPY_VERSION:
            raise ValueError(f"version {version[0]}.{version[1]}")
        shape, fortran_order, found = npy.read_array_header_1_0(stream)
    except BAD_HEADER as error:
        raise SpecError.of(f"{path}: {name}", "an array in NumPy's format 1.0", error) from error
    if shape not in shapes or found != dtype or fortran_order:
        order = "column-major " if fortran_order else ""
        wanted = f"{dtype} {' or '.join(str(list(shape)) for shape in shapes)}"
        raise SpecError.of(f"{path}: {name}", wanted, f"{order}{found} {list(shape)}")


def copy_images(member: Member, out_PHWC: NDArray[np.uint8], progress: Progress | None) -> None:
    """All images of a member into `out`, a few thousand at a time."""
    num = len(out_PHWC)
    for start in range(0, num, IMAGES_PER_CHUNK):
        stop = min(start + IMAGES_PER_CHUNK, num)
        out_PHWC[start:stop] = member.rows(start, stop, out_PHWC)
        if progress is not None:
            progress(stop, num)
    member.check_end(num)


def read_exactly(stream: IO[bytes], size: int) -> bytes | None:
    """The next `size` bytes, None where there are fewer."""
    data = stream.read(size)
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            return None
        data += more
    return data
