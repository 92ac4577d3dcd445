"""Which class implements which objective and which network: plain dicts of the words that specs use."""

from __future__ import annotations

from collections.abc import Callable

from disentanglement.errors import NotBuiltYet
from disentanglement.models.objectives.beta_vae import BetaVae
from disentanglement.models.objectives.protocol import Objective
from disentanglement.models.reconstruction import ReconstructionLoss, reconstruction_loss
from disentanglement.specs import TrainSpec

OBJECTIVES: dict[str, Callable[..., Objective]] = {"beta_vae": BetaVae}
"""By the member of `ObjectiveSpec`; each takes (its spec, the reconstruction loss)."""


def objective_of(spec: TrainSpec) -> Objective:
    """The objective that a spec names. Raises `NotBuiltYet`, naming it, when there is none."""
    word, parameters = spec.objective.selected
    if word not in OBJECTIVES:
        raise NotBuiltYet(f"objective.{word}")
    reconstruction: ReconstructionLoss = reconstruction_loss(spec.reconstruction)
    return OBJECTIVES[word](parameters, reconstruction)
