"""beta-VAE (Higgins et al., 2017, https://openreview.net/forum?id=Sy2fzU9gl). Shapes: B batch, Z latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from disentanglement.models.networks import Networks
from disentanglement.models.objectives.protocol import Batch, Noise, Player, Terms
from disentanglement.models.reconstruction import ReconstructionLoss
from disentanglement.specs.objectives import BetaVae as BetaVaeSpec


@dataclass(frozen=True, slots=True)
class BetaVae:
    """Reconstruction plus beta times the divergence from the prior; beta 1 is the plain VAE."""

    spec: BetaVaeSpec
    reconstruction: ReconstructionLoss
    players: ClassVar[tuple[Player, ...]] = ()

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        """The terms of one batch."""
        posterior, _, outputs = networks.autoencode(batch.images_BHWC, noise.latent())
        kl_Z = posterior.kl_per_latent()
        reconstruction_B = self.reconstruction(batch.images_BHWC, outputs)
        return Terms.elbo(reconstruction_B, kl_Z, regularizer=self.spec.beta * kl_Z.sum())
