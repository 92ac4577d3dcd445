"""How a data set comes into the store: read from the file that its authors released, or made here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentanglement.errors import ArtifactNotFound, SpecError

if TYPE_CHECKING:
    from disentanglement.datasets.card import DataCard, Origin
    from disentanglement.datasets.images import Stored
    from disentanglement.storage.store import Store

Report = Callable[[float, str], None]
SHARE_OF_MAKING = 0.8
"""Of the time that an import takes; the rest is written and digested."""


def obtain(
    store: Store, name: str, *, released: Path | None, report: Report, said: Origin | None = None
) -> tuple[DataCard, bool]:
    """Puts a data set into the store; the card, and whether it was not there before.

    Without the released file it is rendered (or generated), and its card says so. `said` is the importer's own word
    for where a file comes from; it is taken where nothing proves another origin.

    Raises:
        SpecError: nobody knows the data set, or the file is another one.
        ArtifactNotFound: there is no such file.
        NotBuiltYet: this release can't make or read it.
    """
    from disentanglement.datasets.catalog import decide_origin, find_entry, make_card
    from disentanglement.datasets.images import StoredImages
    from disentanglement.storage.data_sets import import_data_set
    from disentanglement.storage.store import measure_file

    entry = find_entry(name, field="data set")
    origin, note = entry.rendered_origin, "made by this package"
    with tempfile.TemporaryDirectory(prefix="disentanglement-") as directory:
        path = Path(directory) / "images.npy"
        fill(name, path, released=released, report=report)
        stored = StoredImages.open(path, entry.encoding)
        if released is not None:
            origin, note = decide_origin(name, released, stored.stored, said=said)
        report(SHARE_OF_MAKING, "importing")
        measured = measure_file(path)
        card = make_card(name, stored, origin=origin, sha256=measured.sha256, size=measured.size, note=note)
        return card, import_data_set(store, card, path)


def fill(name: str, path: Path, *, released: Path | None, report: Report) -> Stored:
    """The images as they are stored, read or made here, in a new `.npy` file that is mapped into memory."""
    from disentanglement.datasets.catalog import find_entry
    from disentanglement.datasets.images import StoredImages

    entry = find_entry(name, field="data set")

    def progress(done: int, total: int) -> None:
        report(SHARE_OF_MAKING * done / total, f"{done:,} of {total:,} images")

    if released is not None and not released.exists():
        raise ArtifactNotFound(f"there is no file {released}")
    if released is not None and entry.read is None:
        raise SpecError.of("FILE", f"no file, as {name} is made here", str(released))
    if released is None and entry.render is None:
        wanted = f"the released file, as {name} can't be made here; its authors offer it at {entry.source}"
        raise SpecError.of("FILE", wanted, "nothing")
    images = StoredImages.allocate(path, entry.encoding, entry.num_images, entry.shape)
    if released is not None and entry.read is not None:
        try:
            entry.read(released, images, progress)
        except ImportError as error:
            wanted = "the extra `data`: pip install 'disentanglement[data]'"
            raise SpecError.of(f"data import {name}", wanted, f"an installation without {error.name}") from error
    elif entry.render is not None:
        entry.render(images, progress)
    return images


def card_in_store(store: Store, name: str) -> DataCard:
    """The card of a data set that the store holds; the one that specs without a digest mean.

    Raises:
        ArtifactNotFound: the store does not hold it.
    """
    from disentanglement.datasets.catalog import find_entry
    from disentanglement.storage.data_sets import data_set_digests, find_data_set

    find_entry(name, field="data set")
    digest = data_set_digests(store, [name]).get(name)
    card = find_data_set(store, name, digest) if digest else None
    if card is None:
        raise ArtifactNotFound(f"the store holds no {name}: disentangle data import {name}")
    return card


def picture_of(store: Store, card: DataCard) -> bytes:
    """A PNG with a line of images for each latent factor."""
    import numpy as np
    from numpy.random import RandomState

    from disentanglement.datasets.contact_sheet import contact_sheet, png, traversals
    from disentanglement.storage.cache import Cache
    from disentanglement.storage.data_sets import open_data_set
    from disentanglement.storage.settings import cache_directory

    data = open_data_set(store, Cache(cache_directory()), card.name, card.digest)
    images = data.sample_observations_from_factors(traversals(card.factor_space), RandomState(0))
    return png(contact_sheet(np.clip(255 * images, 0, 255).round().astype(np.uint8)))


def rows(store: Store) -> list[dict[str, Any]]:
    """What there is, and what of it the store holds: one row per data set and digest."""
    from disentanglement.datasets.catalog import DATA_SETS
    from disentanglement.storage.data_sets import data_set_digests, list_data_sets

    default = data_set_digests(store, DATA_SETS)
    found = []
    for name, entry in DATA_SETS.items():
        sizes = " x ".join(str(factor.size) for factor in entry.factors if factor.is_latent)
        about: dict[str, Any] = {"data_set": name, "factor_sizes": sizes}
        cards = list_data_sets(store, name)
        if not cards:
            found.append({**about, "in_store": "no", "digest": None, "default": False, "summary": entry.summary})
        for card in cards:
            known: dict[str, Any] = {
                "digest": card.digest,
                "default": card.digest == default.get(name),
                "summary": entry.summary,
            }
            found.append({**about, "in_store": str(card.origin), **known})
    return found
