"""How labels enter a loss, and how its weight grows (Locatello et al., 2020, arXiv:1905.01258).

The first K latents are tied to the K labels, in order. How a value is reduced is part of its definition: `l2` and
`xent` are sums over batch and labels, `cov` is a sum over entries of a matrix of batch means, `embed` is a batch mean
summed over labels.
Shapes: B batch, Z latents, K labels, V values of a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from disentanglement.datasets.labellers import check_latents
from disentanglement.errors import NotBuiltYet
from disentanglement.models.networks.layers import Variable, Weights
from disentanglement.specs.supervision import (
    AnnealerSpec,
    CovSupervision,
    EmbedSupervision,
    L2NormalizedSupervision,
    L2Supervision,
    SupervisedLossSpec,
    XentSupervision,
)

SCOPE = "supervised"
"""First part of the names of a supervised loss's own variables."""


class SupervisedLoss(Protocol):
    """A scalar of the encoder's means on labelled images and their labels."""

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Its own, to be trained with the networks."""
        ...

    def value(self, mean_BZ: Tensor, labels_BK: Tensor, weights: Weights) -> Tensor:
        """The loss; labels are whole numbers as float32."""
        ...


@dataclass(frozen=True, slots=True)
class StartsAtOne(Variable):
    """A scale that changes nothing at first."""

    def initial(self, seed: int) -> Tensor:
        """Ones."""
        return torch.ones(self.shape)


def l2(mean_BK: Tensor, labels_BK: Tensor, scale: Tensor) -> Tensor:
    """Sum of squared differences between scaled means and labels as they are."""
    return (scale * mean_BK - labels_BK).square().sum()


def l2_all_pairs(mean_BK: Tensor, normalized_BK: Tensor) -> Tensor:
    """Squared differences between the sigmoid of every mean and the labels of every image of the batch, summed.

    What the reference computes without a learned scale: an axis too many makes all pairs of rows meet, so that a
    mean is drawn to the average label. `l2_normalized` is what was meant.
    """
    return (torch.sigmoid(mean_BK)[:, None] - normalized_BK[None]).square().sum()


def l2_normalized(mean_BK: Tensor, normalized_BK: Tensor) -> Tensor:
    """Sum of squared differences between sigmoids of means and normalised labels."""
    return (torch.sigmoid(mean_BK) - normalized_BK).square().sum()


def xent(mean_BK: Tensor, normalized_BK: Tensor) -> Tensor:
    """Binary cross-entropy in nats with means as logits and normalised labels as targets, summed."""
    return functional.binary_cross_entropy_with_logits(mean_BK, normalized_BK, reduction="sum")


def cov(mean_BZ: Tensor, labels_BK: Tensor) -> Tensor:
    """Sum of squared population covariances between latents and labels other than their own."""
    centred_BZ, centred_BK = mean_BZ - mean_BZ.mean(dim=0), labels_BK - labels_BK.mean(dim=0)
    covariance_ZK = (centred_BZ[:, :, None] * centred_BK[:, None, :]).mean(dim=0)
    own_ZK = torch.eye(*covariance_ZK.shape, dtype=torch.bool, device=mean_BZ.device)
    return covariance_ZK.masked_fill(own_ZK, 0).square().sum()


def embed(mean_B: Tensor, labels_B: Tensor, embedding_V: Tensor, sigma: Tensor | float) -> Tensor:
    """Softmax cross-entropy in nats of one label, averaged over the batch; a value is likelier the closer it lies."""
    logits_BV = -((mean_B[:, None] - embedding_V) * sigma).square()
    return functional.cross_entropy(logits_BV, labels_B.long())


@lru_cache
def constant(values: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers on the device, moved there once and without waiting for it."""
    return torch.tensor(values, dtype=torch.float32).to(device, non_blocking=True)


def normalized(labels_BK: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Labels divided by how many values they can take: from 0 to (size - 1) / size, never 1."""
    return labels_BK / constant(sizes, labels_BK.device)


@dataclass(frozen=True, slots=True)
class L2:
    """`l2` with a scale that is trained."""

    variables: ClassVar[tuple[Variable, ...]] = (StartsAtOne(f"{SCOPE}.b", (1,)),)

    def value(self, mean_BZ: Tensor, labels_BK: Tensor, weights: Weights) -> Tensor:
        """The loss."""
        return l2(mean_BZ[:, : labels_BK.shape[1]], labels_BK, weights[f"{SCOPE}.b"])


@dataclass(frozen=True, slots=True)
class Normalized:
    """A loss of the first means and normalised labels: `l2_all_pairs`, `l2_normalized` or `xent`."""

    loss: NormalizedLoss
    sizes: tuple[int, ...]
    variables: ClassVar[tuple[Variable, ...]] = ()

    def value(self, mean_BZ: Tensor, labels_BK: Tensor, weights: Weights) -> Tensor:
        """The loss."""
        return self.loss(mean_BZ[:, : len(self.sizes)], normalized(labels_BK, self.sizes))


class NormalizedLoss(Protocol):
    """A function of (means, normalised labels)."""

    def __call__(self, mean_BK: Tensor, normalized_BK: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Cov:
    """`cov`, which takes all latents."""

    variables: ClassVar[tuple[Variable, ...]] = ()

    def value(self, mean_BZ: Tensor, labels_BK: Tensor, weights: Weights) -> Tensor:
        """The loss."""
        return cov(mean_BZ, labels_BK)


@dataclass(frozen=True, slots=True)
class Embed:
    """`embed` summed over labels: free embeddings, or with `use_order` values on a line; `sigma` None is trained."""

    sizes: tuple[int, ...]
    sigma: float | None
    use_order: bool

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Of each label in turn, with the reference's bounds: a vector's fans are its length, twice."""
        return tuple(v for k, size in enumerate(self.sizes) for v in self._variables_of(f"{SCOPE}.{k}", size))

    def _variables_of(self, scope: str, size: int) -> Sequence[Variable]:
        free, line, width = Variable(f"{scope}.embedding", (size,), 2 * size), ("bias", "slope"), ("sigma",)
        names = (line if self.use_order else ()) + (width if self.sigma is None else ())
        return (*(() if self.use_order else (free,)), *(Variable(f"{scope}.{name}", (1,), 2) for name in names))

    def value(self, mean_BZ: Tensor, labels_BK: Tensor, weights: Weights) -> Tensor:
        """The loss."""
        losses = [
            embed(mean_BZ[:, k], labels_BK[:, k], self._embedding(k, weights), self._sigma(k, weights))
            for k in range(len(self.sizes))
        ]
        return torch.stack(losses).sum()

    def _embedding(self, k: int, weights: Weights) -> Tensor:
        if not self.use_order:
            return weights[f"{SCOPE}.{k}.embedding"]
        slope, bias = weights[f"{SCOPE}.{k}.slope"], weights[f"{SCOPE}.{k}.bias"]
        return torch.arange(self.sizes[k], device=slope.device) * slope + bias

    def _sigma(self, k: int, weights: Weights) -> Tensor | float:
        return weights[f"{SCOPE}.{k}.sigma"] if self.sigma is None else self.sigma


def supervised_loss(spec: SupervisedLossSpec, sizes: tuple[int, ...], *, num_latent: int) -> SupervisedLoss:
    """The loss that a spec names, for labels of these sizes.

    Raises:
        SpecError: fewer latents than labels, which `cov` alone can do with.
        NotBuiltYet: a plugin.
    """
    check_latents(spec, num_labels=len(sizes), num_latent=num_latent)
    match spec.selected:
        case _, L2Supervision(learn_scale=True):
            return L2()
        case _, L2Supervision():
            return Normalized(l2_all_pairs, sizes)
        case _, L2NormalizedSupervision():
            return Normalized(l2_normalized, sizes)
        case _, XentSupervision():
            return Normalized(xent, sizes)
        case _, CovSupervision():
            return Cov()
        case _, EmbedSupervision(sigma=sigma, use_order=use_order):
            return Embed(sizes, sigma.fixed.value if sigma.fixed is not None else None, use_order)
        case word, _:
            raise NotBuiltYet(f"supervised_loss.{word}")


def annealed(gamma: float, spec: AnnealerSpec, step: Tensor) -> Tensor:
    """The weight of the supervised loss, float32, after `step` updates.

    `fixed` is gamma; `anneal` grows to it linearly until the threshold; `fine_tune` is zero up to the threshold and
    gamma after it.
    """
    now = step.to(torch.float32)
    match spec.anneal_fn:
        case "fixed":
            return torch.full_like(now, gamma)
        case "anneal":
            return (gamma * now / spec.iteration_threshold).clamp(max=gamma)
        case "fine_tune":
            return gamma * (step - spec.iteration_threshold).to(torch.float32).clamp(0, 1)
