"""Data sets with known factors: samples, rows, observations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState

from disentanglement.datasets import dummy_data
from disentanglement.datasets.card import DataCard, Factor, Origin
from disentanglement.datasets.dummy_data import DummyData, generate_pool
from disentanglement.datasets.ground_truth import GridData, GroundTruth
from disentanglement.datasets.images import StoredImages
from disentanglement.errors import ArtifactNotFound, SpecError

FACTORS = (Factor(name="lamp", size=2, is_latent=False), Factor(name="shape", size=3), Factor(name="angle", size=4))


def card(name: str, images: StoredImages, factors: tuple[Factor, ...]) -> DataCard:
    return DataCard.of(
        name=name,
        origin=Origin.GENERATED,
        images_sha256="0" * 64,
        images_bytes=0,
        num_images=len(images),
        encoding=images.encoding,
        observation_shape=images.observation_shape,
        factors=factors,
    )


def grid() -> GridData:
    """24 images of 1 x 2 pixels whose first pixel is their row."""
    stored = np.zeros((24, 1, 2, 1), np.uint8)
    stored[:, 0, 0, 0] = np.arange(24)
    images = StoredImages(stored, "uint8")
    return GridData(card("grid", images, FACTORS), images)


def dummy() -> DummyData:
    images = StoredImages(generate_pool(), "uint8")
    return DummyData(card("dummy_data", images, tuple(Factor(name=f"factor_{i}", size=5) for i in range(10))), images)


def test_both_kinds_of_data_set_follow_the_protocol() -> None:
    data_sets: list[GroundTruth] = [grid(), dummy()]
    assert [data.name for data in data_sets] == ["grid", "dummy_data"]
    assert [data.num_points for data in data_sets] == [24, dummy_data.POOL_SIZE]
    assert [data.observation_shape for data in data_sets] == [(1, 2, 1), (64, 64, 1)]
    assert data_sets[0].factor_names == ("shape", "angle")
    assert data_sets[0].factor_sizes == (3, 4)


def test_rows_show_the_factors_and_a_drawn_noise_factor() -> None:
    rs, by_hand = RandomState(1), RandomState(1)
    rows = grid().rows(np.array([[0, 0], [2, 1], [1, 3]]), rs)
    np.testing.assert_array_equal(rows, 12 * by_hand.randint(2, size=3) + np.array([0, 9, 7]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_observations_show_the_factors_of_their_sample(seed: int, num: int) -> None:
    data = grid()
    factors, observations = data.sample(num, RandomState(seed))
    shown = np.rint(observations[:, 0, 0, 0] * 255).astype(np.int64)
    np.testing.assert_array_equal(data.card.factor_space.factors_of(shown)[:, 1:], factors)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_rows_and_observations_leave_the_generator_in_the_same_state(seed: int, num: int) -> None:
    for data in (grid(), dummy()):
        factors = data.sample_factors(num, RandomState(seed))
        ours, theirs = RandomState(seed), RandomState(seed)
        data.rows(factors, ours)
        data.sample_observations_from_factors(factors, theirs)
        np.testing.assert_equal(ours.get_state(legacy=False), theirs.get_state(legacy=False))


def test_without_images_factors_and_rows_are_still_drawn() -> None:
    data = GridData(grid().card)
    rs = RandomState(0)
    assert data.rows(data.sample_factors(3, rs), rs).shape == (3,)
    with pytest.raises(ArtifactNotFound, match="grid was opened without its images"):
        data.sample(3, rs)


def test_factors_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"factors\.angle"):
        grid().rows(np.array([[0, 4]]), RandomState(0))


def test_factors_of_dummy_data_are_drawn_in_one_call() -> None:
    factors = dummy().sample_factors(7, RandomState(5))
    np.testing.assert_array_equal(factors, RandomState(5).randint(5, size=(7, 10)))


def test_observations_of_dummy_data_are_fresh_noise_in_double_precision() -> None:
    observations = dummy().sample_observations_from_factors(np.zeros((3, 10), np.int64), RandomState(5))
    np.testing.assert_array_equal(observations, RandomState(5).random_sample((3, 64, 64, 1)))


def test_rows_of_dummy_data_do_not_depend_on_how_much_noise_is_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    factors = np.zeros((5, 10), np.int64)
    at_once = dummy().rows(factors, RandomState(2))
    monkeypatch.setattr(dummy_data, "IMAGES_PER_DRAW", 2)
    np.testing.assert_array_equal(dummy().rows(factors, RandomState(2)), at_once)
    assert len(set(at_once.tolist())) > 1
    assert 0 <= at_once.min() <= at_once.max() < dummy_data.POOL_SIZE


def test_the_pool_is_always_the_same() -> None:
    assert generate_pool()[0, 0, :6, 0].tolist() == [172, 10, 127, 140, 47, 170]
    assert len(np.unique(generate_pool().reshape(dummy_data.POOL_SIZE, -1), axis=0)) == dummy_data.POOL_SIZE
