from __future__ import annotations

from typing import Any

import numpy as np
import objective_oracles as oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latent_batches import LATENT_BATCHES, LatentBatch, value
from pytest import approx

from disentanglement.models.data.images import TrainingData
from disentanglement.models.objectives.dip_vae import DipVae
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec
from disentanglement.specs.objectives import DipType
from disentanglement.specs.objectives import DipVae as DipVaeSpec

TYPES = st.sampled_from(["i", "ii"])
# Covariance of the means [[1, 2], [2, 4]]; mean encoder variances 2 and 3.
TWO_IMAGES = LatentBatch(
    np.array([[0.0, 1.0], [2.0, 5.0]]), np.log(np.array([[1.0, 2.0], [3.0, 4.0]])), np.zeros((2, 2))
)
KL = oracles.divergence(TWO_IMAGES.means, TWO_IMAGES.logvars)


def dip(dip_type: DipType, lambda_od: float, factor: float) -> DipVae:
    return DipVae(DipVaeSpec(lambda_od=lambda_od, lambda_d_factor=factor, dip_type=dip_type))


def oracle(batch: LatentBatch, dip_type: DipType, lambda_od: float, factor: float) -> float:
    matrix = oracles.covariance(batch.means)
    if dip_type == "ii":
        matrix = oracles.covariance_of_codes(batch.means, batch.logvars)
    penalty = oracles.identity_penalty(matrix, off_diagonal=lambda_od, diagonal=factor * lambda_od)
    return oracles.divergence(batch.means, batch.logvars) + penalty


def test_dip_vae_i_looks_at_the_means_alone() -> None:
    assert value(dip("i", 10.0, 0.5), TWO_IMAGES) == approx(KL + 10 * (2 * 2**2) + 5 * (0**2 + 3**2))


def test_dip_vae_ii_adds_the_mean_encoder_variance_to_the_diagonal_only() -> None:
    assert value(dip("ii", 10.0, 0.5), TWO_IMAGES) == approx(KL + 10 * (2 * 2**2) + 5 * (2**2 + 6**2))


@given(LATENT_BATCHES, TYPES, st.floats(0, 50), st.floats(0, 10))
def test_the_regularizer_is_that_of_loops(
    batch: LatentBatch, dip_type: DipType, lambda_od: float, factor: float
) -> None:
    expected = oracle(batch, dip_type, lambda_od, factor)
    assert value(dip(dip_type, lambda_od, factor), batch) == approx(expected, rel=1e-9, abs=1e-9)


@given(LATENT_BATCHES, TYPES, st.floats(0, 10))
def test_with_lambda_zero_the_regularizer_is_the_vaes(batch: LatentBatch, dip_type: DipType, factor: float) -> None:
    assert value(dip(dip_type, 0.0, factor), batch) == approx(oracles.divergence(batch.means, batch.logvars), abs=1e-9)


@pytest.mark.parametrize("dip_type", ["i", "ii"])
def test_training_with_lambda_zero_is_training_the_vae(dip_type: DipType, spec: TrainSpec, data: TrainingData) -> None:
    dip_spec = {"lambda_od": 0.0, "lambda_d_factor": 3.0, "dip_type": dip_type}
    objectives: list[dict[str, Any]] = [{"dip_vae": dip_spec}, {"beta_vae": {"beta": 1.0}}]
    trainings = [Training(spec.replace(objective=objective), data) for objective in objectives]
    for training in trainings:
        training.advance(3)
    torch.testing.assert_close(trainings[0].weights(), trainings[1].weights(), rtol=1e-5, atol=1e-6)


@given(LATENT_BATCHES, st.floats(0, 50))
def test_without_weight_on_the_diagonal_both_types_are_equal(batch: LatentBatch, lambda_od: float) -> None:
    assert value(dip("i", lambda_od, 0.0), batch) == approx(value(dip("ii", lambda_od, 0.0), batch), rel=1e-12)


@given(LATENT_BATCHES, TYPES)
def test_codes_that_are_shifted_are_penalised_alike(batch: LatentBatch, dip_type: DipType) -> None:
    shifted = LatentBatch(batch.means + 3, batch.logvars, batch.noise)
    penalties = [value(dip(dip_type, 5.0, 2.0), b) - oracles.divergence(b.means, b.logvars) for b in (batch, shifted)]
    assert penalties[0] == approx(penalties[1], rel=1e-9, abs=1e-9)


def penalised(matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    return KL + oracles.identity_penalty(matrix.tolist(), off_diagonal=10.0, diagonal=5.0)


COV = np.array(oracles.covariance(TWO_IMAGES.means))
VARIANCE = np.exp(TWO_IMAGES.logvars).mean(axis=0)


@pytest.mark.parametrize(
    "matrix",
    [
        COV + VARIANCE.mean(),
        COV + VARIANCE,
        COV + np.exp(TWO_IMAGES.logvars).mean(),
        COV + np.diag(np.exp(TWO_IMAGES.logvars / 2).mean(axis=0)),
        COV + np.diag(TWO_IMAGES.logvars.mean(axis=0)),
        COV + np.diag(np.exp(TWO_IMAGES.logvars.mean(axis=0))),
        2 * COV + np.diag(VARIANCE),
        COV,
    ],
    ids=[
        "a constant on the whole matrix",
        "a vector on every row",
        "the mean over latents too",
        "standard deviations",
        "log-variances",
        "the mean before the exponential",
        "divided by B - 1",
        "type i",
    ],
)
def test_well_known_mistakes_about_dip_vae_ii_have_other_values(
    matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> None:
    right = value(dip("ii", 10.0, 0.5), TWO_IMAGES)
    assert penalised(COV + np.diag(VARIANCE)) == approx(right, rel=1e-12)
    assert penalised(matrix) != approx(right, rel=1e-3)
