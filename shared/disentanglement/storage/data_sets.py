"""Data sets in the store: imported once, read through a local cache that the processes of a machine share.

`datasets/<name>/<digest>/` holds the images (`.npy`) and `card.json`, which is written last and only where there is
none: a data set is there when its card is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, TypeAdapter, ValidationError

from disentanglement.datasets import catalog
from disentanglement.datasets.card import DataCard
from disentanglement.datasets.ground_truth import GroundTruth
from disentanglement.errors import ArtifactNotFound, CorruptArtifact, SpecError
from disentanglement.storage import prefixes
from disentanglement.storage.cache import Cache
from disentanglement.storage.keys import DatasetKey, Key
from disentanglement.storage.manifests import FileRecord, Record, Sha256, file_record
from disentanglement.storage.store import Store, measure_file

CARD = "card.json"
_CARDS: TypeAdapter[DataCard] = TypeAdapter(DataCard)


class StoredDataSet(Record):
    """The commit of a data set: its card, and the one file of its images, whose name begins with its own digest."""

    format: Literal[1] = 1
    name: str
    digest: Sha256
    card: dict[str, JsonValue]
    files: dict[str, FileRecord]

    @property
    def key(self) -> DatasetKey:
        """Where this belongs."""
        return _card_key(self.name, self.digest)

    def file_key(self, name: str) -> DatasetKey:
        """Where the file of that name is."""
        return DatasetKey(self.name, self.digest, name)

    def data_card(self) -> DataCard:
        """The card; `CorruptArtifact` where it is none."""
        try:
            return _CARDS.validate_python(self.card)
        except ValidationError as error:
            raise CorruptArtifact(f"{self.key}: not a data card: {error.errors()[0]['msg']}") from error


def import_data_set(store: Store, card: DataCard, images: Path) -> StoredDataSet:
    """Put a data set into the store, unless it is there; the card's name and digest say which it is.

    `images` is an `.npy` file as `datasets.catalog.open_data_set` reads it.
    """
    if standing := find_data_set(store, card.name, card.digest):
        return standing
    measured = measure_file(images)
    file = f"{measured.sha256[:16]}.images.npy"
    plain: dict[str, JsonValue] = _CARDS.dump_python(card, mode="json")
    stored = StoredDataSet(name=card.name, digest=card.digest, card=plain, files={file: file_record(measured)})
    store.put_file(stored.file_key(file), images)
    if store.put(stored.key, stored.to_bytes(), if_absent=True):
        return stored
    return find_data_set(store, card.name, card.digest) or stored


def find_data_set(store: Store, name: str, digest: str) -> StoredDataSet | None:
    """The data set of that name and digest, None where it was not imported."""
    key = _card_key(name, digest)
    try:
        stored = StoredDataSet.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        return None
    if stored.key != key:
        raise CorruptArtifact(f"{key}: this is the card of {stored.key}")
    return stored


def list_data_sets(store: Store, name: str | None = None) -> list[DataCard]:
    """The cards of all imported data sets, or of those of one name, by name and digest."""
    infos = list(store.list(prefixes.data_set_versions(name) if name else prefixes.data_sets()))
    keys = [info.key for info in infos if isinstance(info.key, DatasetKey) and is_card(info.key)]
    found = (find_data_set(store, key.name, key.digest) for key in keys)
    return [stored.data_card() for stored in found if stored]


def open_data_set(store: Store, cache: Cache, name: str, digest: str) -> GroundTruth:
    """A data set over a verified local copy of its images, mapped into memory.

    Raises:
        ArtifactNotFound: it was not imported into this store.
        CorruptArtifact: the store's own bytes are damaged.
    """
    stored = find_data_set(store, name, digest)
    if stored is None:
        raise ArtifactNotFound(f"data set {name} with digest {digest} is not in the store; import it first")
    ((file, record),) = stored.files.items()
    return catalog.open_data_set(stored.data_card(), cache.fetch(store, stored.file_key(file), record.measured))


def open_factors(store: Store, name: str, digest: str) -> GroundTruth:
    """A data set without its images: only factors can be drawn, which is all that scoring stored codes needs.

    Raises:
        ArtifactNotFound: it was not imported into this store.
    """
    stored = find_data_set(store, name, digest)
    if stored is None:
        raise ArtifactNotFound(f"data set {name} with digest {digest} is not in the store; import it first")
    return catalog.open_data_set(stored.data_card())


def data_set_digests(store: Store, names: Iterable[str]) -> dict[str, str]:
    """The digest that each name stands for where a spec gives none; names that the store lacks are left out.

    Released arrays go before rendered ones.

    Raises:
        SpecError: several digests are equally good.
    """
    digests: dict[str, str] = {}
    for name in dict.fromkeys(names):
        cards = list_data_sets(store, name)
        preferred = [card for card in cards if card.is_comparable] or cards
        if len(preferred) > 1:
            wanted = f"one of {', '.join(card.digest for card in preferred)}"
            raise SpecError.of("dataset.digest", wanted, f"none, and the store holds several versions of {name}")
        digests.update({name: card.digest for card in preferred})
    return digests


def is_card(key: Key) -> bool:
    """Whether a key is that of a data set's card."""
    return isinstance(key, DatasetKey) and key.file == CARD


def _card_key(name: str, digest: str) -> DatasetKey:
    return DatasetKey(name, digest, CARD)
