"""The encoder's Gaussian: mean and log-variance of every latent. Shapes: B batch, Z latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Posterior:
    """A diagonal Gaussian for each image (Kingma and Welling, 2014, arXiv:1312.6114). Nothing is clipped."""

    mean_BZ: Tensor
    logvar_BZ: Tensor

    def sample(self, noise_BZ: Tensor) -> Tensor:
        """A code for each image, from standard normal noise."""
        return self.mean_BZ + torch.exp(self.logvar_BZ / 2) * noise_BZ

    def kl_per_latent(self) -> Tensor:
        """Divergence from the standard normal prior in nats, averaged over the batch, `[Z]`."""
        kl_BZ = 0.5 * (self.mean_BZ.square() + self.logvar_BZ.exp() - self.logvar_BZ - 1)
        return kl_BZ.mean(dim=-2)
