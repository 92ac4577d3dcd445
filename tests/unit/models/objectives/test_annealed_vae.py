from __future__ import annotations

import numpy as np
import objective_oracles as oracles
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from latent_batches import LATENT_BATCHES, LatentBatch, gradients, value
from pytest import approx

from disentanglement.models.data.images import TrainingData
from disentanglement.models.objectives.annealed_vae import AnnealedVae
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec
from disentanglement.specs.objectives import AnnealedVae as AnnealedVaeSpec

STEPS = st.integers(0, 10**6)
# Two images, one latent, unit variances: divergences 0 and 2, on average 1.
ZERO_AND_TWO = LatentBatch(np.array([[0.0], [2.0]]), np.zeros((2, 1)), np.zeros((2, 1)))


def annealed(gamma: float = 10.0, c_max: float = 4.0, threshold: int = 100) -> AnnealedVae:
    return AnnealedVae(AnnealedVaeSpec(gamma=gamma, c_max=c_max, iteration_threshold=threshold))


def oracle(batch: LatentBatch, step: int, *, gamma: float, c_max: float, threshold: int) -> float:
    capacity = min(c_max, c_max * step / threshold)
    return gamma * abs(oracles.divergence(batch.means, batch.logvars) - capacity)


@pytest.mark.parametrize(("step", "expected"), [(0, 10.0), (25, 0.0), (50, 10.0), (100, 30.0), (1000, 30.0)])
def test_distance_from_the_capacity_worked_out_by_hand(step: int, expected: float) -> None:
    assert value(annealed(), ZERO_AND_TWO, step) == approx(expected, abs=1e-6)


def test_the_batch_is_averaged_before_the_distance_is_taken() -> None:
    average_of_distances = 10 * (abs(0 - 1) + abs(2 - 1)) / 2
    assert value(annealed(), ZERO_AND_TWO, 25) == 0 != average_of_distances


@given(LATENT_BATCHES, STEPS, st.floats(0, 1000), st.floats(0, 50), st.integers(1, 10**6))
def test_the_regularizer_is_that_of_loops(
    batch: LatentBatch, step: int, gamma: float, c_max: float, threshold: int
) -> None:
    expected = oracle(batch, step, gamma=gamma, c_max=c_max, threshold=threshold)
    # The capacity is a single-precision number.
    assert value(annealed(gamma, c_max, threshold), batch, step) == approx(expected, rel=1e-6, abs=1e-6 * gamma * 50)


@given(LATENT_BATCHES, STEPS)
def test_without_capacity_the_regularizer_is_gamma_times_the_divergence(batch: LatentBatch, step: int) -> None:
    expected = 7 * oracles.divergence(batch.means, batch.logvars)
    assert value(annealed(gamma=7.0, c_max=0.0), batch, step) == approx(expected, rel=1e-9, abs=1e-12)


@given(LATENT_BATCHES, STEPS)
def test_the_gradient_pushes_the_divergence_towards_the_capacity(batch: LatentBatch, step: int) -> None:
    below = oracles.divergence(batch.means, batch.logvars) - min(4.0, 4.0 * step / 100)
    assume(abs(below) > 1e-3)
    by_mean = gradients(annealed(), batch, step)[0].numpy()
    np.testing.assert_allclose(by_mean, np.sign(below) * 10 * batch.means / len(batch.means), rtol=1e-9)


def test_training_sees_the_number_of_updates_made_before(spec: TrainSpec, data: TrainingData) -> None:
    objective = {"annealed_vae": {"gamma": 10.0, "c_max": 20.0, "iteration_threshold": 4}}
    training = Training(spec.replace(objective=objective), data)
    for capacity in (0, 5, 10, 15, 20, 20):
        training.advance(1)
        reported = training.read_terms().reported
        assert reported["regularizer"] == approx(10 * abs(reported["kl_loss"] - capacity), rel=1e-5)


def test_evaluation_sees_the_number_of_updates_made_at_the_end(spec: TrainSpec, data: TrainingData) -> None:
    objective = {"annealed_vae": {"gamma": 10.0, "c_max": 2000.0, "iteration_threshold": 4}}
    training = Training(spec.replace(objective=objective), data)
    training.advance(2)
    results = training.evaluate()
    assert results["regularizer"] == approx(10 * (1000 - results["kl_loss"]), rel=1e-5)
