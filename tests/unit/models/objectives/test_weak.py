"""Group-VAE and ML-VAE: averages, what is shared, and the whole loss against a float64 oracle made of loops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.objectives.protocol import Batch, Pair, Terms
from disentanglement.models.objectives.weak import (
    WeaklySupervised,
    average_of_group_vae,
    average_of_mlvae,
    changed_by_label,
    changed_by_threshold,
    divergence,
    keep_own,
)
from disentanglement.specs.objectives import Aggregation
from disentanglement.specs.objectives import GroupVae as GroupVaeSpec
from disentanglement.specs.objectives import Mlvae as MlvaeSpec

SPECS: dict[str, type[GroupVaeSpec] | type[MlvaeSpec]] = {"group_vae": GroupVaeSpec, "mlvae": MlvaeSpec}
AVERAGES = {"group_vae": average_of_group_vae, "mlvae": average_of_mlvae}
VARIANTS = [(family, aggregation) for family in SPECS for aggregation in ("labels", "argmax")]
families = pytest.mark.parametrize("family", list(SPECS))
variants = pytest.mark.parametrize(("family", "aggregation"), VARIANTS)


def doubles(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def gaussian(mean: float, variance: float) -> Posterior:
    return Posterior(doubles([mean]), doubles([math.log(variance)]))


def squared_error(images: Tensor, outputs: Tensor) -> Tensor:
    return (images - outputs).square().flatten(1).sum(dim=1)


@dataclass
class PixelNetworks:
    """Networks of images [B, 1, 1, 2 Z]: pixels are the encoding, and a code is decoded to itself and its square."""

    def encode(self, images: Tensor) -> Posterior:
        mean, logvar = images.flatten(1).chunk(2, dim=1)
        return Posterior(mean, logvar)

    def decode(self, codes: Tensor) -> Tensor:
        return torch.cat([codes, codes.square()], dim=1)[:, None, None, :]


@dataclass
class GivenNoise:
    draws: list[Tensor]

    def latent(self, draw: int = 0) -> Tensor:
        return self.draws[draw]


@dataclass
class Case:
    """Pairs with encodings, labels and noise; the loss of an objective on them."""

    parameters: Tensor  # [2, B, 2 Z]: means and log-variances of the first and of the second images
    changed: list[int]
    noise: list[Tensor]
    beta: float = 3.0

    @classmethod
    def random(cls, seed: int, *, pairs: int = 3, latents: int = 4) -> Case:
        rng = np.random.default_rng(seed)
        changed = rng.integers(-1, latents + 2, size=pairs).tolist()
        noise = [torch.from_numpy(rng.standard_normal((pairs, latents))) for _ in range(2)]
        return cls(torch.from_numpy(rng.standard_normal((2, pairs, 2 * latents))), changed, noise)

    def terms(self, family: str, aggregation: Aggregation) -> Terms:
        objective = WeaklySupervised(SPECS[family](beta=self.beta, aggregation=aggregation), squared_error)
        first, second = self.parameters[:, :, None, None, :]
        batch = Batch(first, pair=Pair(second, torch.tensor(self.changed)))
        networks: Any = PixelNetworks()
        noise: Any = GivenNoise(self.noise)
        return objective.loss(networks, batch, noise, torch.tensor(0))


def oracle(case: Case, family: str, aggregation: Aggregation) -> dict[str, float]:
    """The reference's loss by loops over pairs, latents and images."""
    parameters, noise = case.parameters.detach().numpy(), [draw.numpy() for draw in case.noise]
    _, pairs, width = parameters.shape
    latents = width // 2
    reconstruction = kl = 0.0
    for b in range(pairs):
        mu, lam = parameters[:, b, :latents], parameters[:, b, latents:]
        distances = []
        for d in range(latents):
            v1, v2 = math.exp(lam[0, d]), math.exp(lam[1, d])
            distances.append(v1 / v2 + (mu[1, d] - mu[0, d]) ** 2 / v2 - 1 + lam[1, d] - lam[0, d])
        for image in range(2):
            for d in range(latents):
                v1, v2 = math.exp(lam[0, d]), math.exp(lam[1, d])
                middle = (min(distances) + max(distances)) / 2
                if aggregation == "argmax":
                    own = distances[d] >= middle and max(distances) > min(distances)
                else:
                    own = d == case.changed[b] or not 0 <= case.changed[b] < latents
                if own:
                    mean, variance = mu[image, d], math.exp(lam[image, d])
                elif family == "group_vae":
                    mean, variance = (mu[0, d] + mu[1, d]) / 2, (v1 + v2) / 2
                else:
                    variance = 2 * v1 * v2 / (v1 + v2)
                    mean = (mu[0, d] / v1 + mu[1, d] / v2) * variance / 2
                z = mean + math.sqrt(variance) * noise[image][b, d]
                pixels = parameters[image, b]
                reconstruction += 0.5 * ((pixels[d] - z) ** 2 + (pixels[latents + d] - z**2) ** 2) / pairs
                kl += 0.5 * 0.5 * (mean**2 + variance - math.log(variance) - 1) / pairs
    regularizer = case.beta * kl
    return {
        "loss": reconstruction + regularizer,
        "reconstruction_loss": reconstruction,
        "elbo": -(reconstruction + kl),
        "regularizer": regularizer,
        "kl_loss": kl,
    }


# ------------------------------------------------------------------------------------------------------- by hand


def test_group_vae_averages_means_and_variances() -> None:
    average = average_of_group_vae(gaussian(0.0, 1.0), gaussian(4.0, 3.0))
    assert average.mean_BZ.item() == pytest.approx(2.0)
    assert average.logvar_BZ.exp().item() == pytest.approx(2.0)


def test_mlvae_weighs_means_by_precision_and_takes_the_harmonic_mean_of_the_variances() -> None:
    average = average_of_mlvae(gaussian(0.0, 1.0), gaussian(4.0, 3.0))
    assert average.mean_BZ.item() == pytest.approx(1.0)  # (0 / 1 + 4 / 3) / (1 / 1 + 1 / 3)
    assert average.logvar_BZ.exp().item() == pytest.approx(1.5)  # twice the variance of the product, 3 / 4


def test_the_divergence_is_that_of_the_first_from_the_second_without_the_factor_one_half() -> None:
    one, other = gaussian(0.0, 1.0), gaussian(4.0, 3.0)
    assert divergence(one, other).item() == pytest.approx(1 / 3 + 16 / 3 - 1 + math.log(3))
    assert divergence(other, one).item() == pytest.approx(3 + 16 - 1 - math.log(3))


def test_own_parameters_stay_from_the_middle_of_the_range_upwards() -> None:
    own_BZ = changed_by_threshold(doubles([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]))
    assert own_BZ.tolist() == [[False] * 5 + [True] * 5]
    assert changed_by_threshold(doubles([0, 0.1])).tolist() == [[False, True]]
    assert changed_by_threshold(doubles([1, 2, 3, 1.99, 2.01])).tolist() == [[False, True, True, False, True]]


def test_the_label_names_the_latent_that_both_images_keep() -> None:
    assert changed_by_label(torch.tensor([2, 0]), 3).tolist() == [[False, False, True], [True, False, False]]


def test_the_same_latents_are_kept_for_both_images() -> None:
    stacked = Posterior(doubles([1, 2], [3, 4]), doubles([5, 6], [7, 8]))
    kept = keep_own(torch.tensor([[True, False]]), stacked, Posterior(doubles([0, 9]), doubles([0, 10])))
    assert kept.mean_BZ.tolist() == [[1, 9], [3, 9]]
    assert kept.logvar_BZ.tolist() == [[5, 10], [7, 10]]


# ---------------------------------------------------------------------------------------------------- edge cases


@pytest.mark.parametrize("label", [3, 100, -1])
def test_nothing_is_averaged_where_no_latent_has_the_labels_index(label: int) -> None:
    assert changed_by_label(torch.tensor([label, 1]), 3).tolist() == [[True] * 3, [False, True, False]]


@pytest.mark.parametrize(
    "row",
    [[0.7, 0.7, 0.7], [0.0, 0.0, 0.0], [1.0, math.inf, 2.0], [math.inf] * 3, [1.0, math.nan, 2.0], [-math.inf, 1, 2]],
)
def test_everything_is_averaged_where_divergences_have_no_middle(row: list[float]) -> None:
    assert changed_by_threshold(doubles(row, [0, 1, 0])).tolist() == [[False] * 3, [False, True, False]]


def test_a_single_latent_is_averaged_by_the_adaptive_rule_and_kept_by_its_label() -> None:
    assert changed_by_threshold(doubles([5.0])).tolist() == [[False]]
    assert changed_by_label(torch.tensor([0]), 1).tolist() == [[True]]


@variants
@pytest.mark.parametrize("latents", [1, 4])
def test_a_batch_of_one_pair_works(family: str, aggregation: Aggregation, latents: int) -> None:
    case = Case.random(0, pairs=1, latents=latents)
    assert case.terms(family, aggregation).loss.item() == pytest.approx(oracle(case, family, aggregation)["loss"])


@families
@pytest.mark.parametrize(("one", "other"), [(-200.0, -201.0), (-200.0, 3.0), (200.0, -200.0), (300.0, 301.0)])
def test_averages_are_exact_where_variances_leave_the_range_of_float32(family: str, one: float, other: float) -> None:
    means = torch.tensor([[1.0]]), torch.tensor([[-2.0]])
    posteriors = [Posterior(mean, torch.full((1, 1), logvar)) for mean, logvar in zip(means, (one, other), strict=True)]
    average = AVERAGES[family](posteriors[0], posteriors[1])
    v, w = math.exp(one), math.exp(other)
    mean, variance = (-0.5, (v + w) / 2) if family == "group_vae" else ((w - 2 * v) / (v + w), 2 * v * (w / (v + w)))
    assert average.mean_BZ.item() == pytest.approx(mean, rel=1e-6)
    assert average.logvar_BZ.item() == pytest.approx(math.log(variance), rel=1e-6)


# ---------------------------------------------------------------------------------------------------------- laws


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.integers(-4, 4), st.integers(-1000, 1000), st.data())
def test_the_adaptive_rule_sees_only_relative_positions(row: list[int], power: int, shift: int, data: Any) -> None:
    divergence_1Z = doubles([float(value) for value in row])
    own_1Z = changed_by_threshold(divergence_1Z)
    assert torch.equal(changed_by_threshold(2.0**power * (divergence_1Z + shift)), own_1Z)
    order = data.draw(st.permutations(range(len(row))))
    assert torch.equal(changed_by_threshold(divergence_1Z[:, order]), own_1Z[:, order])
    assert own_1Z.any() == (len(set(row)) > 1)
    assert not own_1Z.all()


parameters = st.floats(-5, 5)


@families
@given(parameters, parameters, parameters, parameters)
def test_an_average_is_symmetric_lies_between_and_is_itself_where_both_agree(
    family: str, mean: float, other_mean: float, logvar: float, other_logvar: float
) -> None:
    one = Posterior(doubles([mean]), doubles([logvar]))
    other = Posterior(doubles([other_mean]), doubles([other_logvar]))
    average, swapped, same = AVERAGES[family](one, other), AVERAGES[family](other, one), AVERAGES[family](one, one)
    assert torch.allclose(average.mean_BZ, swapped.mean_BZ)
    assert torch.allclose(average.logvar_BZ, swapped.logvar_BZ)
    assert torch.allclose(same.mean_BZ, one.mean_BZ)
    assert torch.allclose(same.logvar_BZ, one.logvar_BZ)
    assert min(mean, other_mean) - 1e-9 <= average.mean_BZ.item() <= max(mean, other_mean) + 1e-9
    assert min(logvar, other_logvar) - 1e-9 <= average.logvar_BZ.item() <= max(logvar, other_logvar) + 1e-9


@given(parameters, parameters, parameters, parameters)
def test_divergences_are_not_negative_and_zero_between_equals(
    mean: float, other_mean: float, logvar: float, other_logvar: float
) -> None:
    one, other = (
        Posterior(doubles([mean]), doubles([logvar])),
        Posterior(doubles([other_mean]), doubles([other_logvar])),
    )
    assert divergence(one, other).item() >= -1e-12
    assert divergence(one, one).item() == 0


# -------------------------------------------------------------------------------------------------- the whole loss


@variants
@given(st.integers(0, 2**32 - 1))
def test_terms_are_those_of_the_loops(family: str, aggregation: Aggregation, seed: int) -> None:
    case = Case.random(seed)
    terms = case.terms(family, aggregation)
    found = {"loss": terms.loss, **terms.reported}
    assert {name: value.item() for name, value in found.items()} == pytest.approx(oracle(case, family, aggregation))
    assert terms.kl_Z.sum().item() == pytest.approx(found["kl_loss"].item())


@variants
def test_gradients_are_those_of_the_loops(family: str, aggregation: Aggregation) -> None:
    """Through both encodings where averaged, through one where not, and never through the choice."""
    case = Case.random(5, pairs=2, latents=3)
    case.changed = [1, 3]
    case.parameters.requires_grad_()
    (gradient,) = torch.autograd.grad(case.terms(family, aggregation).loss, case.parameters)
    case.parameters = case.parameters.detach()
    for index in np.ndindex(*case.parameters.shape):
        losses = []
        for change in (1e-5, -1e-5):
            case.parameters[index] += change
            losses.append(oracle(case, family, aggregation)["loss"])
            case.parameters[index] -= change
        assert gradient[index].item() == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-6, abs=1e-7)


@variants
def test_both_codes_have_noise_of_their_own(family: str, aggregation: Aggregation) -> None:
    case = Case.random(1)
    before = case.terms(family, aggregation)
    for draw in range(2):
        case.noise[draw] = case.noise[draw] + 1
        after = case.terms(family, aggregation)
        assert after.reported["reconstruction_loss"] != before.reported["reconstruction_loss"]
        assert after.reported["kl_loss"] == before.reported["kl_loss"]
        before = after


@families
def test_labels_play_no_part_in_the_adaptive_rule_and_divergences_none_in_labels(family: str) -> None:
    case, relabelled = Case.random(2), Case.random(2)
    relabelled.changed = [(label + 1) % 4 for label in case.changed]
    assert relabelled.terms(family, "argmax").loss == case.terms(family, "argmax").loss
    assert relabelled.terms(family, "labels").loss != case.terms(family, "labels").loss
