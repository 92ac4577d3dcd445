"""Total correlation by a discriminator between codes and permuted codes (Kim and Mnih, 2018, arXiv:1802.05983).

A discriminator gives two logits for each code: class 0 says "joint", class 1 "permuted". Shapes: B batch, Z latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from disentanglement.models.networks.layers import Dense, Layer
from disentanglement.models.networks.network import Networks

CLIP = 1e-6
"""Probabilities are clipped to [CLIP, 1 - CLIP]; a clipped one has no gradient."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a discriminator makes of one batch, two scalars in nats."""

    total_correlation: Tensor
    """Estimated log density ratio of the codes, from the logits as they are, without the clipping."""
    loss: Tensor
    """Cross-entropy of the two classes, what the discriminator minimises."""


def judgement(logits_B2: Tensor, permuted_logits_B2: Tensor) -> Judgement:
    """From the logits of codes and of permuted codes (Kim and Mnih, 2018, eq. 3 and algorithm 2)."""
    ratio_B = logits_B2[:, 0] - logits_B2[:, 1]
    joint_B = torch.softmax(logits_B2, dim=1)[:, 0].clamp(CLIP, 1 - CLIP)
    permuted_B = torch.softmax(permuted_logits_B2, dim=1)[:, 1].clamp(CLIP, 1 - CLIP)
    return Judgement(ratio_B.mean(), -0.5 * (joint_B.log().mean() + permuted_B.log().mean()))


def judge(networks: Networks, layers: tuple[Layer, ...], codes_BZ: Tensor, permuted_BZ: Tensor) -> Judgement:
    """The judgement of a discriminator of these layers.

    Where gradients are taken, `total_correlation` depends on the codes and `loss` on the discriminator's variables;
    dense layers get them from one backward pass.
    """
    if torch.is_grad_enabled() and all(isinstance(layer, Dense) for layer in layers):
        return judge_with_one_backward_pass(networks, layers, codes_BZ, permuted_BZ)
    return judgement(networks.run(layers, codes_BZ), networks.run(layers, permuted_BZ))


def judge_with_one_backward_pass(
    networks: Networks, layers: tuple[Layer, ...], codes_BZ: Tensor, permuted_BZ: Tensor
) -> Judgement:
    """The same value and gradients with less work, for layers that treat each row on its own.

    Both losses see the two logits of a row through their difference alone: the total correlation with slope 1 / B, the
    cross-entropy with that of `loss_slopes`. What comes back through the layers is linear in the slope, row by row. So
    the difference is followed back once, for both batches together, and its sensitivities are scaled: at the codes for
    the one loss, at each layer's variables for the other. In passes of B rows that is 2 forward, 2 back and 2 for the
    variables; two backward passes make 2, 1 + 2 and 2, or 2, 2 + 2 and 2 where the rows stay together.
    """
    batch_size = len(codes_BZ)
    inputs, outputs = run_apart(networks, layers, torch.cat((codes_BZ, permuted_BZ)))
    logits = outputs[-1].detach()
    exact = judgement(logits[:batch_size], logits[batch_size:])
    slopes = loss_slopes(logits[:batch_size], logits[batch_size:])
    sensitivity = torch.ones_like(logits)
    sensitivity[:, 1].neg_()  # filled where it lies: numbers from the host would be waited for
    loss = torch.zeros_like(exact.loss)
    for x, y in zip(reversed(inputs), reversed(outputs), strict=True):
        loss = loss + (y * (slopes[:, None] * sensitivity)).sum()
        (sensitivity,) = torch.autograd.grad(y, x, sensitivity, retain_graph=True)
    correlation = (codes_BZ * sensitivity[:batch_size]).sum() / batch_size
    return Judgement(with_value(correlation, exact.total_correlation), with_value(loss, exact.loss))


def run_apart(networks: Networks, layers: tuple[Layer, ...], x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Input and output of every layer, each with a graph of its own."""
    inputs, outputs = [], []
    for layer in layers:
        inputs.append(x.detach().requires_grad_())
        x = networks.run((layer,), inputs[-1])
        outputs.append(x)
    return inputs, outputs


def loss_slopes(logits_B2: Tensor, permuted_logits_B2: Tensor) -> Tensor:
    """Derivative of the discriminator's loss by the difference of the logits of each row, `[2 B]`: codes, permuted.

    By -0.5 log(p_0) / B the slope is -0.5 p_1 / B, and alike for the permuted; zero where the probability is clipped.
    """
    weight = 0.5 / len(logits_B2)
    p_B2, q_B2 = torch.softmax(logits_B2, dim=1), torch.softmax(permuted_logits_B2, dim=1)
    joint_B = (-weight * p_B2[:, 1]).masked_fill(is_clipped(p_B2[:, 0]), 0)
    permuted_B = (weight * q_B2[:, 0]).masked_fill(is_clipped(q_B2[:, 1]), 0)
    return torch.cat((joint_B, permuted_B))


def is_clipped(probability: Tensor) -> Tensor:
    """Whether a probability lies outside of [CLIP, 1 - CLIP]."""
    return (probability < CLIP) | (probability > 1 - CLIP)


def with_value(x: Tensor, value: Tensor) -> Tensor:
    """A number equal to `value` with the gradient of `x`."""
    return value + (x - x.detach())
