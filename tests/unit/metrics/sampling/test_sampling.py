from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from dsprites_like import small_data
from hypothesis import given
from hypothesis.strategies import integers
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import SpecError
from disentanglement.metrics.arrays import Codes, Factors
from disentanglement.metrics.sampling import points as sampling
from disentanglement.metrics.sampling.batches import draw_batches
from disentanglement.metrics.sampling.points import (
    FactorGrid,
    GridRepresentation,
    generate_batch_factor_code,
    variance_of_codes,
    variances_at_fixed_factors,
)

GRID = FactorGrid((2, 3, 4))
CODES = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
MEAN = GridRepresentation(GRID, CODES)


@dataclass(frozen=True)
class NoisyData:
    """A data set whose observations draw one number each, which picks one of two stored points."""

    factor_sizes: tuple[int, ...] = (2, 3)
    drawn: list[int] = field(default_factory=list)

    def sample_factors(self, num: int, rs: RandomState) -> Factors:
        return np.stack([rs.randint(size, size=num) for size in self.factor_sizes], axis=1)

    def rows(self, factors_NK: Factors, rs: RandomState) -> NDArray[np.int64]:
        draws = rs.randint(2, size=len(factors_NK))
        self.drawn.extend(draws.tolist())
        return np.asarray(2 * (3 * factors_NK[:, 0] + factors_NK[:, 1]) + draws)


def test_the_grid_is_row_major_and_the_last_factor_changes_fastest() -> None:
    factors = GRID.all_factors()
    assert factors[:6].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 1, 0], [0, 1, 1]]
    assert GRID.rows(factors, RandomState(0)).tolist() == list(range(24))


def test_factors_are_drawn_one_after_the_other() -> None:
    rs = RandomState(3)
    expected = np.stack([rs.randint(2, size=7), rs.randint(3, size=7), rs.randint(4, size=7)], axis=1)
    assert (GRID.sample_factors(7, RandomState(3)) == expected).all()


def test_points_are_drawn_batch_by_batch_and_the_last_batch_is_smaller() -> None:
    rs = RandomState(5)
    expected = np.concatenate([GRID.sample_factors(num, rs) for num in (4, 4, 2)])
    rng = RandomState(5)
    codes, factors = generate_batch_factor_code(MEAN, 10, rng, 4)
    assert (factors == expected).all()
    assert (codes == CODES[GRID.rows(expected, rs)]).all()
    assert rng.randint(2**31) == rs.randint(2**31)  # nothing more was drawn


def test_another_batch_size_gives_other_points() -> None:
    samples = [generate_batch_factor_code(MEAN, 10, RandomState(5), size)[1] for size in (4, 10)]
    assert (samples[0] != samples[1]).any()


def test_observations_draw_between_the_factors_of_one_batch_and_the_next() -> None:
    data = NoisyData()
    rs = RandomState(1)
    expected = []
    for _ in range(3):
        data.sample_factors(2, rs)
        expected += rs.randint(2, size=2).tolist()
    generate_batch_factor_code(GridRepresentation(data, np.zeros((12, 2))), 6, RandomState(1), 2)
    assert data.drawn == expected


def test_codes_keep_their_dtype_and_factors_are_int64() -> None:
    codes, factors = generate_batch_factor_code(MEAN, 10, RandomState(0), 4)
    assert (codes.dtype.name, factors.dtype.name) == ("float32", "int64")


def test_codes_of_a_memory_map_are_ordinary_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "mean.npy", CODES)
    mapped = np.load(tmp_path / "mean.npy", mmap_mode="r")
    codes = GridRepresentation(GRID, mapped).codes_of(np.array([3, 3, 1]))
    assert type(codes) is np.ndarray
    assert (codes == CODES[[3, 3, 1]]).all()


def sampled(logvar: Codes, seed: int = 0) -> GridRepresentation:
    return GridRepresentation(GRID, CODES, logvar, np.random.default_rng(seed))


def test_a_sampled_code_is_the_mean_plus_noise_in_units_of_the_standard_deviation() -> None:
    rows = np.array([3, 3, 1])
    noise = np.random.default_rng(0).standard_normal((3, 5), dtype=np.float32)
    logvar = np.full_like(CODES, 2 * np.log(3.0))
    codes = sampled(logvar).codes_of(rows)
    assert codes == pytest.approx(CODES[rows] + 3 * noise, rel=1e-6)
    assert codes.dtype == np.float32


def test_a_sampled_code_is_drawn_anew_for_each_point_and_repeats_with_the_noise_seed() -> None:
    rows = np.array([3, 3])
    first, again = (sampled(np.zeros_like(CODES)).codes_of(rows) for _ in range(2))
    assert (first == again).all()
    assert (first[0] != first[1]).all()


def test_noise_without_log_variance_or_of_another_shape_is_a_spec_error() -> None:
    with pytest.raises(SpecError, match="log-variance and noise together"):
        GridRepresentation(GRID, CODES, CODES)
    with pytest.raises(SpecError, match=r"logvar\.shape"):
        sampled(CODES[:, :2])


def test_global_variance_divides_by_one_less_than_the_number_of_points() -> None:
    codes, _ = generate_batch_factor_code(MEAN, 30, RandomState(2), 30)
    expected = ((codes - codes.mean(axis=0)) ** 2).sum(axis=0) / 29
    assert variance_of_codes(MEAN, 30, RandomState(2)) == pytest.approx(expected, rel=1e-5)


def test_each_vote_draws_its_factor_then_its_batch_and_fixes_the_first_points_value() -> None:
    rs = RandomState(7)
    expected_factors, expected_variances = [], []
    for _ in range(6):
        factor = rs.randint(3)
        batch = GRID.sample_factors(5, rs)
        batch[:, factor] = batch[0, factor]
        expected_factors.append(factor)
        expected_variances.append(CODES[GRID.rows(batch, rs)].var(axis=0, ddof=1))
    batches = variances_at_fixed_factors(MEAN, 6, RandomState(7), 5)
    assert batches.factor_M.tolist() == expected_factors
    assert (batches.variance_MD == np.array(expected_variances)).all()


@given(per_gather=integers(1, 40))
def test_how_many_points_are_looked_up_at_once_changes_nothing(per_gather: int) -> None:
    whole = variances_at_fixed_factors(sampled(np.zeros_like(CODES)), 8, RandomState(7), 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "POINTS_PER_GATHER", per_gather)
        pieces = variances_at_fixed_factors(sampled(np.zeros_like(CODES)), 8, RandomState(7), 5)
    assert (pieces.factor_M == whole.factor_M).all()
    assert (pieces.variance_MD == whole.variance_MD).all()


@pytest.mark.parametrize("name", ["color_dsprites", "noisy_dsprites", "abstract_dsprites"])
def test_batches_of_data_that_are_drawn_follow_the_reference_pixels_included(name: str) -> None:
    """Batch by batch: the fixed factor, all factors, then what the reference draws to render them."""
    data, rs, hand = small_data(name), RandomState(3), RandomState(3)
    batches = draw_batches(data, 4, 5, rs, keep_one_fixed=True)
    for batch, fixed in enumerate(batches.fixed_M):
        assert fixed == hand.randint(len(data.factor_sizes))
        factors_BK = data.sample_factors(5, hand)
        factors_BK[:, fixed] = factors_BK[0, fixed]
        data.sample_observations_from_factors(factors_BK, hand)
        np.testing.assert_array_equal(batches.factors_NK[5 * batch : 5 * batch + 5], factors_BK)
    assert rs.randint(2**32) == hand.randint(2**32)
