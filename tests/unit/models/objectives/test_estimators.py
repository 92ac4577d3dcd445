from __future__ import annotations

import math

import numpy as np
import objective_oracles as oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latent_batches import LATENT_BATCHES, LatentBatch
from pytest import approx
from torch import Tensor

from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.objectives.estimators import (
    capacity,
    covariance,
    covariance_of_codes,
    gaussian_log_density,
    identity_penalty,
    permuted_columns,
    total_correlation,
)

SEEDS = st.integers(0, 2**32 - 1)


# --------------------------------------------------------------------------------------------------------- covariance
def test_covariance_of_two_points_is_half_their_squared_distance_over_two() -> None:
    x_BZ = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    assert covariance(x_BZ).tolist() == [[1.0, 2.0], [2.0, 4.0]]


@given(LATENT_BATCHES)
def test_covariance_is_that_of_loops(batch: LatentBatch) -> None:
    expected = np.array(oracles.covariance(batch.means))
    np.testing.assert_allclose(covariance(torch.tensor(batch.means)), expected, rtol=1e-9, atol=1e-12)


@given(LATENT_BATCHES, st.floats(-100, 100))
def test_covariance_does_not_depend_on_the_origin(batch: LatentBatch, shift: float) -> None:
    x_BZ = torch.tensor(batch.means)
    torch.testing.assert_close(covariance(x_BZ + shift), covariance(x_BZ), rtol=1e-9, atol=1e-9)


def test_covariance_in_single_precision_survives_a_far_origin() -> None:
    x_BZ = torch.tensor(LatentBatch.drawn(0, 64, 3).means, dtype=torch.float32)
    by_definition = (1000 + x_BZ).T @ (1000 + x_BZ) / 64 - torch.outer(*[(1000 + x_BZ).mean(0)] * 2)
    torch.testing.assert_close(covariance(1000 + x_BZ), covariance(x_BZ), rtol=1e-3, atol=1e-3)
    assert (by_definition - covariance(x_BZ)).abs().max() > 1e-2


def test_covariance_of_codes_adds_the_mean_encoder_variance_to_the_diagonal_only() -> None:
    posterior = Posterior(torch.tensor([[0.0, 1.0], [2.0, 5.0]]), torch.tensor([[0.0, 2.0], [1.0, 2.0]]).log1p())
    assert covariance_of_codes(posterior).flatten().tolist() == approx([1.0 + 1.5, 2.0, 2.0, 4.0 + 3.0])


def test_covariance_of_codes_is_the_covariance_of_many_samples() -> None:
    batch = LatentBatch.drawn(1, 5, 3)
    posterior, rng = batch.posterior(), torch.Generator().manual_seed(0)
    draws = [posterior.sample(torch.randn(5, 3, generator=rng, dtype=torch.float64)) for _ in range(20_000)]
    torch.testing.assert_close(covariance(torch.cat(draws)), covariance_of_codes(posterior), rtol=0.05, atol=0.05)


# --------------------------------------------------------------------------------------------------- identity penalty
@pytest.mark.parametrize(
    ("matrix", "expected"),
    [(torch.ones(10, 10), 90.0), (torch.zeros(10, 10), 10.0), (torch.eye(10), 0.0), (2 * torch.eye(10), 10.0)],
)
def test_identity_penalty_has_the_values_of_the_references_tests(matrix: Tensor, expected: float) -> None:
    assert identity_penalty(matrix, off_diagonal=1.0, diagonal=1.0).item() == expected


def test_identity_penalty_counts_every_entry_with_its_weight() -> None:
    matrix = torch.tensor([[3.0, 2.0], [-1.0, 0.0]])
    assert identity_penalty(matrix, off_diagonal=10.0, diagonal=100.0).item() == 10 * (4 + 1) + 100 * (4 + 1)


@given(LATENT_BATCHES, st.floats(0, 50), st.floats(0, 50))
def test_identity_penalty_is_that_of_loops(batch: LatentBatch, off_diagonal: float, diagonal: float) -> None:
    matrix = oracles.covariance(batch.means)
    penalty = identity_penalty(torch.tensor(np.array(matrix)), off_diagonal=off_diagonal, diagonal=diagonal).item()
    assert penalty == approx(oracles.identity_penalty(matrix, off_diagonal=off_diagonal, diagonal=diagonal), rel=1e-9)


# ------------------------------------------------------------------------------------------------------- log densities
@pytest.mark.parametrize(("mean", "logvar", "expected"), [(0.0, 0.0, -1.4189385), (1.0, 0.0, -0.9189385)])
def test_gaussian_log_density_has_the_values_of_the_references_tests(
    mean: float, logvar: float, expected: float
) -> None:
    density = gaussian_log_density(torch.tensor(1.0), torch.tensor(mean), torch.tensor(logvar))
    assert density.item() == approx(expected, rel=1e-6)


@given(mean=st.floats(-5, 5), logvar=st.floats(-3, 3))
def test_gaussian_densities_integrate_to_one(mean: float, logvar: float) -> None:
    width = math.exp(logvar / 2)
    x = torch.linspace(mean - 10 * width, mean + 10 * width, 2001, dtype=torch.float64)
    density = gaussian_log_density(x, torch.tensor(mean), torch.tensor(logvar, dtype=torch.float64)).exp()
    assert torch.trapezoid(density, x).item() == approx(1, rel=1e-9)


# --------------------------------------------------------------------------------------------------- total correlation
def test_total_correlation_of_two_far_points_worked_out_by_hand() -> None:
    # A sample at its own mean with unit variance; the other encoding is too far to matter. Then both log q(z) and
    # sum_d log q(z_d) are -log(2 pi), where latents differ; in the third, shared latent both encodings count.
    codes_BZ = torch.tensor([[0.0, 0.0, 7.0], [100.0, 100.0, 7.0]])
    estimate = total_correlation(codes_BZ, Posterior(codes_BZ, torch.zeros(2, 3)))
    assert estimate.item() == approx(-math.log(2), rel=1e-6)


@given(LATENT_BATCHES)
def test_total_correlation_is_that_of_loops(batch: LatentBatch) -> None:
    estimate = total_correlation(torch.tensor(batch.codes), batch.posterior()).item()
    assert estimate == approx(oracles.total_correlation(batch.codes, batch.means, batch.logvars), rel=1e-9, abs=1e-9)


@given(LATENT_BATCHES)
def test_total_correlation_of_one_latent_is_zero(batch: LatentBatch) -> None:
    posterior = Posterior(torch.tensor(batch.means[:, :1]), torch.tensor(batch.logvars[:, :1]))
    assert total_correlation(torch.tensor(batch.codes[:, :1]), posterior).item() == approx(0, abs=1e-12)


def test_total_correlation_of_encodings_that_say_nothing_is_a_shift_by_the_batch_size() -> None:
    posterior = Posterior(torch.zeros(1000, 10), torch.zeros(1000, 10))
    codes_BZ = torch.randn(1000, 10, generator=torch.Generator().manual_seed(0))
    assert total_correlation(codes_BZ, posterior).item() == approx(-9 * math.log(1000), rel=1e-5)


@given(LATENT_BATCHES, SEEDS)
def test_total_correlation_does_not_depend_on_the_order_of_images(batch: LatentBatch, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(batch.means))
    shuffled = LatentBatch(batch.means[order], batch.logvars[order], batch.noise[order])
    estimates = [total_correlation(torch.tensor(b.codes), b.posterior()).item() for b in (batch, shuffled)]
    assert estimates[0] == approx(estimates[1], rel=1e-9, abs=1e-9)


def naive_total_correlation(codes_BZ: Tensor, posterior: Posterior) -> Tensor:
    density_BBZ = gaussian_log_density(codes_BZ[:, None], posterior.mean_BZ[None], posterior.logvar_BZ[None])
    joint_B = density_BBZ.sum(dim=2).exp().sum(dim=1).log()
    return (joint_B - density_BBZ.exp().sum(dim=1).log().sum(dim=1)).mean()


@pytest.mark.parametrize("logvar", [-20.0, 20.0])
def test_total_correlation_is_finite_at_extreme_variances_where_sums_of_exponentials_are_not(logvar: float) -> None:
    batch = LatentBatch.drawn(0, 16, 10, logvar=logvar)
    mean_BZ = torch.tensor(batch.means, dtype=torch.float32).requires_grad_()
    logvar_BZ = torch.tensor(batch.logvars, dtype=torch.float32).requires_grad_()
    posterior = Posterior(mean_BZ, logvar_BZ)
    codes_BZ = posterior.sample(torch.tensor(batch.noise, dtype=torch.float32))
    estimate = total_correlation(codes_BZ, posterior)
    expected = oracles.total_correlation(batch.codes, batch.means, batch.logvars)
    assert estimate.item() == approx(expected, rel=1e-3, abs=1e-2)
    assert all(g.isfinite().all() for g in torch.autograd.grad(estimate, (mean_BZ, logvar_BZ)))
    assert not naive_total_correlation(codes_BZ, posterior).isfinite()


def test_total_correlation_is_finite_for_codes_far_from_every_encoding() -> None:
    # Two equal encodings 100 standard deviations away: every sum has two equal terms, so -log 2 is left of three.
    posterior = Posterior(torch.zeros(2, 2), torch.zeros(2, 2))
    assert total_correlation(torch.full((2, 2), 100.0), posterior).item() == approx(-math.log(2), rel=1e-3)


# ------------------------------------------------------------------------------------------------------------ capacity
@pytest.mark.parametrize(("step", "expected"), [(0, 0.0), (10, 10.0), (100, 100.0), (101, 100.0)])
def test_capacity_has_the_values_of_the_references_tests(step: int, expected: float) -> None:
    assert capacity(torch.tensor(step), c_max=100.0, iteration_threshold=100).item() == expected


@given(st.floats(0, 1e3), st.integers(1, 10**6), st.lists(st.integers(0, 2 * 10**6), min_size=2))
def test_capacity_rises_from_zero_to_its_maximum(c_max: float, threshold: int, steps: list[int]) -> None:
    values = capacity(torch.tensor([0, *sorted(steps), threshold]), c_max=c_max, iteration_threshold=threshold)
    assert values[0] == 0
    assert (values[:-1].diff() >= 0).all()
    assert values[-1].item() == approx(c_max, rel=1e-6)
    assert values.max().item() <= np.float32(c_max) * (1 + 1e-7)


# -------------------------------------------------------------------------------------------------------- permutations
def test_each_column_is_permuted_by_its_own_permutation() -> None:
    codes_BZ = torch.tensor([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]])
    permuted_BZ = permuted_columns(codes_BZ, torch.tensor([[2, 0, 1], [0, 2, 1]]))
    assert permuted_BZ.tolist() == [[2.0, 10.0], [0.0, 12.0], [1.0, 11.0]]


@given(LATENT_BATCHES, SEEDS)
def test_a_permuted_column_has_the_same_values(batch: LatentBatch, seed: int) -> None:
    batch_size, num_latent = batch.means.shape
    rng = np.random.default_rng(seed)
    permutations_ZB = torch.tensor(np.stack([rng.permutation(batch_size) for _ in range(num_latent)]))
    permuted_BZ = permuted_columns(torch.tensor(batch.means), permutations_ZB)
    for d in range(num_latent):
        assert permuted_BZ[:, d].tolist() == batch.means[permutations_ZB[d].numpy(), d].tolist()
