"""Reconstruction losses and unsupervised objectives on recorded latents, against the reference's values.

Well-known mistakes of other implementations stand beside them: each must miss a recorded value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from golden_weights import Arrays, arrays, tensor, values
from latent_batches import regularized
from pytest import approx
from torch import Tensor

from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.objectives.annealed_vae import AnnealedVae
from disentanglement.models.objectives.beta_tc_vae import BetaTcVae
from disentanglement.models.objectives.beta_vae import BetaVae
from disentanglement.models.objectives.density_ratio import judgement
from disentanglement.models.objectives.dip_vae import DipVae
from disentanglement.models.objectives.estimators import (
    capacity,
    covariance,
    covariance_of_codes,
    gaussian_log_density,
    identity_penalty,
    total_correlation,
)
from disentanglement.models.objectives.factor_vae import FactorVae
from disentanglement.models.objectives.protocol import Batch
from disentanglement.models.objectives.reconstruction import reconstruction_loss
from disentanglement.models.objectives.unsupervised import Latents, Regularizer, Unsupervised
from disentanglement.specs.networks import BernoulliLoss, L2Loss, ReconstructionSpec
from disentanglement.specs.objectives import AnnealedVae as AnnealedVaeSpec
from disentanglement.specs.objectives import BetaTcVae as BetaTcVaeSpec
from disentanglement.specs.objectives import BetaVae as BetaVaeSpec
from disentanglement.specs.objectives import DipVae as DipVaeSpec
from disentanglement.specs.objectives import FactorVae as FactorVaeSpec

BERNOULLI = reconstruction_loss(ReconstructionSpec(bernoulli_loss=BernoulliLoss()))
INPUTS = ("a", "b", "c")
PRECISION = 1e-5
"""Relative: what single precision allows."""


# ------------------------------------------------------------------------------------------------------- reconstruction
# Between tanh and the logarithm stand a cancellation and a clip at 1e-6 that float32 does not hold exactly.
TOLERANCES = {"bernoulli_tanh": 2.2e-4, "bernoulli_tanh_subtract_entropy": 2.2e-4}


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("bernoulli_logits", {"bernoulli_loss": BernoulliLoss()}),
        ("bernoulli_tanh", {"bernoulli_loss": BernoulliLoss(activation="tanh")}),
        ("bernoulli_logits_subtract_entropy", {"bernoulli_loss": BernoulliLoss(subtract_true_image_entropy=True)}),
        (
            "bernoulli_tanh_subtract_entropy",
            {"bernoulli_loss": BernoulliLoss(activation="tanh", subtract_true_image_entropy=True)},
        ),
        ("l2_logits", {"l2_loss": L2Loss()}),
        ("l2_tanh", {"l2_loss": L2Loss(activation="tanh")}),
    ],
)
def test_reconstruction_losses_are_those_of_the_reference(name: str, spec: dict[str, Any]) -> None:
    golden = arrays("losses/reconstruction")
    loss_B = reconstruction_loss(ReconstructionSpec(**spec))(
        tensor(golden["images"]), tensor(golden["reconstructions"])
    )
    expected, tolerance = values("losses/reconstruction")[name], TOLERANCES.get(name, PRECISION)
    np.testing.assert_allclose(loss_B, expected["per_sample"], rtol=tolerance, atol=1e-4)
    assert loss_B.mean().item() == approx(expected["mean"], rel=tolerance)


# -------------------------------------------------------------------------------------------------------------- latents
def posterior_of(inputs: str) -> Posterior:
    golden = arrays("losses/unsupervised")
    return Posterior(tensor(golden[f"{inputs}_z_mean"]), tensor(golden[f"{inputs}_z_logvar"]))


def codes_of(inputs: str) -> Tensor:
    return tensor(arrays("losses/unsupervised")[f"{inputs}_z"])


def latents_of(inputs: str) -> Latents:
    return Latents.of(posterior_of(inputs), codes_of(inputs))


def recorded(inputs: str, name: str) -> float:
    value: float = values("losses/unsupervised")[inputs][name]
    return value


@pytest.mark.parametrize("inputs", INPUTS)
def test_samples_and_divergences_are_those_of_the_reference(inputs: str) -> None:
    sampled = posterior_of(inputs).sample(tensor(arrays("losses/unsupervised")[f"{inputs}_eps"]))
    np.testing.assert_allclose(sampled, codes_of(inputs), rtol=PRECISION, atol=1e-6)
    assert latents_of(inputs).kl.item() == approx(recorded(inputs, "kl"), rel=PRECISION)


@pytest.mark.parametrize("inputs", INPUTS)
def test_covariances_and_log_densities_are_those_of_the_reference(inputs: str) -> None:
    golden, posterior = arrays("losses/unsupervised"), posterior_of(inputs)
    np.testing.assert_allclose(covariance(posterior.mean_BZ), golden[f"{inputs}_cov_z_mean"], rtol=PRECISION, atol=1e-5)
    density_BZ = gaussian_log_density(codes_of(inputs), posterior.mean_BZ, posterior.logvar_BZ)
    np.testing.assert_allclose(density_BZ, golden[f"{inputs}_gaussian_log_density"], rtol=PRECISION, atol=1e-5)


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize(("od", "d"), [(1, 10), (50, 0), (5, 5)])
def test_identity_penalties_are_those_of_the_reference(inputs: str, od: int, d: int) -> None:
    penalty = identity_penalty(covariance(posterior_of(inputs).mean_BZ), off_diagonal=od, diagonal=d)
    assert penalty.item() == approx(recorded(inputs, f"dip_diag_off_diag_od{od}_d{d}"), rel=PRECISION)


@pytest.mark.parametrize("inputs", INPUTS)
def test_total_correlations_are_those_of_the_reference(inputs: str) -> None:
    estimate = total_correlation(codes_of(inputs), posterior_of(inputs))
    assert estimate.item() == approx(recorded(inputs, "total_correlation"), rel=PRECISION)


@pytest.mark.parametrize(("name", "expected"), values("losses/unsupervised")["anneal"].items())
def test_capacities_are_those_of_the_reference(name: str, expected: float) -> None:
    c_max, threshold, step = map(int, re.findall(r"\d+", name))
    assert capacity(torch.tensor(step), c_max=c_max, iteration_threshold=threshold).item() == approx(expected, rel=1e-7)


# --------------------------------------------------------------------------------------------------------- regularizers
def regularizer_of(name: str) -> tuple[Regularizer, int]:
    """From a recorded name such as `annealed_vae_regularizer_gamma1000_cmax25_threshold100000_step0`; and the step."""
    model, _, parameters = name.partition("_regularizer_")
    numbers = [float(number) for number in re.findall(r"\d+", parameters)]
    match model:
        case "beta_vae":
            return BetaVae(BetaVaeSpec(beta=numbers[0])), 0
        case "beta_tc_vae":
            return BetaTcVae(BetaTcVaeSpec(beta=numbers[0])), 0
        case "annealed_vae":
            spec = AnnealedVaeSpec(gamma=numbers[0], c_max=numbers[1], iteration_threshold=int(numbers[2]))
            return AnnealedVae(spec), int(numbers[3])
        case "dip_vae_i" | "dip_vae_ii":
            dip_type = model.removeprefix("dip_vae_")
            return DipVae(
                DipVaeSpec.model_validate(
                    {"lambda_od": numbers[0], "lambda_d_factor": numbers[1], "dip_type": dip_type}
                )
            ), 0
        case _:
            raise AssertionError(model)


REGULARIZERS = sorted(name for name in values("losses/unsupervised")["a"] if "_regularizer_" in name)


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizers_are_those_of_the_reference(name: str, inputs: str) -> None:
    regularizer, step = regularizer_of(name)
    value = regularized(regularizer, latents_of(inputs), step).value.item()
    assert value == approx(recorded(inputs, name), rel=PRECISION)


def test_every_unsupervised_objective_has_recorded_regularizers() -> None:
    models = {name.partition("_regularizer_")[0] for name in REGULARIZERS}
    assert models == {"beta_vae", "annealed_vae", "beta_tc_vae", "dip_vae_i", "dip_vae_ii"}
    assert len(REGULARIZERS) == 17


@dataclass(frozen=True)
class GivenPosterior:
    """Networks whose posterior is given: the terms of an objective without its networks."""

    posterior: Posterior

    def autoencode(self, images_BHWC: Tensor, noise_BZ: Tensor) -> tuple[Posterior, Tensor, Tensor]:
        return self.posterior, self.posterior.sample(noise_BZ), torch.zeros_like(images_BHWC)


@dataclass(frozen=True)
class GivenNoise:
    noise_BZ: Tensor

    def latent(self, draw: int = 0) -> Tensor:
        return self.noise_BZ

    def permutations(self, count: int, length: int, draw: int = 0) -> Tensor:
        raise AssertionError("nothing is permuted")


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("name", ["beta_vae_regularizer_beta4", "beta_tc_vae_regularizer_beta4"])
def test_the_loss_is_the_reconstruction_and_the_regularizer(name: str, inputs: str) -> None:
    networks: Any = GivenPosterior(posterior_of(inputs))
    noise = GivenNoise(tensor(arrays("losses/unsupervised")[f"{inputs}_eps"]))
    batch = Batch(torch.zeros(len(noise.noise_BZ), 2, 2, 1))
    terms = Unsupervised(regularizer_of(name)[0], BERNOULLI).loss(networks, batch, noise, torch.tensor(0))
    expected, undecided = recorded(inputs, name), 4 * math.log(2)
    assert terms.reported["regularizer"].item() == approx(expected, rel=PRECISION)
    assert terms.reported["elbo"].item() == approx(-(undecided + recorded(inputs, "kl")), rel=PRECISION)
    assert terms.loss.item() == approx(undecided + expected, rel=PRECISION)


# ------------------------------------------------------------------------------------------------------------- mistakes
Wrong = Callable[[Latents], Tensor]


def dip_with(matrix: Callable[[Posterior], Tensor]) -> Wrong:
    """DIP-VAE with lambda_od 5 and lambda_d 5 on another matrix."""
    return lambda latents: latents.kl + identity_penalty(matrix(latents.posterior), off_diagonal=5, diagonal=5)


def beta_tc_with(correlation: Callable[[Tensor, Posterior], Tensor]) -> Wrong:
    """beta-TC-VAE with beta 4 and another estimate."""
    return lambda latents: latents.kl + 3 * correlation(latents.codes_BZ, latents.posterior)


def variance(posterior: Posterior) -> Tensor:
    return posterior.logvar_BZ.exp()


def stratified_correlation(codes_BZ: Tensor, posterior: Posterior, num_images: int = 737_280) -> Tensor:
    """With the importance weights of minibatch stratified sampling (Chen et al., 2018, appendix C.1)."""
    size = len(codes_BZ)
    others = size - 1
    weights_BB = torch.full((size, size), 1 / others)
    stratum = (num_images - others) / (num_images * others)
    weights_BB.view(-1)[:: others + 1] = 1 / num_images
    weights_BB.view(-1)[1 :: others + 1] = stratum
    weights_BB[others - 1, 0] = stratum
    density_BBZ = gaussian_log_density(codes_BZ[:, None], posterior.mean_BZ, posterior.logvar_BZ)
    joint_B = torch.logsumexp(weights_BB.log() + density_BBZ.sum(2), dim=1)
    return (joint_B - torch.logsumexp(weights_BB.log()[..., None] + density_BBZ, dim=1).sum(1)).mean()


def naive_correlation(codes_BZ: Tensor, posterior: Posterior) -> Tensor:
    """With the batch counted as an average."""
    shift = (posterior.mean_BZ.shape[1] - 1) * math.log(len(codes_BZ))
    return total_correlation(codes_BZ, posterior) + shift


MISTAKES: dict[str, tuple[str, Wrong]] = {
    "beta-VAE: the divergence summed over the batch": (
        "beta_vae_regularizer_beta4",
        lambda latents: 4 * latents.kl * len(latents.codes_BZ),
    ),
    "beta-VAE: the divergence averaged over latents": (
        "beta_vae_regularizer_beta4",
        lambda latents: 4 * latents.kl_Z.mean(),
    ),
    "annealed VAE: the absolute value of each image": (
        "annealed_vae_regularizer_gamma1000_cmax25_threshold100000_step50000",
        lambda latents: 1000 * (kl_of_images(latents.posterior) - 12.5).abs().mean(),
    ),
    "annealed VAE: squared distance": (
        "annealed_vae_regularizer_gamma1000_cmax25_threshold100000_step50000",
        lambda latents: 1000 * (latents.kl - 12.5).square(),
    ),
    "annealed VAE: the step after the update": (
        "annealed_vae_regularizer_gamma1000_cmax25_threshold100000_step1000",
        lambda latents: 1000 * (latents.kl - 25 * 1001 / 100_000).abs(),
    ),
    "DIP-VAE I: divided by B - 1": ("dip_vae_i_regularizer_od5_factor1", dip_with(lambda p: torch.cov(p.mean_BZ.T))),
    "DIP-VAE I: second moments": (
        "dip_vae_i_regularizer_od5_factor1",
        dip_with(lambda p: p.mean_BZ.T @ p.mean_BZ / len(p.mean_BZ)),
    ),
    "DIP-VAE I: lambda_d is the factor itself": (
        "dip_vae_i_regularizer_od50_factor0",
        lambda latents: (
            latents.kl + identity_penalty(covariance(latents.posterior.mean_BZ), off_diagonal=50, diagonal=1)
        ),
    ),
    "DIP-VAE II: a constant on the whole covariance": (
        "dip_vae_ii_regularizer_od5_factor1",
        dip_with(lambda p: covariance(p.mean_BZ) + variance(p).sum(1).mean()),
    ),
    "DIP-VAE II: the mean variance on the whole covariance": (
        "dip_vae_ii_regularizer_od5_factor1",
        dip_with(lambda p: covariance(p.mean_BZ) + variance(p).mean()),
    ),
    "DIP-VAE II: the variances on every row": (
        "dip_vae_ii_regularizer_od5_factor1",
        dip_with(lambda p: covariance(p.mean_BZ) + variance(p).mean(0)),
    ),
    "DIP-VAE II: the same variance for all latents": (
        "dip_vae_ii_regularizer_od5_factor1",
        dip_with(lambda p: covariance(p.mean_BZ) + torch.eye(p.mean_BZ.shape[1]) * variance(p).mean()),
    ),
    "DIP-VAE II: variances summed over the batch": (
        "dip_vae_ii_regularizer_od5_factor1",
        dip_with(lambda p: covariance(p.mean_BZ) + torch.diag(variance(p).sum(0))),
    ),
    "beta-TC-VAE: beta times the divergence": (
        "beta_tc_vae_regularizer_beta4",
        lambda latents: 4 * latents.kl + 3 * total_correlation(latents.codes_BZ, latents.posterior),
    ),
    "beta-TC-VAE: beta times the correlation": (
        "beta_tc_vae_regularizer_beta4",
        lambda latents: latents.kl + 4 * total_correlation(latents.codes_BZ, latents.posterior),
    ),
    "beta-TC-VAE: importance weights": ("beta_tc_vae_regularizer_beta4", beta_tc_with(stratified_correlation)),
    "beta-TC-VAE: averages in place of sums": ("beta_tc_vae_regularizer_beta4", beta_tc_with(naive_correlation)),
    "beta-TC-VAE: at the means": (
        "beta_tc_vae_regularizer_beta4",
        beta_tc_with(lambda _, p: total_correlation(p.mean_BZ, p)),
    ),
}


def kl_of_images(posterior: Posterior) -> Tensor:
    return 0.5 * (posterior.mean_BZ.square() + variance(posterior) - posterior.logvar_BZ - 1).sum(1)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_well_known_mistakes_miss_the_recorded_values(mistake: str) -> None:
    name, wrong = MISTAKES[mistake]
    distances = [abs(wrong(latents_of(i)).item() / recorded(i, name) - 1) for i in INPUTS]
    assert max(distances) > 5 * PRECISION


def test_the_values_of_dip_vae_ii_with_the_right_matrix_are_met() -> None:
    """So that the mistakes above differ by what they say and not by their frame."""
    for inputs in INPUTS:
        for dip_type, matrix in (("i", lambda p: covariance(p.mean_BZ)), ("ii", covariance_of_codes)):
            expected = recorded(inputs, f"dip_vae_{dip_type}_regularizer_od5_factor1")
            assert dip_with(matrix)(latents_of(inputs)).item() == approx(expected, rel=PRECISION)


# ------------------------------------------------------------------------------------------------------------ FactorVAE
@dataclass(frozen=True)
class GivenNetworks:
    """Networks whose outputs and discriminator's logits are given."""

    golden: Arrays
    case: str

    def autoencode(self, images_BHWC: Tensor, noise_BZ: Tensor) -> tuple[Posterior, Tensor, Tensor]:
        posterior = Posterior(tensor(self.golden["z_mean"]), tensor(self.golden["z_logvar"]))
        # The codes stand for the rows that they are: logits are looked up by them.
        return posterior, torch.arange(16.0)[:, None], tensor(self.golden[f"{self.case}_reconstruction_logits"])

    def run(self, layers: Any, x: Tensor) -> Tensor:
        return tensor(self.golden[f"{self.case}_logits_z" + ("" if (x.diff(dim=0) > 0).all() else "_shuffled")])


@dataclass(frozen=True)
class Reversed:
    def latent(self, draw: int = 0) -> Tensor:
        return torch.zeros(16, 10)

    def permutations(self, count: int, length: int, draw: int = 0) -> Tensor:
        return torch.arange(length).flip(0).expand(count, length)


@pytest.mark.parametrize("gamma", [10, 50])
@pytest.mark.parametrize("case", ["a", "b"])
def test_factor_vae_has_the_losses_of_the_reference(case: str, gamma: int) -> None:
    golden, expected = arrays("losses/factor_vae"), values("losses/factor_vae")[f"{case}_gamma{gamma}"]
    objective = Unsupervised(FactorVae(FactorVaeSpec(gamma=gamma), 1), BERNOULLI)
    networks: Any = GivenNetworks(golden, case)
    with torch.no_grad():
        terms = objective.loss(networks, Batch(tensor(golden[f"{case}_images"])), Reversed(), torch.tensor(0))
    reported = {name: value.item() for name, value in terms.reported.items()}
    assert terms.loss.item() == approx(expected["loss"], rel=PRECISION)
    assert reported["reconstruction_loss"] + reported["kl_loss"] == approx(expected["vae_loss"], rel=PRECISION)
    assert reported["regularizer"] == approx(expected["kl"] + gamma * expected["tc_loss"], rel=PRECISION)
    assert [loss.item() for loss in terms.player_losses] == [
        approx(-expected["discriminator_objective"], rel=PRECISION)
    ]
    assert "elbo" not in reported


def test_unclipped_probabilities_miss_the_recorded_objective() -> None:
    golden, expected = arrays("losses/factor_vae"), values("losses/factor_vae")["b_gamma10"]["discriminator_objective"]
    joint, permuted = tensor(golden["b_logits_z"]), tensor(golden["b_logits_z_shuffled"])
    unclipped = 0.5 * (joint.log_softmax(1)[:, 0].mean() + permuted.log_softmax(1)[:, 1].mean())
    assert judgement(joint, permuted).loss.item() == approx(-expected, rel=PRECISION)
    assert unclipped.item() != approx(expected, rel=1e-2)


def test_other_readings_of_the_logits_miss_the_recorded_correlation() -> None:
    golden, expected = arrays("losses/factor_vae"), values("losses/factor_vae")["a_gamma10"]["tc_loss"]
    logits, permuted = tensor(golden["a_logits_z"]), tensor(golden["a_logits_z_shuffled"])
    assert judgement(logits, permuted).total_correlation.item() == approx(expected, rel=PRECISION)
    for wrong in (logits[:, 1] - logits[:, 0], logits[:, 0], permuted[:, 0] - permuted[:, 1]):
        assert wrong.mean().item() != approx(expected, rel=1e-2)
