"""Every data set by its name: how its images are obtained, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets import dsprites, dummy_data
from disentanglement.datasets.card import DataCard, Factor, Origin
from disentanglement.datasets.dsprites_file import read_released
from disentanglement.datasets.dsprites_origin import Recognised, recognise
from disentanglement.datasets.dsprites_rendering import render
from disentanglement.datasets.dummy_data import DummyData, generate_pool
from disentanglement.datasets.ground_truth import GridData
from disentanglement.datasets.images import Encoding, StoredImages
from disentanglement.errors import CorruptArtifact, NotBuiltYet, SpecError

Progress = Callable[[int, int], None]
"""(images done, images in all)."""


@dataclass(frozen=True, slots=True)
class DataSetEntry:
    """A data set that this release knows how to obtain."""

    summary: str
    factors: tuple[Factor, ...]
    encoding: Encoding
    open: Callable[[DataCard, StoredImages | None], GridData]
    render: Callable[[Progress | None], NDArray[np.uint8]] | None = None
    """Images as stored, made here."""
    read: Callable[[Path, Progress | None], NDArray[np.uint8]] | None = None
    """Images as stored, from the file that its authors released."""
    recognise: Callable[[Path, NDArray[np.uint8]], Recognised] | None = None
    """The origin of such a file, given also its images as stored."""
    rendered_origin: Origin = Origin.RENDERED
    source: str = ""
    licence: str = ""
    citation: str = ""


DATA_SETS: dict[str, DataSetEntry] = {
    "dsprites_full": DataSetEntry(
        summary="binary sprites: 3 shapes, 6 scales, 40 orientations, 32 x 32 positions",
        factors=dsprites.factors(),
        encoding="packed_bits",
        open=GridData,
        render=render,
        read=read_released,
        recognise=recognise,
        source=dsprites.SOURCE,
        licence=dsprites.LICENCE,
        citation=dsprites.CITATION,
    ),
    "dummy_data": DataSetEntry(
        summary="noise images and unrelated factors, for smoke tests",
        factors=tuple(Factor(name=f"factor_{i}", size=dummy_data.FACTOR_SIZE) for i in range(dummy_data.NUM_FACTORS)),
        encoding="uint8",
        open=DummyData,
        render=lambda progress: generate_pool(),
        rendered_origin=Origin.GENERATED,
    ),
}

OWN_SOURCE, OWN_LICENCE = "made by the package disentanglement", "Apache-2.0"
NOT_BUILT_YET = (
    "dsprites_noshape", "color_dsprites", "noisy_dsprites", "scream_dsprites", "abstract_dsprites", "smallnorb",
    "cars3d", "shapes3d", "mpi3d_toy", "mpi3d_realistic", "mpi3d_real",
)  # fmt: skip


def find_entry(name: str, *, field: str = "dataset.name") -> DataSetEntry:
    """The entry of a data set.

    Raises:
        NotBuiltYet: the project knows the name, but this release does not have it.
        SpecError: nobody knows the name.
    """
    if name in DATA_SETS:
        return DATA_SETS[name]
    if name in NOT_BUILT_YET:
        raise NotBuiltYet(f"{field}: {name} is not built yet; there are {', '.join(DATA_SETS)}")
    raise SpecError.of(field, f"one of {', '.join((*DATA_SETS, *NOT_BUILT_YET))}", name)


def open_data_set(card: DataCard, images: Path | None = None) -> GridData:
    """A data set from its card and its `.npy` file of images; without one, only factors can be drawn.

    Raises:
        ArtifactNotFound: there is no such file.
        CorruptArtifact: it is not the one of the card.
        NotBuiltYet, SpecError: as `find_entry`.
    """
    entry = find_entry(card.name)
    if images is None:
        return entry.open(card, None)
    stored = StoredImages.open(images, card.encoding)
    wanted, found = (card.num_images, *card.observation_shape), (len(stored), *stored.observation_shape)
    if found != wanted:
        raise CorruptArtifact(f"{images}: wanted images {wanted} as the card of {card.name} says, got {found}")
    return entry.open(card, stored)


def decide_origin(
    name: str, path: Path, stored: NDArray[np.uint8], *, said: Origin | None = None
) -> tuple[Origin, str]:
    """The origin for the card of images that were read from `path`, and how it was decided.

    `said` is the importer's own word; it is taken where nothing proves another origin.

    Raises:
        SpecError: the images can be proved to be of another origin than `said`.
    """
    recognised = find_entry(name).recognise
    found = Recognised(Origin.RELEASED, "it was read from a file", is_certain=False)
    if recognised is not None:
        found = recognised(path, stored)
    if said in (None, found.origin):
        return found.origin, found.reason
    if found.is_certain:
        raise SpecError.of("origin", f"{found.origin}, because {found.reason}", said)
    return said, "its importer said so"


def make_card(name: str, images: StoredImages, *, origin: Origin, sha256: str, size: int, note: str) -> DataCard:
    """The card of images that were rendered, generated or read, given digest and size of their `.npy` file.

    Raises:
        SpecError: another number of images than the factors have combinations.
    """
    entry = find_entry(name)
    card = DataCard.of(
        name=name,
        origin=origin,
        images_sha256=sha256,
        images_bytes=size,
        num_images=len(images),
        encoding=images.encoding,
        observation_shape=images.observation_shape,
        factors=entry.factors,
        origin_note=note,
        source=entry.source if origin is Origin.RELEASED else OWN_SOURCE,
        licence=entry.licence if origin is Origin.RELEASED else OWN_LICENCE,
        citation=entry.citation,
    )
    if entry.open is GridData and card.factor_space.num_points != len(images):
        raise SpecError.of(f"{name}: images", f"{card.factor_space.num_points}, one per combination", len(images))
    return card
