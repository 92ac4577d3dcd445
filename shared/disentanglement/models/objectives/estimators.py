"""What objectives are made of: statistics of one batch of Gaussian codes, as pure functions, in nats.

Shapes: B batch, Z latents.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from disentanglement.models.networks.posterior import Posterior

LOG_TWO_PI = math.log(2 * math.pi)


def covariance(x_BZ: Tensor) -> Tensor:
    """Covariance of the columns `[Z, Z]`, divided by B and not B - 1 (the batch is all there is)."""
    centred_BZ = x_BZ - x_BZ.mean(dim=0)
    return centred_BZ.T @ centred_BZ / len(x_BZ)


def covariance_of_codes(posterior: Posterior) -> Tensor:
    """Covariance of sampled codes `[Z, Z]` by the law of total covariance (Kumar et al., 2018, eq. 5).

    The encoder's variance, averaged over the batch, enters the diagonal alone: given its image, a code has
    independent coordinates.
    """
    return covariance(posterior.mean_BZ) + torch.diag(posterior.logvar_BZ.exp().mean(dim=0))


def identity_penalty(matrix_ZZ: Tensor, *, off_diagonal: float, diagonal: float) -> Tensor:
    """Weighted squared distance from the identity (Kumar et al., 2018, arXiv:1711.00848, eqs. 6 and 7).

    Both sums run over entries: every pair of latents counts twice.
    """
    diagonal_Z = torch.diagonal(matrix_ZZ)
    off_ZZ = matrix_ZZ - torch.diag(diagonal_Z)
    return off_diagonal * off_ZZ.square().sum() + diagonal * (diagonal_Z - 1).square().sum()


def gaussian_log_density(x: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Log density of a Gaussian at each element, the constant included; shapes broadcast."""
    return -0.5 * ((x - mean).square() * torch.exp(-logvar) + logvar + LOG_TWO_PI)


def total_correlation(codes_BZ: Tensor, posterior: Posterior) -> Tensor:
    """Minibatch estimate of KL(q(z) || prod_d q(z_d)): plain sums over the batch, as in the reference.

    Chen et al. (2018, arXiv:1802.04942, appendix C) weigh the sums by the size of the data set. The reference leaves
    the weights out, which shifts the value by a constant, so that it is usually negative, and not the gradient.
    Log-sum-exp keeps the largest term apart, so densities may be as large or small as they like.
    """
    # [B, B, Z]: the first axis is the sample, the second the encoding under which it is evaluated.
    density_BBZ = gaussian_log_density(codes_BZ[:, None], posterior.mean_BZ[None], posterior.logvar_BZ[None])
    joint_B = torch.logsumexp(density_BBZ.sum(dim=2), dim=1)
    marginals_B = torch.logsumexp(density_BBZ, dim=1).sum(dim=1)
    return (joint_B - marginals_B).mean()


def capacity(step: Tensor, *, c_max: float, iteration_threshold: int) -> Tensor:
    """Capacity in nats after `step` updates: linear up to `c_max` at the threshold.

    Burgess et al. (2018, arXiv:1804.03599), section 5.
    """
    return torch.clamp(c_max * step.to(torch.float32) / iteration_threshold, max=c_max)


def permuted_columns(codes_BZ: Tensor, permutations_ZB: Tensor) -> Tensor:
    """Every latent shuffled over the batch on its own: samples of the product of the marginals.

    Kim and Mnih (2018, arXiv:1802.05983), algorithm 1. Element (b, d) of the result is
    `codes_BZ[permutations_ZB[d, b], d]`.
    """
    return codes_BZ.gather(0, permutations_ZB.T)
