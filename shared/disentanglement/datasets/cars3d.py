"""Cars3D (Reed et al., 2015): 183 car models from 24 azimuths and 4 elevations, one MATLAB file for each model.

Released inside the visual-analogy archive: the `.tar.gz` itself is read, or the folder `cars` unpacked from it.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.card import Factor
from disentanglement.datasets.images import Progress
from disentanglement.errors import SpecError

NUM_ELEVATIONS, NUM_AZIMUTHS, NUM_CARS = 4, 24, 183
SHAPE = (64, 64, 3)
KEY, FILE_SHAPE = "im", (128, 128, 3, NUM_AZIMUTHS, NUM_ELEVATIONS)
LARGEST_FILE = 2**26
"""Bytes of a `.mat` file; released ones hold 4.7 million pixels."""

SOURCE = "http://www.scottreed.info/files/nips2015-analogy-data.tar.gz"
LICENCE = "not stated by its authors"
CITATION = "Reed, Zhang, Zhang, Lee: Deep Visual Analogy-Making (NIPS 2015)"
WANTED = "the folder of the 183 released .mat files, or nips2015-analogy-data.tar.gz"


def factors() -> tuple[Factor, ...]:
    """The three factors, all latent; cars are numbered by the sorted names of their files."""
    return (
        Factor(name="elevation", size=NUM_ELEVATIONS),
        Factor(name="azimuth", size=NUM_AZIMUTHS),
        Factor(name="object_type", size=NUM_CARS),
    )


def read_released(path: Path, images_PHWC: NDArray[np.uint8], progress: Progress | None = None) -> None:
    """Fills `images`, uint8 [17568, 64, 64, 3], with the released pictures at half their size (Lanczos).

    Raises:
        SpecError: a file is missing, damaged or another one: which, what was wanted, what was found.
    """
    grid = images_PHWC.reshape(NUM_ELEVATIONS, NUM_AZIMUTHS, NUM_CARS, *SHAPE)
    files = dict(_folder_files(path) if path.is_dir() else _archive_files(path))
    if len(files) != NUM_CARS:
        raise SpecError.of(str(path), WANTED, f"{len(files)} .mat files")
    for car, name in enumerate(sorted(files)):
        grid[:, :, car] = _half_size(_pictures(f"{path}: {name}", files[name]))
        if progress is not None:
            progress((car + 1) * NUM_ELEVATIONS * NUM_AZIMUTHS, len(images_PHWC))


def _folder_files(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in path.iterdir():
        if ".mat" in file.name and file.is_file():
            if file.stat().st_size > LARGEST_FILE:
                raise SpecError.of(str(file), f"at most {LARGEST_FILE} bytes", file.stat().st_size)
            yield file.name, file.read_bytes()


def _archive_files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                if folder.endswith("cars") and ".mat" in name and member.isfile():
                    if member.size > LARGEST_FILE:
                        raise SpecError.of(f"{path}: {name}", f"at most {LARGEST_FILE} bytes", member.size)
                    stream = archive.extractfile(member)
                    yield name, b"" if stream is None else stream.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise SpecError.of(str(path), WANTED, f"{type(error).__name__}: {error}") from error


def _pictures(where: str, data: bytes) -> NDArray[np.uint8]:
    """The pictures of one car, uint8 [4, 24, 128, 128, 3]."""
    from scipy.io import loadmat, whosmat

    stream: Any = io.BytesIO(data)  # SciPy's types know file names alone
    try:
        listed = {name: (shape, kind) for name, shape, kind in whosmat(stream)}
        if listed.get(KEY) != (FILE_SHAPE, "uint8"):
            found = ", ".join(f"{name}: {kind} {list(shape)}" for name, (shape, kind) in listed.items()) or "nothing"
            raise SpecError.of(where, f"{KEY}: uint8 {list(FILE_SHAPE)}", found)
        pictures = np.asarray(loadmat(stream, variable_names=[KEY])[KEY])
    except SpecError:
        raise
    except Exception as error:  # SciPy's parser raises whatever a damaged file makes it trip over
        raise SpecError.of(where, "a MATLAB file", f"{type(error).__name__}: {error}") from error
    if pictures.shape != FILE_SHAPE or pictures.dtype != np.uint8:
        raise SpecError.of(where, f"{KEY}: uint8 {list(FILE_SHAPE)}", f"{pictures.dtype} {list(pictures.shape)}")
    return pictures.transpose(4, 3, 0, 1, 2)


def _half_size(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[4, 24, 64, 64, 3], by Pillow's Lanczos filter as in the reference."""
    from PIL import Image

    flat = pictures.reshape(-1, *pictures.shape[2:])
    small = [
        np.asarray(Image.fromarray(picture).resize(SHAPE[:2], Image.Resampling.LANCZOS))
        for picture in np.ascontiguousarray(flat)
    ]
    return np.stack(small).reshape(*pictures.shape[:2], *SHAPE)
