"""FactorVAE (Kim and Mnih, 2018, arXiv:1802.05983, algorithm 2), as the reference has it.

Unlike in the paper both losses of an iteration see the same batch, the same codes and the same permutations; both
gradients are taken at the same weights; and the reference's step counts the updates of both optimisers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from disentanglement.models.networks.architectures import discriminator
from disentanglement.models.networks.layers import Layer
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.density_ratio import judge
from disentanglement.models.objectives.estimators import permuted_columns
from disentanglement.models.objectives.protocol import Noise, Player
from disentanglement.models.objectives.unsupervised import Latents, Regularized
from disentanglement.specs.objectives import FactorVae as FactorVaeSpec


@dataclass(frozen=True, slots=True)
class FactorVae:
    """Divergence plus gamma times the total correlation that a discriminator sees."""

    spec: FactorVaeSpec
    num_latent: int
    steps_per_iteration: ClassVar[int] = 2
    reports_elbo: ClassVar[bool] = False

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The discriminator's, from codes to two logits."""
        return discriminator(self.spec.discriminator, self.num_latent)

    @property
    def players(self) -> tuple[Player, ...]:
        """The discriminator."""
        variables = tuple(variable for layer in self.layers for variable in layer.variables())
        return (Player("discriminator", variables, self.spec.discriminator_optimizer),)

    def value(self, latents: Latents, networks: Networks, noise: Noise, step: Tensor) -> Regularized:
        """Of one batch; the discriminator's loss depends on its own variables alone, and the value on none of them."""
        codes_BZ = latents.codes_BZ
        batch_size, num_latent = codes_BZ.shape
        permuted_BZ = permuted_columns(codes_BZ, noise.permutations(num_latent, batch_size))
        judgement = judge(networks, self.layers, codes_BZ, permuted_BZ)
        return Regularized(latents.kl + self.spec.gamma * judgement.total_correlation, (judgement.loss,))
