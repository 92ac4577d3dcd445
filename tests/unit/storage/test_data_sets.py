"""Data sets: imported once, opened over a local copy, damage found."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets.card import DataCard, Origin
from disentanglement.datasets.catalog import make_card
from disentanglement.datasets.dummy_data import generate_pool
from disentanglement.datasets.images import StoredImages
from disentanglement.errors import ArtifactNotFound, CorruptArtifact
from disentanglement.storage import prefixes
from disentanglement.storage.cache import Cache
from disentanglement.storage.checking import check_store
from disentanglement.storage.data_sets import (
    card_key,
    data_set_digests,
    find_data_set,
    images_key,
    import_data_set,
    list_data_sets,
    open_data_set,
    open_factors,
)
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.store import measure_file


def made(path: Path, images: NDArray[np.uint8], origin: Origin = Origin.GENERATED) -> DataCard:
    np.save(path, images)
    measured = measure_file(path)
    stored = StoredImages(images, "uint8")
    return make_card(
        "dummy_data", stored, origin=origin, sha256=measured.sha256, size=measured.size, note="made for a test"
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tmp_path / "images.npy"


@pytest.fixture
def card(images: Path) -> DataCard:
    return made(images, generate_pool()[:8])


def test_an_imported_data_set_is_opened_as_it_was(
    store: DirectoryStore, cache: Cache, card: DataCard, images: Path
) -> None:
    assert import_data_set(store, card, images)
    opened = open_data_set(store, cache, "dummy_data", card.digest)
    assert opened.card == card
    np.testing.assert_array_equal(opened.images.stored, generate_pool()[:8])
    assert isinstance(opened.images.stored, np.memmap)


def test_a_data_set_is_imported_once(store: DirectoryStore, card: DataCard, images: Path) -> None:
    assert import_data_set(store, card, images)
    images.unlink()
    assert not import_data_set(store, card, images)
    assert len(list(store.list(prefixes.data_sets()))) == 2


def test_another_file_than_the_card_describes_is_refused(store: DirectoryStore, card: DataCard, images: Path) -> None:
    np.save(images, generate_pool()[1:9])
    with pytest.raises(CorruptArtifact, match=r"images\.npy: wanted"):
        import_data_set(store, card, images)
    assert list(store.list(prefixes.EVERYTHING)) == []


def test_images_without_a_card_are_no_data_set(store: DirectoryStore, card: DataCard, images: Path) -> None:
    store.put_file(images_key(card), images)  # as an import that was killed leaves them
    assert find_data_set(store, card.name, card.digest) is None
    assert list_data_sets(store) == []
    assert import_data_set(store, card, images)


def test_a_data_set_that_was_not_imported_is_not_found(store: DirectoryStore, cache: Cache, card: DataCard) -> None:
    with pytest.raises(ArtifactNotFound, match=f"dummy_data with digest {card.digest}"):
        open_data_set(store, cache, "dummy_data", card.digest)
    with pytest.raises(ArtifactNotFound):
        open_factors(store, "dummy_data", card.digest)


def test_factors_are_drawn_without_the_images(store: DirectoryStore, card: DataCard, images: Path) -> None:
    import_data_set(store, card, images)
    store.delete(images_key(card))
    assert open_factors(store, "dummy_data", card.digest).sample_factors(3, RandomState(0)).shape == (3, 10)


def test_data_of_another_origin_never_mix(store: DirectoryStore, card: DataCard, images: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "other.npy", generate_pool()[:8], origin=Origin.RELEASED)
    assert import_data_set(store, card, images)
    assert import_data_set(store, other, tmp_path / "other.npy")
    assert {found.digest for found in list_data_sets(store, "dummy_data")} == {card.digest, other.digest}
    assert list_data_sets(store, "dsprites_full") == []


def test_damaged_images_are_corrupt_and_the_check_says_so(
    store: DirectoryStore, cache: Cache, card: DataCard, images: Path
) -> None:
    import_data_set(store, card, images)
    assert check_store(store).findings == ()
    store.put(images_key(card), images.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptArtifact, match="sha256"):
        open_data_set(store, cache, "dummy_data", card.digest)
    assert [finding.key for finding in check_store(store).findings] == [card_key("dummy_data", card.digest)]


def test_a_card_in_anothers_place_is_corrupt(store: DirectoryStore, card: DataCard) -> None:
    store.put(card_key("dummy_data", "0" * 64), card.to_bytes())
    with pytest.raises(CorruptArtifact, match="this is the card of"):
        find_data_set(store, "dummy_data", "0" * 64)


def test_a_name_stands_for_the_released_version_before_any_other(
    store: DirectoryStore, card: DataCard, images: Path, tmp_path: Path
) -> None:
    released = made(tmp_path / "released.npy", generate_pool()[:4], origin=Origin.RELEASED)
    import_data_set(store, released, tmp_path / "released.npy")
    import_data_set(store, card, images)
    assert data_set_digests(store, ["dummy_data", "dsprites_full"]) == {"dummy_data": released.digest}


def test_among_equals_a_name_stands_for_the_version_imported_last(
    store: DirectoryStore, card: DataCard, images: Path, tmp_path: Path
) -> None:
    other = made(tmp_path / "other.npy", generate_pool()[:4])
    for version, path, seconds in ((card, images, 2), (other, tmp_path / "other.npy", 1)):
        import_data_set(store, version, path)
        os.utime(store.local_path(card_key(version.name, version.digest)), (seconds, seconds))
    assert data_set_digests(store, ["dummy_data"]) == {"dummy_data": card.digest}
