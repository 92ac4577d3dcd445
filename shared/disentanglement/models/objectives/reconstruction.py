"""Reconstruction losses: one number for each image, summed over pixels and channels. Shapes: B batch, H, W, C image.

Decoders return raw outputs; `logits` reads them through the sigmoid, `tanh` through tanh(r) / 2 + 1 / 2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from disentanglement.errors import NotBuiltYet
from disentanglement.specs.base import Plugin
from disentanglement.specs.networks import Activation, BernoulliLoss, L2Loss, ReconstructionSpec
from disentanglement.specs.sources import make

CLIP = 1e-6

ReconstructionLoss = Callable[[Tensor, Tensor], Tensor]
"""(images_BHWC, outputs_BHWC) -> loss_B; images in [0, 1], outputs as the decoder made them."""


def intensities(outputs: Tensor, activation: Activation) -> Tensor:
    """Pixel values in [0, 1] of a decoder's raw outputs."""
    return torch.sigmoid(outputs) if activation == "logits" else torch.tanh(outputs) / 2 + 0.5


def bernoulli_loss(
    images_BHWC: Tensor,
    outputs_BHWC: Tensor,
    *,
    activation: Activation = "logits",
    subtract_true_image_entropy: bool = False,
) -> Tensor:
    """Binary cross-entropy in nats, `[B]`."""
    if activation == "logits":
        loss = functional.binary_cross_entropy_with_logits(outputs_BHWC, images_BHWC, reduction="none")
    else:
        p = intensities(outputs_BHWC, activation).clip(CLIP, 1 - CLIP)
        loss = -(images_BHWC * p.log() + (1 - images_BHWC) * (1 - p).log())
    loss_B = loss.flatten(1).sum(dim=1)
    return loss_B - image_entropy(images_BHWC) if subtract_true_image_entropy else loss_B


def image_entropy(images_BHWC: Tensor) -> Tensor:
    """Entropy in nats of pixels read as probabilities, `[B]`: a constant of the data."""
    q = images_BHWC.clip(CLIP, 1 - CLIP)
    return -(q * q.log() + (1 - q) * (1 - q).log()).flatten(1).sum(dim=1)


def l2_loss(images_BHWC: Tensor, outputs_BHWC: Tensor, *, activation: Activation = "logits") -> Tensor:
    """Sum of squared differences (not half of it), `[B]`."""
    return (images_BHWC - intensities(outputs_BHWC, activation)).square().flatten(1).sum(dim=1)


def reconstruction_loss(spec: ReconstructionSpec) -> ReconstructionLoss:
    """The loss that a spec names; a plugin is called with its parameters."""
    match spec.selected:
        case _, BernoulliLoss() as bernoulli:
            return partial(
                bernoulli_loss,
                activation=bernoulli.activation,
                subtract_true_image_entropy=bernoulli.subtract_true_image_entropy,
            )
        case _, L2Loss() as l2:
            return partial(l2_loss, activation=l2.activation)
        case _, Plugin() as plugin:
            return cast(ReconstructionLoss, make(plugin, "reconstruction.plugin", object))
        case word, _:
            raise NotBuiltYet(f"reconstruction.{word}")


def activation_of(spec: ReconstructionSpec) -> Activation:
    """How outputs of a decoder trained with this loss become intensities; what a plugin makes may say so itself."""
    match spec.selected:
        case _, (BernoulliLoss() | L2Loss()) as loss:
            return loss.activation
        case _:
            activation: Activation = getattr(reconstruction_loss(spec), "activation", "logits")
            return activation
