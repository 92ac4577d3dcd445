"""beta-VAE plus a penalty on what latents tell about labels that are not theirs (the reference's `MineVAE`).

Mutual information is estimated by networks that learn beside the model (Belghazi et al., 2018, arXiv:1801.04062,
eq. 10), one for each pair of a label and a latent. All of them are of one shape, so they are one stack of weights and
run at once; each has the values and updates that it would have alone.
Shapes: B batch, K labels, Z latents, P pairs = K Z (label by label), U units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from disentanglement.models.networks.layers import Variable, Weights
from disentanglement.models.networks.network import Networks
from disentanglement.models.objectives.protocol import Batch, Noise, Player, Terms
from disentanglement.models.objectives.reconstruction import ReconstructionLoss, reconstruction_loss
from disentanglement.models.objectives.semi_supervised import labelled_means
from disentanglement.models.objectives.supervision import annealed
from disentanglement.specs import TrainSpec
from disentanglement.specs.networks import Adam, OptimizerSpec
from disentanglement.specs.objectives import S2MineVae as S2MineVaeSpec

UNITS = 20
OPTIMIZER = OptimizerSpec(adam=Adam(learning_rate=0.01))
SCOPE = "estimator_network"


@dataclass(frozen=True, slots=True)
class Stack(Variable):
    """Variables of one shape as one; each begins as it would alone, by its own name."""

    members: tuple[Variable, ...] = ()

    def initial(self, seed: int) -> Tensor:
        """`[P, *shape of a member]`."""
        return torch.stack([member.initial(seed) for member in self.members])


def stacked(kind: str, member: tuple[int, ...], fans: int | None, pairs: tuple[tuple[int, int], ...]) -> Stack:
    """`estimator_network.<kind>` of the networks `estimator_network_<label>_<latent>`."""
    members = tuple(Variable(f"{SCOPE}_{label}_{latent}.{kind}", member, fans) for label, latent in pairs)
    return Stack(f"{SCOPE}.{kind}", (len(pairs), *member), members=members)


def estimator_variables(num_labels: int, num_latent: int) -> tuple[Variable, ...]:
    """Two dense layers to 20 units, for latent and label, and one from there to a number, for every pair."""
    pairs = tuple((label, latent) for label in range(num_labels) for latent in range(num_latent))
    layers = [("d1_x", 1, UNITS), ("d1_y", 1, UNITS), ("d2", UNITS, 1)]
    variables: list[Variable] = []
    for name, inputs, outputs in layers:
        variables.append(stacked(f"{name}.kernel", (inputs, outputs), inputs + outputs, pairs))
        variables.append(stacked(f"{name}.bias", (outputs,), None, pairs))
    return tuple(variables)


def mutual_information(x_PB: Tensor, y_PB: Tensor, permutations_PB: Tensor, weights: Weights) -> Tensor:
    """A lower bound of I(x; y) in nats for each pair, `[P]`: T of the pairs as they are against T of permuted ones.

    `mean T(x, y) - log mean exp T(x, y[permutation])`, both over the batch (Donsker and Varadhan, 1983).
    """
    of_x_PBU = hidden_of_latents(x_PB, weights)
    together_PB = statistic(of_x_PBU, y_PB, weights)
    apart_PB = statistic(of_x_PBU, y_PB.gather(1, permutations_PB), weights)
    return together_PB.mean(dim=1) - (torch.logsumexp(apart_PB, dim=1) - math.log(x_PB.shape[1]))


def hidden_of_latents(x_PB: Tensor, weights: Weights) -> Tensor:
    """What the latents add to the hidden units, and both layers' biases, `[P, B, U]`: the same for all labels."""
    bias_PU = weights[f"{SCOPE}.d1_x.bias"] + weights[f"{SCOPE}.d1_y.bias"]
    return torch.addcmul(bias_PU[:, None], x_PB[..., None], weights[f"{SCOPE}.d1_x.kernel"])


def statistic(of_x_PBU: Tensor, y_PB: Tensor, weights: Weights) -> Tensor:
    """The networks' outputs, `[P, B]`: element by element, so that they are float32 whatever matrix products are."""
    hidden_PBU = functional.elu(torch.addcmul(of_x_PBU, y_PB[..., None], weights[f"{SCOPE}.d1_y.kernel"]))
    kernel_PU1, bias_P1 = weights[f"{SCOPE}.d2.kernel"], weights[f"{SCOPE}.d2.bias"]
    return (hidden_PBU * kernel_PU1.transpose(1, 2)).sum(dim=2) + bias_P1


@dataclass(frozen=True, slots=True)
class S2MineVae:
    """Squared estimates of all pairs but (i, i) as the supervised loss; those networks learn, too, but are not used.

    The estimators' updates count no step, and their loss has no gradient in the encoder.
    """

    spec: S2MineVaeSpec
    num_labels: int
    num_latent: int
    reconstruction: ReconstructionLoss
    steps_per_iteration: ClassVar[int] = 1
    variables: ClassVar[tuple[Variable, ...]] = ()
    untrained: ClassVar[tuple[Variable, ...]] = ()

    @classmethod
    def of(cls, spec: TrainSpec, sizes: tuple[int, ...]) -> S2MineVae:
        """The objective that a spec names, for labels of these sizes.

        Raises:
            SpecError: the reconstruction loss is a plugin that is missing, was edited, or can't be made.
        """
        _, parameters = spec.objective.selected
        assert isinstance(parameters, S2MineVaeSpec)
        return cls(parameters, len(sizes), spec.architecture.num_latent, reconstruction_loss(spec.reconstruction))

    @property
    def players(self) -> tuple[Player, ...]:
        """The networks of all pairs: their losses are added, so each moves by its own gradient."""
        return (Player(SCOPE, estimator_variables(self.num_labels, self.num_latent), OPTIMIZER),)

    def loss(self, networks: Networks, batch: Batch, noise: Noise, step: Tensor) -> Terms:
        """The terms of one batch."""
        posterior, _, outputs = networks.autoencode(batch.images_BHWC, noise.latent())
        kl_Z = posterior.kl_per_latent()
        reconstruction = self.reconstruction(batch.images_BHWC, outputs).mean()
        information_KZ = self.information(networks, batch, noise)
        foreign_KZ = information_KZ.masked_fill(own_pairs(information_KZ), 0)
        supervised = foreign_KZ.square().sum()
        weight = annealed(self.spec.gamma_sup, self.spec.annealer, step)
        loss = reconstruction + self.spec.beta * kl_Z.sum() + weight * supervised
        reported = {"reconstruction_loss": reconstruction, "supervised_loss": supervised, "kl_loss": kl_Z.sum()}
        return Terms(loss, reported, kl_Z, (-information_KZ.sum(),))

    def information(self, networks: Networks, batch: Batch, noise: Noise) -> Tensor:
        """Estimates in nats of what label k and latent z tell about each other, `[K, Z]`."""
        mean_BZ, labels_BK = labelled_means(networks, batch)
        num, shape = len(mean_BZ), (self.num_labels, self.num_latent)
        x_PB = mean_BZ.T.expand(self.num_labels, -1, -1).reshape(-1, num)
        y_PB = labels_BK.T[:, None].expand(-1, self.num_latent, -1).reshape(-1, num)
        permutations_PB = noise.permutations(len(x_PB), num)
        return mutual_information(x_PB, y_PB, permutations_PB, networks.weights).view(shape)


def own_pairs(information_KZ: Tensor) -> Tensor:
    """Where a label meets the latent of its own number."""
    return torch.eye(*information_KZ.shape, dtype=torch.bool, device=information_KZ.device)
