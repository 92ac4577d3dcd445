"""What the reference records of trainings with labels or pairs, by its names of configurables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from disentanglement.results.rendering import Bindings, Reference
from disentanglement.specs import Spec, TrainSpec
from disentanglement.specs.supervision import (
    AnnealerSpec,
    EmbedSupervision,
    LabelledDataSpec,
    LabellerSpec,
    SupervisedLossSpec,
)


def protocol(spec: TrainSpec, number: int | None) -> Bindings:
    """Parameters of the reference's training function: each of its three families has its own."""
    common: Bindings = {"batch_size": spec.batch_size, "name": spec.objective.method}
    own: Bindings = {"random_seed": spec.random_seed}
    if spec.labelled is not None:
        own = {"model_seed": spec.random_seed, **_labelled_data(spec.labelled)}
    elif spec.pairs is None:
        own |= {"eval_steps": spec.eval_steps, "model_num": number}
    named = {**common, **own, "training_steps": spec.training_steps}
    return {f"model.{name}": named[name] for name in sorted(named)}


def supervision(spec: TrainSpec) -> Bindings:
    """Where labels and pairs come from, and how they enter the loss."""
    bindings: Bindings = {}
    if spec.labelled is not None:
        bindings |= _labeller(spec.labelled.labeller)
    if spec.pairs is not None:
        bindings["dynamics.k"] = spec.pairs.k
    for _, part in spec.objective.selected[1]:
        match part:
            case AnnealerSpec():
                bindings["annealer.anneal_fn"] = Reference(f"@{part.anneal_fn}")
                bindings["annealer.iteration_threshold"] = part.iteration_threshold
            case SupervisedLossSpec():
                bindings |= _supervised_loss(part)
    return bindings


def _labelled_data(spec: LabelledDataSpec) -> Mapping[str, Any]:
    return {name: value for name, value in spec if name != "labeller"}


def _labeller(spec: LabellerSpec) -> Bindings:
    word, parameters = spec.selected
    return {"labeller.labeller_fn": Reference(f"@{word}"), **_parameters(word, parameters)}


def _supervised_loss(spec: SupervisedLossSpec) -> Bindings:
    word, parameters = spec.selected
    bindings = {"supervised_loss.loss_fn": Reference(f"@{word}"), **_parameters(word, parameters)}
    if isinstance(parameters, EmbedSupervision):
        fixed = parameters.sigma.fixed
        bindings["embed.sigma"] = "learn" if fixed is None else fixed.value
    return bindings


def _parameters(word: str, parameters: Spec) -> Bindings:
    return {f"{word}.{name}": value for name, value in parameters if isinstance(value, int | float | str)}
