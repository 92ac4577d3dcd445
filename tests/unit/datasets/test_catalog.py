"""Data sets by name; cards; opening; how the origin of a file is decided."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.datasets import dsprites_file, dsprites_origin
from disentanglement.datasets.card import DataCard, Origin
from disentanglement.datasets.catalog import (
    DATA_SETS,
    NOT_BUILT_YET,
    decide_origin,
    find_entry,
    make_card,
    open_data_set,
)
from disentanglement.datasets.dsprites_file import write_released
from disentanglement.datasets.dummy_data import DummyData, generate_pool
from disentanglement.datasets.images import StoredImages
from disentanglement.errors import ArtifactNotFound, CorruptArtifact, NotBuiltYet, SpecError

PACKED: NDArray[np.uint8] = np.arange(2 * 64 * 8, dtype=np.uint16).astype(np.uint8).reshape(2, 64, 8)
PROVED = "the file says that its images were rendered"


def card_of(path: Path, origin: Origin = Origin.GENERATED) -> DataCard:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    images = StoredImages.open(path, "uint8")
    return make_card("dummy_data", images, origin=origin, sha256=sha256, size=path.stat().st_size, note="for a test")


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    np.save(tmp_path / "pool.npy", generate_pool()[:8])
    return tmp_path / "pool.npy"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in the released format that says nothing about its origin."""
    write_released(tmp_path / "dsprites.npz", PACKED, origin=Origin.RELEASED)
    return tmp_path / "dsprites.npz"


def test_every_entry_has_its_name_and_can_be_obtained() -> None:
    for name, entry in DATA_SETS.items():
        assert find_entry(name) is entry
        assert entry.render or entry.read
        assert len({factor.name for factor in entry.factors}) == len(entry.factors)


def test_names_and_sizes_of_latent_factors_are_those_of_the_reference() -> None:
    sizes = {name: [f.size for f in entry.factors if f.is_latent] for name, entry in DATA_SETS.items()}
    assert sizes == {
        "dsprites_full": [3, 6, 40, 32, 32],
        "dsprites_noshape": [6, 40, 32, 32],
        "color_dsprites": [3, 6, 40, 32, 32],
        "noisy_dsprites": [3, 6, 40, 32, 32],
        "abstract_dsprites": [5, 6, 3, 6, 32, 32],
        "smallnorb": [5, 9, 18, 6],
        "cars3d": [4, 24, 183],
        "shapes3d": [10, 10, 10, 8, 4, 15],
        "mpi3d_toy": [4, 4, 2, 3, 3, 40, 40],
        "mpi3d_realistic": [4, 4, 2, 3, 3, 40, 40],
        "mpi3d_real": [6, 6, 2, 3, 3, 40, 40],
        "dummy_data": [5] * 10,
    }
    names = [f.name for f in DATA_SETS["dsprites_full"].factors]
    assert names == ["color", "shape", "scale", "orientation", "position_x", "position_y"]


@pytest.mark.parametrize("name", NOT_BUILT_YET)
def test_a_known_data_set_that_is_not_built_yet_is_named(name: str) -> None:
    with pytest.raises(NotBuiltYet, match=name):
        find_entry(name)


def test_an_unknown_data_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError) as caught:
        find_entry("dsprite")
    (violation,) = caught.value.violations
    assert (violation.field, violation.given) == ("dataset.name", "dsprite")
    assert all(name in violation.wanted for name in (*DATA_SETS, *NOT_BUILT_YET))


def test_a_data_set_is_opened_from_its_card_and_file(pool: Path) -> None:
    data = open_data_set(card_of(pool), pool)
    assert isinstance(data, DummyData)
    assert (data.name, data.num_points) == ("dummy_data", 8)
    assert data.observations(np.array([3])).shape == (1, 64, 64, 1)
    np.testing.assert_array_equal(data.images.gather(np.array([3])), generate_pool()[3:4])


def test_without_a_file_a_data_set_draws_factors(pool: Path) -> None:
    assert open_data_set(card_of(pool)).sample_factors(4, RandomState(0)).shape == (4, 10)


def test_a_file_of_other_images_than_the_cards_is_refused(pool: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "fewer.npy", generate_pool()[:7])
    with pytest.raises(CorruptArtifact, match=r"wanted images \(8, 64, 64, 1\).*got \(7, 64, 64, 1\)"):
        open_data_set(card_of(pool), tmp_path / "fewer.npy")
    np.save(tmp_path / "wider.npy", generate_pool()[:8].reshape(8, 32, 128, 1))
    with pytest.raises(CorruptArtifact, match=r"got \(8, 32, 128, 1\)"):
        open_data_set(card_of(pool), tmp_path / "wider.npy")
    with pytest.raises(ArtifactNotFound, match=r"none\.npy"):
        open_data_set(card_of(pool), tmp_path / "none.npy")


def test_a_card_of_a_data_set_that_is_not_built_yet_is_not_opened(pool: Path, tmp_path: Path) -> None:
    card = DataCard.of(**{**dict(card_of(pool)), "name": "scream_dsprites"})
    for images in (None, pool, tmp_path / "none.npy"):
        with pytest.raises(NotBuiltYet, match="scream_dsprites"):
            open_data_set(card, images)


def test_a_grid_must_have_an_image_for_each_combination() -> None:
    images = StoredImages(PACKED, "packed_bits")
    with pytest.raises(SpecError, match="wanted 737280, one per combination that is stored, got 2"):
        make_card("dsprites_full", images, origin=Origin.RENDERED, sha256="0" * 64, size=1, note="")


def test_the_same_images_of_another_origin_have_another_digest(pool: Path) -> None:
    cards = [card_of(pool, origin) for origin in Origin]
    assert len({card.digest for card in cards}) == 3
    assert len({card.images_sha256 for card in cards}) == 1


def test_only_released_data_bear_the_licence_and_source_of_their_authors() -> None:
    entry = DATA_SETS["dsprites_full"]
    images = StoredImages(np.broadcast_to(np.zeros((1, 64, 8), np.uint8), (737280, 64, 8)), "packed_bits")
    released, rendered = (
        make_card("dsprites_full", images, origin=origin, sha256="0" * 64, size=1, note="")
        for origin in (Origin.RELEASED, Origin.RENDERED)
    )
    assert (released.source, released.licence) == (entry.source, entry.licence)
    assert rendered.source == "made by the package disentanglement"
    assert released.citation == rendered.citation == entry.citation


def test_a_file_that_is_not_ours_is_taken_for_released(file: Path) -> None:
    origin, reason = decide_origin("dsprites_full", file, PACKED)
    assert origin is Origin.RELEASED
    assert "released format" in reason


def test_the_importers_word_is_taken_where_nothing_proves_another_origin(file: Path) -> None:
    decided = decide_origin("dsprites_full", file, PACKED, said=Origin.RENDERED)
    assert decided == (Origin.RENDERED, "its importer said so")


def test_a_file_with_our_images_is_rendered(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsprites_origin, "is_rendering", lambda packed: packed is PACKED)
    origin, reason = decide_origin("dsprites_full", file, PACKED)
    assert origin is Origin.RENDERED
    assert "equal those that are rendered here" in reason


def test_a_file_that_says_rendered_is_rendered_whatever_its_importer_says(tmp_path: Path) -> None:
    path = tmp_path / "dsprites.npz"
    write_released(path, PACKED)
    assert decide_origin("dsprites_full", path, PACKED) == (Origin.RENDERED, PROVED)
    assert decide_origin("dsprites_full", path, PACKED, said=Origin.RENDERED) == (Origin.RENDERED, PROVED)
    with pytest.raises(SpecError, match=r"origin: wanted rendered, because the file says.*got released"):
        decide_origin("dsprites_full", path, PACKED, said=Origin.RELEASED)


def test_the_very_file_of_the_authors_is_released(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = file.read_bytes()
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(dsprites_file, "RELEASED_GIT_BLOB", blob)
    origin, reason = decide_origin("dsprites_full", file, PACKED)
    assert origin is Origin.RELEASED
    assert "byte for byte" in reason
    with pytest.raises(SpecError, match="origin: wanted released"):
        decide_origin("dsprites_full", file, PACKED, said=Origin.RENDERED)
