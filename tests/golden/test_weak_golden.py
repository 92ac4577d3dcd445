"""Group-VAE and ML-VAE on two recorded encodings of six pairs: what is shared, the averages, the losses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.objectives.protocol import Batch, Pair
from disentanglement.models.objectives.reconstruction import reconstruction_loss
from disentanglement.models.objectives.weak import WeaklySupervised, changed_by_threshold, divergence, halves
from disentanglement.specs.networks import BernoulliLoss, ReconstructionSpec
from disentanglement.specs.objectives import Aggregation
from disentanglement.specs.objectives import GroupVae as GroupVaeSpec
from disentanglement.specs.objectives import Mlvae as MlvaeSpec

GOLDEN = Path(__file__).parent / "losses"
BERNOULLI = reconstruction_loss(ReconstructionSpec(bernoulli_loss=BernoulliLoss()))
SPECS: dict[str, type[GroupVaeSpec] | type[MlvaeSpec]] = {"group_vae": GroupVaeSpec, "mlvae": MlvaeSpec}
VARIANTS = [(family, aggregation) for family in SPECS for aggregation in ("labels", "argmax")]


@dataclass(frozen=True)
class Recorded:
    """Networks that return what was recorded, whatever was sampled; both images of the pairs, one below the other."""

    arrays: dict[str, Tensor]

    def encode(self, images_BHWC: Tensor) -> Posterior:
        return Posterior(self.stacked("z_mean"), self.stacked("z_logvar"))

    def decode(self, codes_BZ: Tensor) -> Tensor:
        return self.stacked("reconstruction_logits")

    def latent(self, draw: int = 0) -> Tensor:
        return torch.zeros_like(self.arrays["z_mean_1"])

    def stacked(self, name: str) -> Tensor:
        return torch.cat([self.arrays[f"{name}_1"], self.arrays[f"{name}_2"]])

    def batch(self) -> Batch:
        above, below = self.arrays["images"].chunk(2, dim=1)
        return Batch(above, pair=Pair(below, self.arrays["labels"][:, 0].long()))


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    with np.load(GOLDEN / "weak.npz") as file:
        return Recorded({name: torch.from_numpy(array) for name, array in file.items()})


def objective(family: str, aggregation: Aggregation, beta: float = 1.0) -> WeaklySupervised:
    return WeaklySupervised(SPECS[family](beta=beta, aggregation=aggregation), BERNOULLI)


def test_divergences_and_what_is_shared_are_those_of_the_reference(recorded: Recorded) -> None:
    divergence_BZ = divergence(*halves(recorded.encode(torch.zeros(0))))
    np.testing.assert_allclose(divergence_BZ, recorded.arrays["kl_per_point"], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(changed_by_threshold(divergence_BZ), recorded.arrays["kl_bins"])


@pytest.mark.parametrize(("family", "aggregation"), VARIANTS)
def test_aggregated_posteriors_are_those_of_the_reference(
    recorded: Recorded, family: str, aggregation: Aggregation
) -> None:
    pair = recorded.batch().pair
    assert pair is not None
    aggregated = objective(family, aggregation).aggregated(recorded.encode(torch.zeros(0)), pair.changed_B)
    name = f"{family}_{aggregation}"
    np.testing.assert_allclose(aggregated.mean_BZ, recorded.stacked(f"{name}_mean"), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(aggregated.logvar_BZ, recorded.stacked(f"{name}_logvar"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("family", "aggregation"), VARIANTS)
@pytest.mark.parametrize("beta", [1, 4])
def test_losses_are_those_of_the_reference(
    recorded: Recorded, family: str, aggregation: Aggregation, beta: int
) -> None:
    expected = json.loads((GOLDEN / "weak.json").read_text())[f"{family}_{aggregation}_beta{beta}"]
    networks: Any = recorded
    noise: Any = recorded
    terms = objective(family, aggregation, float(beta)).loss(networks, recorded.batch(), noise, torch.tensor(0))
    kl = (expected["kl_1"] + expected["kl_2"]) / 2
    assert terms.loss.item() == pytest.approx(expected["loss"], rel=1e-6)
    assert {name: value.item() for name, value in terms.reported.items()} == pytest.approx(
        {
            "reconstruction_loss": expected["elbo_loss"] - kl,
            "elbo": -expected["elbo_loss"],
            "regularizer": beta * kl,
            "kl_loss": kl,
        },
        rel=1e-6,
    )
