"""Draws of factors, rows and observations against those recorded from the reference (`datasets/README.md`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import RandomState
from pytest import approx

from disentanglement.datasets.card import Origin
from disentanglement.datasets.catalog import DATA_SETS, make_card, open_data_set
from disentanglement.datasets.dummy_data import POOL_SIZE, generate_pool
from disentanglement.datasets.ground_truth import GridData
from disentanglement.datasets.images import StoredImages

GOLDEN = json.loads((Path(__file__).parent / "datasets" / "sampling.json").read_text())
NUM = GOLDEN["num"]
IN_FLOAT32 = ("mpi3d_toy", "mpi3d_realistic", "mpi3d_real")
"""The reference divides these in float64; here they are the float32 of that, which is what models see there too."""
BUILT = [name for name in GOLDEN["datasets"] if name in DATA_SETS]
CASES = [(name, int(seed)) for name in BUILT for seed in GOLDEN["datasets"][name]["seeds"]]
GRIDS = [(name, seed) for name, seed in CASES if name != "dummy_data"]
DUMMY = [seed for name, seed in CASES if name == "dummy_data"]


def recorded(name: str, seed: int) -> dict[str, Any]:
    values: dict[str, Any] = GOLDEN["datasets"][name]["seeds"][str(seed)]
    return values


def square_corner(row: int) -> tuple[int, int]:
    """Top and left of the 8 x 8 square in the synthetic image."""
    return row % 56, row // 56 % 56


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GridData]:
    """All data sets; of the synthetic images only the recorded rows are drawn, all others stay black."""
    folder = tmp_path_factory.mktemp("golden_images")
    return {name: drawn(name, folder / f"{name}.npy") for name in BUILT}


def drawn(name: str, path: Path) -> GridData:
    entry = DATA_SETS[name]
    stored = StoredImages.allocate(path, entry.encoding, entry.num_images, entry.shape)
    if name == "dummy_data":
        stored[:] = generate_pool()
    else:
        for row in (row for at, seed in CASES if at == name for row in recorded(name, seed)["atom_index"]):
            image, (top, left) = np.zeros(entry.shape, np.uint8), square_corner(row)
            image[top : top + 8, left : left + 8] = 1 if entry.encoding == "packed_bits" else 255
            stored[row] = np.packbits(image[..., 0], axis=-1) if entry.encoding == "packed_bits" else image
    return opened(name, path, entry.encoding)


def opened(name: str, path: Path, encoding: Any) -> GridData:
    images = StoredImages.open(path, encoding)
    card = make_card(name, images, origin=Origin.GENERATED, sha256="0" * 64, size=path.stat().st_size, note="")
    return open_data_set(card, path)


@pytest.mark.parametrize("name", BUILT)
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
    assert str(observations.dtype) == ("float32" if name in IN_FLOAT32 else expected["obs_dtype"])
    assert observations.mean(dtype=np.float64) == approx(expected["obs_mean"], rel=1e-12)
    np.testing.assert_array_equal(observations[:, 3, 5, 0], expected["obs_probe"])
    assert rs.randint(2**32) == expected["next_draw"]


@pytest.mark.parametrize(("name", "seed"), GRIDS)
def test_the_images_are_those_that_the_reference_shows(name: str, seed: int, data: dict[str, GridData]) -> None:
    expected = recorded(name, seed)
    _, observations = data[name].sample(NUM, RandomState(seed))
    corners = [square_corner(row) for row in expected["atom_index"]]
    inside = [observations[n, top + 1, left + 1, -1] for n, (top, left) in enumerate(corners)]
    np.testing.assert_array_equal(
        inside, np.float32(expected["obs_probe2"]) if name in IN_FLOAT32 else expected["obs_probe2"]
    )


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name, seed in GRIDS if name != "abstract_dsprites"])
def test_rows_are_those_of_the_reference_and_leave_the_generator_where_it_does(
    name: str, seed: int, data: dict[str, GridData]
) -> None:
    rs, expected = RandomState(seed), recorded(name, seed)
    rows = data[name].rows(data[name].sample_factors(NUM, rs), rs)
    np.testing.assert_array_equal(rows, expected["atom_index"])
    assert rs.randint(2**32) == expected["next_draw"]


@pytest.mark.parametrize("seed", [seed for name, seed in GRIDS if name == "abstract_dsprites"])
def test_points_of_abstract_dsprites_are_the_factors_and_the_generator_is_in_step(
    seed: int, data: dict[str, GridData]
) -> None:
    rs, abstract = RandomState(seed), data["abstract_dsprites"]
    factors = abstract.sample_factors(NUM, rs)
    points = abstract.rows(factors, rs)
    np.testing.assert_array_equal(np.stack(np.unravel_index(points, abstract.factor_sizes), axis=1), factors)
    assert rs.randint(2**32) == recorded("abstract_dsprites", seed)["next_draw"]


@pytest.mark.parametrize("seed", DUMMY)
def test_rows_of_dummy_data_keep_the_generator_in_step(seed: int, data: dict[str, GridData]) -> None:
    rs, dummy = RandomState(seed), data["dummy_data"]
    rows = dummy.rows(dummy.sample_factors(NUM, rs), rs)
    assert rs.randint(2**32) == recorded("dummy_data", seed)["next_draw"]
    _, noise = dummy.sample(NUM, RandomState(seed))
    np.testing.assert_array_equal(rows, np.floor(noise[:, 0, 0, 0] * POOL_SIZE))
