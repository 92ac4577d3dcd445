"""Data sets in the store: imported once, read through a local cache that the processes of a machine share.

`datasets/<name>/<digest>/` holds `images.npy` and `card.json`, which is written last: a data set is there when its card
is. The digest covers the bytes of the images, so who imports it twice writes the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from disentanglement.datasets import catalog
from disentanglement.datasets.card import DataCard, Origin
from disentanglement.datasets.ground_truth import GridData
from disentanglement.errors import ArtifactNotFound, CorruptArtifact
from disentanglement.storage import prefixes
from disentanglement.storage.cache import Cache
from disentanglement.storage.keys import DatasetKey, Key
from disentanglement.storage.store import Measured, Store, check, measure_file

CARD, IMAGES = "card.json", "images.npy"


def import_data_set(store: Store, card: DataCard, images: Path) -> bool:
    """Put a data set into the store; False where it is there already.

    Raises:
        CorruptArtifact: the `.npy` file `images` is not the one that the card describes.
    """
    if find_data_set(store, card.name, card.digest):
        return False
    check(images_key(card), images_measured(card), measure_file(images))
    store.put_file(images_key(card), images)
    return store.put(card_key(card.name, card.digest), card.to_bytes(), if_absent=True)


def find_data_set(store: Store, name: str, digest: str) -> DataCard | None:
    """The card of an imported data set, None where there is none."""
    key = card_key(name, digest)
    try:
        card = DataCard.from_bytes(store.get(key), where=str(key))
    except ArtifactNotFound:
        return None
    if card_key(card.name, card.digest) != key:
        raise CorruptArtifact(f"{key}: this is the card of {card.name} {card.digest}")
    return card


def list_data_sets(store: Store, name: str | None = None) -> list[DataCard]:
    """The cards of all imported data sets, or of those of one name, by name and digest."""
    return [card for card, _ in _imported(store, name)]


def data_set_digests(store: Store, names: Iterable[str]) -> dict[str, str]:
    """The digest that stands for each data set named without one; names that the store does not hold are left out.

    Where the store holds several versions, a released one goes before what was made here, and the one imported last
    before earlier ones.
    """
    best: dict[str, str] = {}
    for name in names:
        if versions := _imported(store, name):
            card, _ = max(versions, key=lambda version: (version[0].origin is Origin.RELEASED, version[1]))
            best[name] = card.digest
    return best


def open_data_set(store: Store, cache: Cache, name: str, digest: str) -> GridData:
    """A data set over a verified local copy of its images, mapped into memory.

    Raises:
        ArtifactNotFound: it was not imported into this store.
        CorruptArtifact: the store's own bytes are damaged.
    """
    card = _card(store, name, digest)
    return catalog.open_data_set(card, cache.fetch(store, images_key(card), images_measured(card)))


def open_factors(store: Store, name: str, digest: str) -> GridData:
    """A data set without its images, to draw factors from; raises as `open_data_set`."""
    return catalog.open_data_set(_card(store, name, digest))


def card_key(name: str, digest: str) -> DatasetKey:
    """Where the card of a data set is."""
    return DatasetKey(name, digest, CARD)


def is_card(key: Key) -> bool:
    """Whether a key is that of a data set's card."""
    return isinstance(key, DatasetKey) and key.file == CARD


def images_key(card: DataCard) -> DatasetKey:
    """Where the images of a data set are."""
    return DatasetKey(card.name, card.digest, IMAGES)


def images_measured(card: DataCard) -> Measured:
    """Size and digest that the images must have."""
    return Measured(card.images_bytes, card.images_sha256)


def _imported(store: Store, name: str | None) -> list[tuple[DataCard, datetime]]:
    infos = list(store.list(prefixes.data_set_versions(name) if name else prefixes.data_sets()))
    keys = [(info.key, info.modified) for info in infos if isinstance(info.key, DatasetKey) and is_card(info.key)]
    found = ((find_data_set(store, key.name, key.digest), modified) for key, modified in keys)
    return [(card, modified) for card, modified in found if card]


def _card(store: Store, name: str, digest: str) -> DataCard:
    card = find_data_set(store, name, digest)
    if card is None:
        raise ArtifactNotFound(f"data set {name} with digest {digest} is not in the store; import it first")
    return card
