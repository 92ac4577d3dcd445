"""Group-VAE and ML-VAE: pairs of images whose common factors get a common posterior.

Group-VAE: Hosoya, 2019, arXiv:1809.02383. ML-VAE: Bouchacourt et al., 2018, arXiv:1705.08841. Which latents a pair
shares is told by a label, or found by the adaptive rule of Locatello et al., 2020, arXiv:2002.02886 (section 4), which
makes them *Ada-GVAE* and *Ada-ML-VAE*. Shapes: B pairs, H, W, C image, Z latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from disentanglement.models.networks.layers import Variable
from disentanglement.models.networks.network import Networks
from disentanglement.models.networks.posterior import Posterior
from disentanglement.models.objectives.protocol import Batch, Noise, Player, Terms
from disentanglement.models.objectives.reconstruction import ReconstructionLoss, reconstruction_loss
from disentanglement.specs import TrainSpec
from disentanglement.specs.objectives import GroupVae as GroupVaeSpec
from disentanglement.specs.objectives import Mlvae as MlvaeSpec

Average = Callable[[Posterior, Posterior], Posterior]


@dataclass(frozen=True, slots=True)
class WeaklySupervised:
    """Reconstruction of both images plus beta times the divergence of their aggregated posteriors, averaged."""

    spec: GroupVaeSpec | MlvaeSpec
    reconstruction: ReconstructionLoss
    steps_per_iteration: ClassVar[int] = 1
    variables: ClassVar[tuple[Variable, ...]] = ()
    untrained: ClassVar[tuple[Variable, ...]] = ()
    players: ClassVar[tuple[Player, ...]] = ()

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        """The terms of one batch of pairs: both images pass through the networks as one batch twice as long."""
        assert batch.pair is not None, "the training loop gives pairs to objectives that need them"
        images = torch.cat([batch.images_BHWC, batch.pair.images_BHWC])
        posterior = self.aggregated(networks.encode(images), batch.pair.changed_B)
        codes = posterior.sample(torch.cat([noise.latent(0), noise.latent(1)]))
        kl_Z = posterior.kl_per_latent()
        reconstruction = self.reconstruction(images, networks.decode(codes))
        return Terms.elbo(reconstruction, kl_Z, regularizer=self.spec.beta * kl_Z.sum())

    def aggregated(self, encoded: Posterior, changed_B: Tensor) -> Posterior:
        """Posteriors of the first images and, below them, of the second ones `[2 B, Z]`, where shared averaged."""
        first, second = halves(encoded)
        own_BZ = self._own(first, second, changed_B)
        average = average_of_group_vae if isinstance(self.spec, GroupVaeSpec) else average_of_mlvae
        return keep_own(own_BZ, encoded, average(first, second))

    def _own(self, first: Posterior, second: Posterior, changed_B: Tensor) -> Tensor:
        if self.spec.aggregation == "labels":
            return changed_by_label(changed_B, first.mean_BZ.shape[1])
        with torch.no_grad():
            return changed_by_threshold(divergence(first, second))


def weakly_supervised(spec: TrainSpec) -> WeaklySupervised:
    """The objective of a training whose spec names `group_vae` or `mlvae`."""
    parameters = spec.objective.group_vae or spec.objective.mlvae
    assert parameters is not None, spec.objective.word
    return WeaklySupervised(parameters, reconstruction_loss(spec.reconstruction))


def halves(stacked: Posterior) -> tuple[Posterior, Posterior]:
    """The posteriors of the first and of the second images."""
    (mean_1, mean_2), (logvar_1, logvar_2) = stacked.mean_BZ.chunk(2), stacked.logvar_BZ.chunk(2)
    return Posterior(mean_1, logvar_1), Posterior(mean_2, logvar_2)


def keep_own(own_BZ: Tensor, stacked: Posterior, average: Posterior) -> Posterior:
    """Both images keep their own parameters where the mask is true, and take the average elsewhere."""
    own = own_BZ.repeat(2, 1)
    mean = torch.where(own, stacked.mean_BZ, average.mean_BZ.repeat(2, 1))
    logvar = torch.where(own, stacked.logvar_BZ, average.logvar_BZ.repeat(2, 1))
    return Posterior(mean, logvar)


def average_of_group_vae(first: Posterior, second: Posterior) -> Posterior:
    """Means of the means and of the variances; the sum of variances never leaves the logarithm."""
    logvar_BZ = torch.logaddexp(first.logvar_BZ, second.logvar_BZ) - math.log(2)
    return Posterior((first.mean_BZ + second.mean_BZ) / 2, logvar_BZ)


def average_of_mlvae(first: Posterior, second: Posterior) -> Posterior:
    """The mean of the product of both Gaussians with twice its variance, which is the harmonic mean of theirs.

    With variances v and w: mean (m / v + n / w) / (1 / v + 1 / w), variance 2 v w / (v + w). The weight of m is
    w / (v + w), the logistic function of log w - log v, and so never 0 / 0.
    """
    weight_BZ = torch.sigmoid(second.logvar_BZ - first.logvar_BZ)
    mean_BZ = weight_BZ * first.mean_BZ + torch.sigmoid(first.logvar_BZ - second.logvar_BZ) * second.mean_BZ
    sum_BZ = first.logvar_BZ + second.logvar_BZ
    logvar_BZ = math.log(2) + sum_BZ - torch.logaddexp(first.logvar_BZ, second.logvar_BZ)
    return Posterior(mean_BZ, logvar_BZ)


def divergence(first: Posterior, second: Posterior) -> Tensor:
    """KL(first || second) for each latent in nats, times 2 as in the reference `[B, Z]`."""
    difference_BZ = first.logvar_BZ - second.logvar_BZ
    distance_BZ = (second.mean_BZ - first.mean_BZ).square() * (-second.logvar_BZ).exp()
    return difference_BZ.exp() + distance_BZ - 1 - difference_BZ


def changed_by_label(changed_B: Tensor, num_latent: int) -> Tensor:
    """True at the latent with the index of the changed factor `[B, Z]`.

    Where there is no such latent (a factor beyond the latents, or -1: nothing changed) it is true everywhere, so that
    nothing is averaged, as in the reference.
    """
    named_BZ = changed_B[:, None] == torch.arange(num_latent, device=changed_B.device)
    return named_BZ | ~named_BZ.any(dim=1, keepdim=True)


def changed_by_threshold(divergence_BZ: Tensor) -> Tensor:
    """The adaptive rule: true from the middle between a pair's smallest and largest divergence upwards `[B, Z]`.

    Where there is no middle (all divergences of a pair are equal, or one is not finite) it is false everywhere, so
    that everything is averaged, as in the reference.
    """
    smallest_B1 = divergence_BZ.amin(dim=1, keepdim=True)
    range_B1 = divergence_BZ.amax(dim=1, keepdim=True) - smallest_B1
    has_middle_B1 = (range_B1 > 0) & range_B1.isfinite()
    return has_middle_B1 & (2 * (divergence_BZ - smallest_B1) >= range_B1)
