"""Every data set by its name: how its images are obtained, and how it is opened."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from disentanglement.datasets import (
    cars3d,
    dsprites,
    dsprites_file,
    dsprites_rendering,
    dummy_data,
    mpi3d,
    shapes3d,
    shapes3d_file,
    shapes3d_rendering,
    smallnorb,
)
from disentanglement.datasets.card import DataCard, Factor, Origin
from disentanglement.datasets.dsprites_origin import Recognised, recognise
from disentanglement.datasets.dsprites_variants import (
    COLOURED,
    AbstractDsprites,
    ColorDsprites,
    NoisyDsprites,
    abstract_factors,
)
from disentanglement.datasets.dummy_data import DummyData
from disentanglement.datasets.ground_truth import GridData
from disentanglement.datasets.images import Encoding, Progress, Stored, StoredImages
from disentanglement.errors import CorruptArtifact, NotBuiltYet, SpecError


@dataclass(frozen=True, slots=True)
class DataSetEntry:
    """A data set that this release knows how to obtain."""

    summary: str
    factors: tuple[Factor, ...]
    shape: tuple[int, int, int]
    encoding: Encoding = "uint8"
    open: Callable[[DataCard, StoredImages | None], GridData] = GridData
    size: int = 0
    """Stored images, where they are not one for each combination of factors."""
    observed: tuple[int, int, int] | None = None
    """The shape of an observation, where it is not that of a stored image."""
    render: Callable[[Any, Progress], None] | None = None
    """Fills images as stored; made here."""
    read: Callable[[Path, Any, Progress], None] | None = None
    """Fills images as stored, from the files that its authors released."""
    recognise: Callable[[Path, Any], Recognised] | None = None
    """The origin of such a file, given also its images as stored."""
    rendered_origin: Origin = Origin.RENDERED
    source: str = ""
    licence: str = ""
    citation: str = ""

    @property
    def num_images(self) -> int:
        """How many images are stored."""
        return self.size or math.prod(factor.size for factor in self.factors)


DSPRITES = DataSetEntry(
    summary="binary sprites: 3 shapes, 6 scales, 40 orientations, 32 x 32 positions",
    factors=dsprites.factors(),
    shape=(dsprites.HEIGHT, dsprites.WIDTH, 1),
    encoding="packed_bits",
    render=dsprites_rendering.render,
    read=dsprites_file.read_released,
    recognise=recognise,
    source=dsprites.SOURCE,
    licence=dsprites.LICENCE,
    citation=dsprites.CITATION,
)
MPI3D = DataSetEntry(
    summary="a robot arm with an object, simulated plainly: 7 factors",
    factors=mpi3d.factors(mpi3d.SIMULATED_SIZES),
    shape=mpi3d.SHAPE,
    read=mpi3d.read_released,
    source=mpi3d.SOURCE,
    licence=mpi3d.LICENCE,
    citation=mpi3d.CITATION,
)
DATA_SETS: dict[str, DataSetEntry] = {
    "dsprites_full": DSPRITES,
    "dsprites_noshape": replace(
        DSPRITES,
        summary="the same sprites; which of the 3 shapes is drawn anew for each image",
        factors=dsprites.factors(latent=(2, 3, 4, 5)),
    ),
    "color_dsprites": replace(
        DSPRITES,
        summary="the same sprites in a colour that is drawn anew for each image",
        open=ColorDsprites,
        observed=COLOURED,
    ),
    "noisy_dsprites": replace(
        DSPRITES,
        summary="the same sprites, white on noise that is drawn anew for each image",
        open=NoisyDsprites,
        observed=COLOURED,
    ),
    "abstract_dsprites": replace(
        DSPRITES,
        summary="the same sprites in 6 colours on 5 greys; the orientation is drawn anew for each image",
        factors=abstract_factors(),
        open=AbstractDsprites,
        size=dsprites.NUM_IMAGES,
        observed=COLOURED,
    ),
    "smallnorb": DataSetEntry(
        summary="photographs of toys: 5 categories, 9 elevations, 18 azimuths, 6 lightings; which of 10 toys is drawn",
        factors=smallnorb.factors(),
        shape=smallnorb.SHAPE,
        encoding="int16",
        read=smallnorb.read_released,
        source=smallnorb.SOURCE,
        licence=smallnorb.LICENCE,
        citation=smallnorb.CITATION,
    ),
    "cars3d": DataSetEntry(
        summary="183 cars from 4 elevations and 24 azimuths",
        factors=cars3d.factors(),
        shape=cars3d.SHAPE,
        read=cars3d.read_released,
        source=cars3d.SOURCE,
        licence=cars3d.LICENCE,
        citation=cars3d.CITATION,
    ),
    "shapes3d": DataSetEntry(
        summary="an object in a room: 10 hues of floor, wall and object, 8 sizes, 4 shapes, 15 azimuths",
        factors=shapes3d.factors(),
        shape=shapes3d.SHAPE,
        render=shapes3d_rendering.render,
        read=shapes3d_file.read_released,
        source=shapes3d.SOURCE,
        licence=shapes3d.LICENCE,
        citation=shapes3d.CITATION,
    ),
    "mpi3d_toy": MPI3D,
    "mpi3d_realistic": replace(MPI3D, summary="the same arm, simulated realistically"),
    "mpi3d_real": replace(
        MPI3D,
        summary="the arm itself, filmed, with 6 colours and 6 shapes",
        factors=mpi3d.factors(mpi3d.REAL_SIZES),
    ),
    "dummy_data": DataSetEntry(
        summary="noise images and unrelated factors, for smoke tests",
        factors=tuple(Factor(name=f"factor_{i}", size=dummy_data.FACTOR_SIZE) for i in range(dummy_data.NUM_FACTORS)),
        shape=dummy_data.SHAPE,
        open=DummyData,
        size=dummy_data.POOL_SIZE,
        render=dummy_data.fill,
        rendered_origin=Origin.GENERATED,
    ),
}

OWN_SOURCE, OWN_LICENCE = "made by the package disentanglement", "Apache-2.0"
NOT_BUILT_YET = ("scream_dsprites",)


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
    shape = entry.shape if entry.observed else card.observation_shape
    wanted, found = (card.num_images, *shape), (len(stored), *stored.observation_shape)
    if found != wanted:
        raise CorruptArtifact(f"{images}: wanted images {wanted} as the card of {card.name} says, got {found}")
    return entry.open(card, stored)


def decide_origin(name: str, path: Path, stored: Stored, *, said: Origin | None = None) -> tuple[Origin, str]:
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
        observation_shape=entry.observed or images.observation_shape,
        factors=entry.factors,
        origin_note=note,
        source=entry.source if origin is Origin.RELEASED else OWN_SOURCE,
        licence=entry.licence if origin is Origin.RELEASED else OWN_LICENCE,
        citation=entry.citation,
    )
    if entry.open is not DummyData and len(images) != entry.num_images:  # whose pool may be of any size
        raise SpecError.of(f"{name}: images", f"{entry.num_images}, one per combination that is stored", len(images))
    return card
