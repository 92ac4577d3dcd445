from __future__ import annotations

import math
from typing import Any

import numpy as np
import objective_oracles as oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latent_batches import LATENT_BATCHES, LatentBatch, gradients, regularized, value
from pytest import approx

from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.objectives.beta_tc_vae import BetaTcVae
from disentanglement.models.objectives.beta_vae import BetaVae
from disentanglement.models.objectives.unsupervised import Latents
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec
from disentanglement.specs.objectives import BetaTcVae as BetaTcVaeSpec
from disentanglement.specs.objectives import BetaVae as BetaVaeSpec

VAE = BetaVae(BetaVaeSpec(beta=1.0))
BATCH = LatentBatch.drawn(0, 6, 3)
KL = oracles.divergence(BATCH.means, BATCH.logvars)
TC = oracles.total_correlation(BATCH.codes, BATCH.means, BATCH.logvars)


def beta_tc(beta: float) -> BetaTcVae:
    return BetaTcVae(BetaTcVaeSpec(beta=beta))


def test_two_far_images_worked_out_by_hand() -> None:
    # As in the test of the estimate: total correlation -log 2, divergence 2 * 100^2 / 2 / 2 + 7^2 / 2.
    mean_BZ = torch.tensor([[0.0, 0.0, 7.0], [100.0, 100.0, 7.0]])
    latents = Latents.of(Posterior(mean_BZ, torch.zeros(2, 3)), mean_BZ)
    assert regularized(beta_tc(1001.0), latents).value.item() == approx(5024.5 - 1000 * math.log(2), rel=1e-6)


@given(LATENT_BATCHES, st.floats(0, 50))
def test_the_regularizer_is_that_of_loops(batch: LatentBatch, beta: float) -> None:
    total_correlation = oracles.total_correlation(batch.codes, batch.means, batch.logvars)
    expected = oracles.divergence(batch.means, batch.logvars) + (beta - 1) * total_correlation
    assert value(beta_tc(beta), batch) == approx(expected, rel=1e-9, abs=1e-9)


@given(LATENT_BATCHES)
def test_with_beta_one_it_is_the_vae_in_value_and_gradient(batch: LatentBatch) -> None:
    assert value(beta_tc(1.0), batch) == approx(value(VAE, batch), rel=1e-12)
    torch.testing.assert_close(gradients(beta_tc(1.0), batch), gradients(VAE, batch))


def test_training_with_beta_one_is_training_the_vae(spec: TrainSpec, data: TrainingData) -> None:
    objectives: list[dict[str, Any]] = [{"beta_tc_vae": {"beta": 1.0}}, {"beta_vae": {"beta": 1.0}}]
    trainings = [Training(spec.replace(objective=objective), data) for objective in objectives]
    for training in trainings:
        training.advance(3)
    torch.testing.assert_close(trainings[0].weights(), trainings[1].weights(), rtol=1e-5, atol=1e-6)


@given(LATENT_BATCHES)
def test_it_is_affine_in_beta(batch: LatentBatch) -> None:
    at = [value(beta_tc(beta), batch) for beta in (0.0, 1.0, 2.0)]
    assert at[0] + at[2] == approx(2 * at[1], rel=1e-9, abs=1e-9)


def test_latents_that_move_together_cost_more() -> None:
    # Means on a diagonal line, or the same marginals shuffled apart: the divergence is the same, the regularizer less.
    rng, line = np.random.default_rng(0), np.linspace(-2, 2, 64)
    noise, logvars = rng.standard_normal((64, 2)), np.full((64, 2), -3.0)
    together = LatentBatch(np.stack([line, line], axis=1), logvars, noise)
    apart = LatentBatch(np.stack([line, rng.permutation(line)], axis=1), logvars, noise)
    assert value(VAE, together) == approx(value(VAE, apart))
    assert value(beta_tc(6.0), together) > value(beta_tc(6.0), apart) + 1


def weighted(num_images: int) -> float:
    """With the weights of minibatch weighted sampling: log q(z) loses log(N B) once, the marginals once per latent."""
    shift = math.log(num_images * len(BATCH.means))
    return KL + 3 * (TC - shift + 3 * shift)


MISTAKES = {
    "beta times the divergence": 4 * KL + 3 * TC,
    "beta times the correlation": KL + 4 * TC,
    "minibatch weighted sampling": weighted(737_280),
    "averages over the batch in place of sums": KL + 3 * (TC + 2 * math.log(6)),
    "a sum over the batch": KL + 3 * 6 * TC,
    "summed divergence": 6 * KL + 3 * TC,
    "codes and encodings swapped": KL + 3 * oracles.total_correlation(BATCH.means, BATCH.codes, BATCH.logvars),
    "at the means": KL + 3 * oracles.total_correlation(BATCH.means, BATCH.means, BATCH.logvars),
    "logarithms of standard deviations": KL
    + 3 * oracles.total_correlation(BATCH.codes, BATCH.means, BATCH.logvars / 2),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_well_known_mistakes_have_other_values(mistake: str) -> None:
    right = value(beta_tc(4.0), BATCH)
    assert right == approx(KL + 3 * TC, rel=1e-9)
    assert MISTAKES[mistake] != approx(right, rel=1e-3)
