"""Draws of factors, rows and observations against those recorded from the reference (`datasets/README.md`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from pytest import approx

from disentanglement.datasets import dsprites
from disentanglement.datasets.card import Origin
from disentanglement.datasets.catalog import make_card, open_data_set
from disentanglement.datasets.dummy_data import POOL_SIZE, generate_pool
from disentanglement.datasets.ground_truth import GridData
from disentanglement.datasets.images import StoredImages

GOLDEN = json.loads((Path(__file__).parent / "datasets" / "sampling.json").read_text())
NUM = GOLDEN["num"]
CASES = [(name, int(seed)) for name, case in GOLDEN["datasets"].items() for seed in case["seeds"]]
DSPRITES = [seed for name, seed in CASES if name == "dsprites_full"]
DUMMY = [seed for name, seed in CASES if name == "dummy_data"]


def recorded(name: str, seed: int) -> dict[str, Any]:
    values: dict[str, Any] = GOLDEN["datasets"][name]["seeds"][str(seed)]
    return values


def square_corner(row: int) -> tuple[int, int]:
    """Top and left of the 8 x 8 square in the synthetic image."""
    return row % 56, row // 56 % 56


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GridData]:
    """Both data sets; of the synthetic dSprites only the recorded rows are drawn, all others stay black."""
    folder = tmp_path_factory.mktemp("golden_images")
    packed = np.lib.format.open_memmap(
        folder / "dsprites.npy", mode="w+", dtype=np.uint8, shape=(dsprites.NUM_IMAGES, 64, 8)
    )
    for row in (row for seed in DSPRITES for row in recorded("dsprites_full", seed)["atom_index"]):
        image, (top, left) = np.zeros((64, 64), np.uint8), square_corner(row)
        image[top : top + 8, left : left + 8] = 1
        packed[row] = np.packbits(image, axis=-1)
    packed.flush()
    np.save(folder / "dummy.npy", generate_pool())
    return {
        "dsprites_full": opened("dsprites_full", folder / "dsprites.npy", "packed_bits"),
        "dummy_data": opened("dummy_data", folder / "dummy.npy", "uint8"),
    }


def opened(name: str, path: Path, encoding: Any) -> GridData:
    images = StoredImages.open(path, encoding)
    card = make_card(name, images, origin=Origin.GENERATED, sha256="0" * 64, size=path.stat().st_size, note="")
    return open_data_set(card, path)


@pytest.mark.parametrize("name", GOLDEN["datasets"])
def test_factors_and_observation_shape_are_the_references(name: str, data: dict[str, GridData]) -> None:
    case = GOLDEN["datasets"][name]
    assert len(data[name].factor_names) == case["num_factors"]
    assert data[name].factor_sizes == tuple(case["factors_num_values"])
    assert data[name].observation_shape == tuple(case["observation_shape"])


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_factors_are_drawn_as_in_the_reference(name: str, seed: int, data: dict[str, GridData]) -> None:
    rs = RandomState(seed)
    np.testing.assert_array_equal(data[name].sample_factors(NUM, rs), recorded(name, seed)["factors"])
    assert rs.randint(2**32) == recorded(name, seed)["next_draw_after_factors"]


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_observations_are_drawn_as_in_the_reference(name: str, seed: int, data: dict[str, GridData]) -> None:
    rs, expected = RandomState(seed), recorded(name, seed)
    factors, observations = data[name].sample(NUM, rs)
    np.testing.assert_array_equal(factors, expected["factors"])
    assert list(observations.shape) == expected["obs_shape"]
    assert str(observations.dtype) == expected["obs_dtype"]
    assert observations.mean(dtype=np.float64) == approx(expected["obs_mean"], rel=1e-12)
    np.testing.assert_array_equal(observations[:, 3, 5, 0], expected["obs_probe"])
    assert rs.randint(2**32) == expected["next_draw"]


@pytest.mark.parametrize("seed", DSPRITES)
def test_dsprites_shows_the_images_that_the_reference_shows(seed: int, data: dict[str, GridData]) -> None:
    rs, expected = RandomState(seed), recorded("dsprites_full", seed)
    rows = data["dsprites_full"].rows(data["dsprites_full"].sample_factors(NUM, rs), rs)
    np.testing.assert_array_equal(rows, expected["atom_index"])
    observations = data["dsprites_full"].observations(rows)
    corners = [square_corner(row) for row in expected["atom_index"]]
    inside = [observations[n, top + 1, left + 1, -1] for n, (top, left) in enumerate(corners)]
    np.testing.assert_array_equal(inside, expected["obs_probe2"])


@pytest.mark.parametrize("seed", DUMMY)
def test_rows_of_dummy_data_keep_the_generator_in_step(seed: int, data: dict[str, GridData]) -> None:
    rs, dummy = RandomState(seed), data["dummy_data"]
    rows = dummy.rows(dummy.sample_factors(NUM, rs), rs)
    assert rs.randint(2**32) == recorded("dummy_data", seed)["next_draw"]
    _, noise = dummy.sample(NUM, RandomState(seed))
    np.testing.assert_array_equal(rows, np.floor(noise[:, 0, 0, 0] * POOL_SIZE))
