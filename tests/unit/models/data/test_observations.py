"""Colours, noise and orientations that are drawn for every image, on the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dsprites_like import SIZES, small_data
from numpy.random import RandomState
from pytest import approx

from disentanglement.datasets.dsprites_variants import GREYS, HUSL
from disentanglement.models.data.images import TrainingData
from disentanglement.models.data.observations import uniform

WORD = 2**64
DRAWN = ("color_dsprites", "noisy_dsprites", "abstract_dsprites")


def splitmix(x: int) -> int:
    """The finaliser of SplitMix64 as its authors write it."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % WORD
    return x ^ (x >> 31)


def by_hand(draw: int, count: int) -> list[float]:
    words = [splitmix((splitmix(draw) + place * 0x9E3779B97F4A7C15) % WORD) for place in range(1, count // 2 + 1)]
    return [part / 2**24 for word in words for part in (word >> 40, (word >> 16) % 2**24)]


@pytest.mark.parametrize("draw", [0, 1, 2**62 - 1])
def test_uniform_numbers_are_those_of_splitmix(draw: int) -> None:
    assert uniform(torch.tensor([draw]), 6)[0].tolist() == by_hand(draw, 6)
    assert uniform(torch.tensor([draw]), 5)[0].tolist() == by_hand(draw, 6)[:5]


def test_uniform_numbers_of_successive_draws_are_uniform_and_independent() -> None:
    numbers = uniform(torch.arange(2000), 64).double().numpy()
    assert 0 <= numbers.min() <= numbers.max() < 1
    counts = np.bincount((numbers * 16).astype(int).ravel(), minlength=16)
    assert ((counts - 8000) ** 2 / 8000).sum() < 45  # chi square of 15 degrees: once in 10,000
    assert abs(np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]) < 0.012
    assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < 0.012


@pytest.mark.parametrize("name", DRAWN)
def test_images_are_functions_of_point_and_draw(name: str) -> None:
    data = TrainingData.of(small_data(name))
    points, draws = torch.tensor([3, 3, 7]), torch.tensor([1, 2, 1])
    images = data.images(points, draws)
    assert images.shape == (3, 64, 64, 3)
    assert images.dtype == torch.float32
    assert 0 <= images.min() <= images.max() <= 1
    assert torch.equal(images[[2, 0]], data.images(points[[2, 0]], draws[[2, 0]]))
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("name", DRAWN)
def test_points_are_encoded_by_a_draw_of_their_own_that_stays(name: str) -> None:
    data = TrainingData.of(small_data(name))
    assert len(data) == small_data(name).num_points
    whole = data.encoded_images(0, 12)
    assert torch.equal(whole[5:9], TrainingData.of(small_data(name)).encoded_images(5, 9))
    other = TrainingData.of(small_data(name, origin="rendered"))
    assert not torch.equal(whole, other.encoded_images(0, 12))  # another digest


def test_a_sprite_has_one_colour_on_black() -> None:
    data, plain = TrainingData.of(small_data("color_dsprites")), TrainingData.of(small_data("dsprites_full"))
    points, draws = torch.arange(8), torch.arange(8)
    images, sprites = data.images(points, draws), plain.images(points)
    tints = 0.5 + 0.5 * uniform(draws, 3)
    torch.testing.assert_close(images, sprites * tints[:, None, None, :])


def test_a_sprite_is_white_on_noise() -> None:
    data, plain = TrainingData.of(small_data("noisy_dsprites")), TrainingData.of(small_data("dsprites_full"))
    points, draws = torch.arange(8), torch.arange(8)
    images, sprites = data.images(points, draws), plain.images(points).expand(-1, -1, -1, 3)
    assert (images[sprites == 1] == 1).all()
    ground = images[sprites == 0]
    assert ground.mean().item() == approx(0.5, abs=0.01)
    assert ground.std().item() == approx(np.sqrt(1 / 12), abs=0.01)


def test_abstract_sprites_are_composed_as_the_reference_composes_them() -> None:
    data = small_data("abstract_dsprites")
    factors = data.sample_factors(40, RandomState(0))
    points = data.rows(factors, RandomState(1))
    images = TrainingData.of(data).images(torch.from_numpy(points), torch.arange(40)).numpy()
    turns = (uniform(torch.arange(40), 1)[:, 0].numpy() * SIZES[3]).astype(int)
    grey, colour, shape, scale, x, y = factors.T
    rows = np.ravel_multi_index((shape, scale, turns, x, y), SIZES[1:])
    sprites = small_data("dsprites_full").observations(rows)
    expected = np.where(sprites == 1, np.array(HUSL)[colour, None, None], np.array(GREYS)[grey, None, None, None])
    assert images == approx(expected, abs=1e-6)
    assert len(set(turns)) == SIZES[3]
