"""Objectives of one's own: what a plugin makes from its parameters is a regularizer, or a whole objective."""

from __future__ import annotations

from typing import cast

from disentanglement.errors import SpecError
from disentanglement.models.objectives.protocol import Objective
from disentanglement.models.objectives.reconstruction import reconstruction_loss
from disentanglement.models.objectives.unsupervised import Regularizer, Unsupervised
from disentanglement.specs import TrainSpec
from disentanglement.specs.sources import lacking, make

FIELD = "objective.plugin"


def plugin_objective(spec: TrainSpec) -> Objective:
    """A regularizer is added to the spec's reconstruction loss, as those of the unsupervised objectives are.

    Raises:
        SpecError: the plugin is missing, was edited, or makes neither.
    """
    plugin = spec.objective.plugin
    assert plugin is not None, spec.objective.word
    made = make(plugin, FIELD, object)
    to_regularize, to_be_whole = lacking(made, Regularizer), lacking(made, Objective)
    if not to_regularize:
        return Unsupervised(cast(Regularizer, made), reconstruction_loss(spec.reconstruction))
    if not to_be_whole:
        return cast(Objective, made)
    wanted = f"what makes a Regularizer (lacks {', '.join(to_regularize)}) or an Objective ({', '.join(to_be_whole)})"
    raise SpecError.of(f"{FIELD}.name", wanted, f"{plugin.name}, which makes {type(made).__name__}")
