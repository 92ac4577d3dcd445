"""The bindings that the reference's studies put on top of their shared configuration, in its order and rendering.

Config values are rendered as in the reference's JSON: strings in single quotes, references with `@` as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from disentanglement.results.encoding import own_fields, train_config
from disentanglement.results.rendering import Reference, rendered
from disentanglement.specs import Spec, StudySpec, TrainSpec
from disentanglement.specs.objectives import AnnealedVae, BetaTcVae, BetaVae, DipVae, FactorVae

NAME, MODEL = "model.name", "model.model"
ORDERS: Mapping[type[Spec], tuple[str, Sequence[str]]] = {
    BetaVae: ("vae", (NAME, "beta", MODEL)),
    FactorVae: ("factor_vae", (NAME, "gamma", MODEL, "discriminator.discriminator_fn")),
    DipVae: ("dip_vae", (NAME, MODEL, "lambda_od", "lambda_d_factor", "dip_type")),
    BetaTcVae: ("beta_tc_vae", (NAME, MODEL, "beta")),
    AnnealedVae: ("annealed_vae", (NAME, "c_max", "iteration_threshold", "gamma", MODEL)),
}
"""By objective: its name in the reference, and what its part of a sweep binds, in order."""


def binding_lines(study: StudySpec, train: TrainSpec) -> list[str]:
    """`["dataset.name = 'dsprites_full'", ...]` for one model of a study; what is changed beyond a sweep stands last.

    A study without a grid binds nothing by itself.
    """
    if study.grid is None:
        return _lines(_differences(train_config(train), train_config(study.model)))
    bound = rendered(sweep_bindings(train))
    usual = train_config(TrainSpec(dataset=train.dataset, objective=train.objective))
    changed = _differences(train_config(train), usual)
    return _lines(bound | {name: value for name, value in changed.items() if name not in bound})


def sweep_bindings(train: TrainSpec) -> dict[str, Any]:
    """What the sweep of a published study binds for a model of this data set, architecture, objective and seed."""
    objective = train.objective.selected[1]
    name, order = ORDERS.get(type(objective), (train.objective.label, (NAME, MODEL, *own_fields(objective))))
    known: dict[str, Any] = {
        NAME: train.objective.method,
        MODEL: Reference(f"@{name}()"),
        **_discriminator(objective),
        **{f"{name}.{field}": value for field, value in own_fields(objective).items()},
    }
    paths = [path if "." in path else f"{name}.{path}" for path in order]
    return {
        "dataset.name": train.dataset.name,
        "encoder.encoder_fn": Reference(f"@{train.architecture.encoder.label}"),
        "decoder.decoder_fn": Reference(f"@{train.architecture.decoder.label}"),
        **{path: known[path] for path in paths},
        "model.random_seed": train.random_seed,
    }


def _discriminator(objective: Spec) -> dict[str, Reference]:
    if not isinstance(objective, FactorVae):
        return {}
    return {"discriminator.discriminator_fn": Reference(f"@{objective.discriminator.label}")}


def _differences(config: Mapping[str, str], usual: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in config.items() if value != usual.get(name) and name != "model.model_num"}


def _lines(bindings: Mapping[str, str]) -> list[str]:
    return [f"{name} = {value}" for name, value in bindings.items()]
