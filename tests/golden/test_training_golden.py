"""Five steps of every unsupervised model through the training loop, from the reference's weights, batch and noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from golden_weights import arrays, our_name, reference_weights, tensor, values
from pytest import approx
from torch import Tensor

from disentanglement.models.data.images import TrainingData
from disentanglement.models.objectives.estimators import covariance, identity_penalty, total_correlation
from disentanglement.models.objectives.protocol import Batch, Terms
from disentanglement.models.objectives.unsupervised import Latents
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec

OBJECTIVES: dict[str, dict[str, Any]] = {
    "beta_vae": {"beta_vae": {"beta": 4.0}},
    "annealed_vae": {"annealed_vae": {"gamma": 1000.0, "c_max": 25.0, "iteration_threshold": 100_000}},
    "factor_vae": {"factor_vae": {"gamma": 10.0}},
    "dip_vae_i": {"dip_vae": {"lambda_od": 5.0, "lambda_d_factor": 10.0, "dip_type": "i"}},
    "dip_vae_ii": {"dip_vae": {"lambda_od": 5.0, "lambda_d_factor": 1.0, "dip_type": "ii"}},
    "beta_tc_vae": {"beta_tc_vae": {"beta": 6.0}},
}
TRACES = [name for name in values("models/training_steps") if name != "_meta"]


@dataclass(frozen=True)
class Tolerance:
    """What the recording itself is known to; see "Conditioning of the training traces" in its README."""

    loss: float = 1e-6
    kl: float = 1e-5
    encoding: float = 1e-5


TOLERANCES = {
    "beta_vae_c3": Tolerance(kl=1.2e-5),
    "dip_vae_ii_c1": Tolerance(kl=3e-5, encoding=7.5e-5),
    "factor_vae_c3": Tolerance(kl=5e-4, encoding=1.5e-4),
}


@dataclass(frozen=True)
class Recorded:
    """The recorded noise and permutations."""

    eps: Tensor
    given_permutations: Tensor

    def latent(self, draw: int = 0) -> Tensor:
        return self.eps

    def permutations(self, count: int, length: int, draw: int = 0) -> Tensor:
        assert (count, length) == (10, 8)
        return self.given_permutations


@dataclass(frozen=True)
class Always:
    """The same at every iteration."""

    value: Any

    def at(self, iteration: int) -> Any:
        return self.value


class Trace:
    """A training in the recorded state before its first step."""

    def __init__(self, name: str) -> None:
        model, _, channels = name.rpartition("_c")
        self.recorded = values("models/training_steps")[name]
        golden = arrays("models/training_steps")
        spec = TrainSpec.model_validate(
            {"dataset": "dsprites_full", "objective": OBJECTIVES[model], "batch_size": 8, "training_steps": 10}
        )
        self.training = Training(spec, TrainingData(np.zeros((1, 64, 64, int(channels)), dtype=np.uint8)))
        weights = {f"weights.{n}": w for n, w in reference_weights(self.recorded["variables"]).items()}
        self.training.restore(self.training.state() | weights)
        self.batch = Batch(tensor(golden[f"images_c{channels}"]))
        self.noise = Recorded(tensor(golden["eps"]), torch.from_numpy(golden["permutations"]))
        self.training._batches = Always(self.batch)
        always: Any = Always(self.noise)
        self.training._streams = always

    def terms(self) -> Terms:
        """At the present weights."""
        step = torch.tensor(self.training.step)
        return self.training.objective.loss(self.training.networks, self.batch, self.noise, step)

    def gradient_norms(self, loss: Tensor) -> dict[str, float]:
        """By each variable of encoder and decoder."""
        weights = {name: self.training.networks.weights[name] for name in self.training.weights()}
        gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        return {name: g.norm().item() for name, g in zip(weights, gradients, strict=True)}

    def recorded_norms(self) -> dict[str, float]:
        return {our_name(name): norm for name, norm in self.recorded["gradient_norms"].items()}

    def encoding(self) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            posterior = self.training.networks.encode(self.batch.images_BHWC)
        return posterior.mean_BZ, posterior.logvar_BZ


def test_every_objective_is_traced() -> None:
    assert {name.rpartition("_c")[0] for name in TRACES} == set(OBJECTIVES)


@pytest.mark.parametrize("name", TRACES)
def test_gradient_norms_at_the_first_step_are_those_of_the_reference(name: str) -> None:
    trace = Trace(name)
    assert trace.gradient_norms(trace.terms().loss) == approx(trace.recorded_norms(), rel=1e-5)


@pytest.mark.parametrize("name", TRACES)
def test_the_first_update_moves_by_gradients_with_the_norms_of_the_reference(name: str) -> None:
    trace = Trace(name)
    trace.training.advance(1)
    first = {n.removeprefix("optimizer.first."): m for n, m in trace.training.state().items() if ".first." in n}
    norms = {n: m.norm().item() / 0.1 for n, m in first.items() if not n.startswith("discriminator.")}
    assert norms == approx(trace.recorded_norms(), rel=1e-5)


@pytest.mark.parametrize("name", TRACES)
def test_five_steps_of_training_follow_the_reference(name: str) -> None:
    trace, golden, tolerance = Trace(name), arrays("models/training_steps"), TOLERANCES.get(name, Tolerance())
    check_encoding(trace, (golden[f"{name}_mean_before"], golden[f"{name}_logvar_before"]), 1e-5)
    for iteration, expected in enumerate(trace.recorded["history"]):
        terms = trace.terms()
        check_terms(terms, expected, tolerance)
        if iteration < 5:
            trace.training.advance(1)
            reported = trace.training.read_terms()
            assert reported.loss == approx(terms.loss.item(), rel=1e-12)
    assert trace.training.step == trace.recorded["global_step_after_5_train_ops"]
    check_encoding(trace, (golden[f"{name}_mean_after5"], golden[f"{name}_logvar_after5"]), tolerance.encoding)


def check_terms(terms: Terms, expected: dict[str, float], tolerance: Tolerance) -> None:
    reported = {name: value.item() for name, value in terms.reported.items()}
    negative_elbo = expected["vae_loss"] if "vae_loss" in expected else expected["elbo_loss"]
    assert terms.loss.item() == approx(expected["loss"], rel=tolerance.loss)
    assert reported["reconstruction_loss"] + reported["kl_loss"] == approx(negative_elbo, rel=tolerance.loss)
    assert reported["kl_loss"] == approx(expected["kl"], rel=tolerance.kl)
    objectives = [-loss.item() for loss in terms.player_losses]
    assert objectives == [approx(expected[name], rel=1e-5) for name in ("discriminator_objective",) if name in expected]


def check_encoding(trace: Trace, expected: tuple[Any, Any], tolerance: float) -> None:
    for given, wanted in zip(trace.encoding(), expected, strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=tolerance)


# ------------------------------------------------------------------------------------------------------------- mistakes
def latents_of(trace: Trace) -> tuple[Latents, Tensor]:
    posterior, codes_BZ, outputs = trace.training.networks.autoencode(trace.batch.images_BHWC, trace.noise.eps)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    reconstruction = cross_entropy(outputs, trace.batch.images_BHWC, reduction="sum") / 8
    return Latents.of(posterior, codes_BZ), reconstruction


def dip_ii_on_the_whole_covariance(trace: Trace) -> Tensor:
    latents, reconstruction = latents_of(trace)
    matrix = covariance(latents.posterior.mean_BZ) + latents.posterior.logvar_BZ.exp().mean()
    return reconstruction + latents.kl + identity_penalty(matrix, off_diagonal=5, diagonal=5)


def beta_tc_with_beta_times_the_divergence(trace: Trace) -> Tensor:
    latents, reconstruction = latents_of(trace)
    return reconstruction + 6 * latents.kl + 5 * total_correlation(latents.codes_BZ, latents.posterior)


def a_leaking_discriminator(trace: Trace) -> Tensor:
    """The losses as they are written, so that the second reaches the encoder too."""
    latents, reconstruction = latents_of(trace)
    codes_BZ, rows_ZB = latents.codes_BZ, trace.noise.given_permutations
    permuted_BZ = torch.stack([codes_BZ[rows_ZB[d], d] for d in range(10)], dim=1)
    layers = trace.training.objective.regularizer.layers  # type: ignore[attr-defined]
    logits, permuted = (trace.training.networks.run(layers, x) for x in (codes_BZ, permuted_BZ))
    correlation = (logits[:, 0] - logits[:, 1]).mean()
    loss = -0.5 * (logits.log_softmax(1)[:, 0] + permuted.log_softmax(1)[:, 1]).mean()
    return reconstruction + latents.kl + 10 * correlation + loss


def an_averaged_reconstruction(trace: Trace) -> Tensor:
    latents, reconstruction = latents_of(trace)
    return reconstruction / 4096 + 4 * latents.kl


def a_summed_divergence(trace: Trace) -> Tensor:
    latents, reconstruction = latents_of(trace)
    return reconstruction + 4 * latents.kl * 8


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("dip_vae_ii_c1", dip_ii_on_the_whole_covariance),
        ("beta_tc_vae_c1", beta_tc_with_beta_times_the_divergence),
        ("factor_vae_c1", a_leaking_discriminator),
        ("factor_vae_c3", a_leaking_discriminator),
        ("beta_vae_c1", an_averaged_reconstruction),
        ("beta_vae_c1", a_summed_divergence),
    ],
)
def test_well_known_mistakes_miss_the_recorded_gradient_norms(name: str, loss: Callable[[Trace], Tensor]) -> None:
    trace = Trace(name)
    norms, recorded = trace.gradient_norms(loss(trace)), trace.recorded_norms()
    assert max(abs(norms[n] / recorded[n] - 1) for n in norms) > 1e-4


@pytest.mark.parametrize("vae_first", [True, False])
def test_updates_one_after_the_other_miss_the_recorded_trace(vae_first: bool) -> None:
    name = "factor_vae_c1"
    trace, golden = Trace(name), arrays("models/training_steps")
    training = trace.training
    for iteration in range(5):
        for player in (0, 1) if vae_first else (1, 0):
            optimizer, terms = training.optimizers[player], trace.terms()
            loss = (terms.loss, *terms.player_losses)[player]
            optimizer.update(torch.autograd.grad(loss, optimizer.weights), iteration, 2 * iteration)
    wanted = (golden[f"{name}_mean_after5"], golden[f"{name}_logvar_after5"])
    distances = [np.abs(given.numpy() - after5).max() for given, after5 in zip(trace.encoding(), wanted, strict=True)]
    assert min(distances) > 1e-3  # met to 1e-5 by simultaneous updates
