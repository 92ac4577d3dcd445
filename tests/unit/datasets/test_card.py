"""Data cards: what their digest covers, and what is no card."""

from __future__ import annotations

import json
from typing import Any

import pytest

from disentanglement.datasets import dsprites
from disentanglement.datasets.card import DataCard, Factor, Origin
from disentanglement.errors import CorruptArtifact

FIELDS: dict[str, Any] = {
    "name": "dsprites_full",
    "origin": Origin.RENDERED,
    "images_sha256": "ab" * 32,
    "images_bytes": 1000,
    "num_images": 737280,
    "encoding": "packed_bits",
    "observation_shape": (64, 64, 1),
    "factors": dsprites.factors(),
    "origin_note": "made here",
    "source": "somewhere",
    "licence": "free",
    "citation": "someone",
}
CARD = DataCard.of(**FIELDS)


def test_a_card_survives_being_written_and_read() -> None:
    assert DataCard.from_bytes(CARD.to_bytes()) == CARD


@pytest.mark.parametrize(
    "change",
    [
        {"name": "dummy_data"},
        {"origin": Origin.RELEASED},
        {"images_sha256": "cd" * 32},
        {"encoding": "uint8"},
        {"observation_shape": (32, 128, 1)},
        {"factors": dsprites.factors(latent=(2, 3, 4, 5))},
        {"factors": (*dsprites.factors()[:-1], Factor(name="position_y", size=16))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_digest_changes_with_what_decides_the_data(change: dict[str, Any]) -> None:
    assert DataCard.of(**{**FIELDS, **change}).digest != CARD.digest


@pytest.mark.parametrize("field", ["source", "licence", "citation", "origin_note"])
def test_the_digest_does_not_change_with_words_about_the_data(field: str) -> None:
    assert DataCard.of(**{**FIELDS, field: "something else"}).digest == CARD.digest


def test_the_digest_of_a_card_is_the_same_in_every_release() -> None:
    assert CARD.digest == "18e9c19fef9a5656c7fe34c976b90e53cd4bf22e36e3b38c42a12670dc5d2791"


def test_only_released_data_are_comparable() -> None:
    comparable = [DataCard.of(**{**FIELDS, "origin": origin}).is_comparable for origin in Origin]
    assert dict(zip(Origin, comparable, strict=True)) == {
        Origin.RELEASED: True,
        Origin.RENDERED: False,
        Origin.GENERATED: False,
    }


def test_a_card_whose_origin_was_edited_is_refused() -> None:
    edited = CARD.to_bytes().replace(b'"rendered"', b'"released"')
    with pytest.raises(CorruptArtifact, match="wanted digest"):
        DataCard.from_bytes(edited)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"name": "dsprites_full"}'])
def test_what_is_no_card_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptArtifact, match=r"here: not a data card"):
        DataCard.from_bytes(data, where="here")


def test_fields_of_later_releases_are_passed_over() -> None:
    later = {**json.loads(CARD.to_bytes()), "colour_space": "sRGB"}
    assert DataCard.from_bytes(json.dumps(later).encode()) == CARD


def test_colour_is_observed_noise_and_the_rest_is_latent() -> None:
    space = CARD.factor_space
    assert space.names == ("color", "shape", "scale", "orientation", "position_x", "position_y")
    assert space.latent_names == ("shape", "scale", "orientation", "position_x", "position_y")
    assert space.latent_sizes == (3, 6, 40, 32, 32)
    assert space.num_points == CARD.num_images
