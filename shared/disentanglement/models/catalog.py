"""Which class implements which objective: plain dicts of the words that specs use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from disentanglement.errors import NotBuiltYet
from disentanglement.models.objectives.annealed_vae import AnnealedVae
from disentanglement.models.objectives.beta_tc_vae import BetaTcVae
from disentanglement.models.objectives.beta_vae import BetaVae
from disentanglement.models.objectives.dip_vae import DipVae
from disentanglement.models.objectives.factor_vae import FactorVae
from disentanglement.models.objectives.mine import S2MineVae
from disentanglement.models.objectives.plugin import plugin_objective
from disentanglement.models.objectives.protocol import Objective
from disentanglement.models.objectives.reconstruction import reconstruction_loss
from disentanglement.models.objectives.semi_supervised import SemiSupervised
from disentanglement.models.objectives.supervised import Supervised
from disentanglement.models.objectives.unsupervised import Regularizer, Unsupervised
from disentanglement.models.objectives.weak import weakly_supervised
from disentanglement.specs import TrainSpec

REGULARIZERS: dict[str, Callable[[Any, int], Regularizer]] = {
    "beta_vae": lambda spec, _: BetaVae(spec),
    "annealed_vae": lambda spec, _: AnnealedVae(spec),
    "factor_vae": FactorVae,
    "dip_vae": lambda spec, _: DipVae(spec),
    "beta_tc_vae": lambda spec, _: BetaTcVae(spec),
}
"""Unsupervised objectives by the member of `ObjectiveSpec`; each takes (its spec, the number of latents)."""

OBJECTIVES: dict[str, Callable[[TrainSpec, tuple[int, ...]], Objective]] = {
    "supervised": Supervised.of,
    "s2_vae": SemiSupervised.of,
    "s2_dip_vae": SemiSupervised.of,
    "s2_beta_tc_vae": SemiSupervised.of,
    "s2_factor_vae": SemiSupervised.of,
    "s2_factor_vae_corrected": SemiSupervised.of,
    "s2_mine_vae": S2MineVae.of,
    "group_vae": lambda spec, _: weakly_supervised(spec),
    "mlvae": lambda spec, _: weakly_supervised(spec),
    "plugin": lambda spec, _: plugin_objective(spec),
}
"""All others; each takes (the training's spec, the sizes of the labelled factors)."""


def objective_of(spec: TrainSpec, factor_sizes: tuple[int, ...] = ()) -> Objective:
    """The objective that a spec names, for labels of factors of these sizes. Raises `NotBuiltYet`, naming it."""
    word, parameters = spec.objective.selected
    if word in REGULARIZERS:
        regularizer = REGULARIZERS[word](parameters, spec.architecture.num_latent)
        return Unsupervised(regularizer, reconstruction_loss(spec.reconstruction))
    if word in OBJECTIVES:
        return OBJECTIVES[word](spec, factor_sizes)
    raise NotBuiltYet(f"objective.{word}")
