"""The reference's JSON: its key names, its rendering of bindings, its aggregated table.

One row per (model, representation, metric), with `train_config.*`, `train_results.*`, `postprocess_*` and
`evaluation_*` columns as existing notebooks expect them. Config values are strings, rendered as Python literals;
references to functions carry an `@`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from disentanglement.results.rendering import Bindings, Reference, rendered
from disentanglement.results.supervision import protocol, supervision
from disentanglement.specs import EvaluateSpec, PostprocessSpec, RepresentationSpec, Spec, TrainSpec
from disentanglement.specs.base import Plugin
from disentanglement.specs.networks import Adam, BernoulliLoss, GradientDescent, OptimizerSpec, ScheduleSpec
from disentanglement.specs.objectives import (
    AnnealedVae,
    BetaTcVae,
    BetaVae,
    DipVae,
    FactorVae,
    GroupVae,
    Mlvae,
    S2FactorVae,
    S2FactorVaeCorrected,
)
from disentanglement.storage.manifests import Manifest


def train_config(spec: TrainSpec, number: int | None = None) -> dict[str, str]:
    """The operative configuration of a training, by the reference's names; `number` is the model's in its study."""
    bindings: Bindings = {
        **_optimizer("vae", spec.optimizer),
        **_reconstruction(spec),
        "dataset.name": spec.dataset.name,
        "encoder.encoder_fn": Reference(f"@{spec.architecture.encoder.label}"),
        "encoder.num_latent": spec.architecture.num_latent,
        "decoder.decoder_fn": Reference(f"@{spec.architecture.decoder.label}"),
        "export_as_tf_hub.drop_collections": None,
        **protocol(spec, number),
        **_objective(spec),
        **supervision(spec),
    }
    return rendered(bindings)


def postprocess_config(spec: PostprocessSpec, dataset: str) -> dict[str, str]:
    """The operative configuration of an extraction."""
    seed = spec.representation.sampled.random_seed if spec.representation.sampled else 0
    return rendered(
        {
            "dataset.name": dataset,
            "postprocess.postprocess_fn": Reference(f"@{_representation(spec.representation)}"),
            "postprocess.random_seed": seed,
            "postprocess.name": spec.representation.word,
        }
    )


def evaluation_config(spec: EvaluateSpec, dataset: str) -> dict[str, str]:
    """The operative configuration of an evaluation."""
    word, parameters = spec.metric.label, spec.metric.selected[1]
    bindings: Bindings = {
        "dataset.name": dataset,
        "evaluation.evaluation_fn": Reference(f"@{word}"),
        "evaluation.random_seed": spec.random_seed,
        "evaluation.name": word,
    }
    own: Iterable[tuple[str, Any]] = parameters.parameters.items() if isinstance(parameters, Plugin) else parameters
    for name, value in own:
        if name == "num_bins":
            bindings["discretizer.num_bins"] = value
            bindings["discretizer.discretizer_fn"] = Reference("@histogram_discretizer")
        elif name == "prune_threshold":
            bindings["prune_dims.threshold"] = value
        elif name == "predictor":
            bindings["predictor.predictor_fn"] = Reference(f"@{value.word}")
        else:
            bindings[f"{word}.{name}"] = list(value) if isinstance(value, tuple) else value
    return rendered(bindings)


def aggregated_row(
    spec: EvaluateSpec, number: int | None, path: str, train: Manifest, postprocess: Manifest, evaluation: Manifest
) -> dict[str, Any]:
    """One row of the reference's aggregated table. Non-finite numbers are null."""
    train_spec = TrainSpec.model_validate_json(json.dumps(train.spec), strict=False)
    postprocess_spec = PostprocessSpec.model_validate_json(json.dumps(postprocess.spec), strict=False)
    dataset = train_spec.dataset.name
    return {
        **_prefixed("train_config", train_config(train_spec, number)),
        **_prefixed("train_results", _results(train)),
        **_prefixed("postprocess_config", postprocess_config(postprocess_spec, dataset)),
        **_prefixed("postprocess_results", _results(postprocess)),
        **_prefixed("evaluation_config", evaluation_config(spec, dataset)),
        **_prefixed("evaluation_results", _results(evaluation)),
        "path": path,
    }


def column_json(rows: list[dict[str, Any]]) -> str:
    """Rows as the reference's aggregated file: `{column: {"0": value, ...}}`, strict JSON."""
    names = dict.fromkeys(name for row in rows for name in row)
    table = {name: {str(i): _strict(row.get(name)) for i, row in enumerate(rows)} for name in names}
    return json.dumps(table, allow_nan=False)


def _results(manifest: Manifest) -> dict[str, Any]:
    return {
        **manifest.scores(),
        "elapsed_time": manifest.provenance.get("wall_time_s"),
        "uuid": manifest.attempt,
    }


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def _strict(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _representation(representation: RepresentationSpec) -> str:
    return f"{representation.word}_representation"


def _optimizer(scope: str, optimizer: OptimizerSpec) -> Bindings:
    """The bindings of one optimiser: `scope` tells those of networks and discriminator apart."""
    chosen, called = optimizer.selected[1], optimizer.label
    values: dict[str, Any] = dict(chosen.parameters) if isinstance(chosen, Plugin) else dict(chosen)
    schedule: ScheduleSpec | None = values.pop("schedule", None) if isinstance(chosen, Adam | GradientDescent) else None
    if isinstance(chosen, Adam | GradientDescent):
        name = type(chosen).__name__
        called, values = f"{name}Optimizer", {**values, "name": name, "use_locking": False}
    return {
        **{f"{scope}/{called}.{name}": value for name, value in values.items()},
        f"{scope}_optimizer.optimizer_fn": Reference(f"@{scope}/{called}"),
        f"{scope}_optimizer.learning_rate": None if schedule is None else Reference(f"@{schedule.word}"),
        **({} if schedule is None else _schedule(schedule)),
    }


def _schedule(schedule: ScheduleSpec) -> Bindings:
    """Under the names that the framework has for a schedule's parameters."""
    word, chosen = schedule.selected
    values = {"learning_rate" if name == "initial" else name: value for name, value in chosen}
    return {f"{word}.{name}": list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _reconstruction(spec: TrainSpec) -> Bindings:
    loss = spec.reconstruction.selected[1]
    bindings: Bindings = {"reconstruction_loss.loss_fn": Reference(f"@{spec.reconstruction.label}")}
    bindings["reconstruction_loss.activation"] = getattr(loss, "activation", "logits")
    if isinstance(loss, BernoulliLoss):
        bindings["bernoulli_loss.subtract_true_image_entropy"] = loss.subtract_true_image_entropy
    return bindings


def _objective(spec: TrainSpec) -> Bindings:
    objective = spec.objective.selected[1]
    name, parameters = OBJECTIVE_BINDINGS.get(type(objective), (spec.objective.label, own_fields))
    return {"model.model": _model(spec, name), **_named(name, parameters(objective))}


def _model(spec: TrainSpec, name: str) -> Reference:
    """A model, or where labels are seen its class: the sizes of the factors are passed to it later."""
    if spec.labelled is not None:
        return Reference(f"@{name}")
    return Reference(f"@{name if spec.pairs is None else spec.objective.method}()")


def _named(name: str, parameters: Bindings) -> Bindings:
    return {path if "." in path else f"{name}.{path}": value for path, value in parameters.items()}


def own_fields(objective: Spec) -> Bindings:
    """An objective's own numbers and words, as the reference writes them."""
    if isinstance(objective, Plugin):
        return dict(objective.parameters)
    fields = {name: value for name, value in objective if isinstance(value, int | float | str)}
    if isinstance(objective, AnnealedVae) and objective.gamma.is_integer():
        fields["gamma"] = int(objective.gamma)  # the one strength that the reference writes as an integer
    return fields


def _factor_vae(objective: FactorVae | S2FactorVae) -> Bindings:
    return {
        **own_fields(objective),
        "discriminator.discriminator_fn": Reference(f"@{objective.discriminator.label}"),
        **_optimizer("discriminator", objective.discriminator_optimizer),
    }


OBJECTIVE_BINDINGS: dict[type, tuple[str, Callable[[Any], Bindings]]] = {
    BetaVae: ("vae", own_fields),
    AnnealedVae: ("annealed_vae", own_fields),
    FactorVae: ("factor_vae", _factor_vae),
    DipVae: ("dip_vae", own_fields),
    BetaTcVae: ("beta_tc_vae", own_fields),
    S2FactorVae: ("s2_factor_vae", _factor_vae),
    S2FactorVaeCorrected: ("s2_factor_vae_corrected", _factor_vae),
    GroupVae: ("group_vae", lambda objective: {"beta": objective.beta}),
    Mlvae: ("mlvae", lambda objective: {"beta": objective.beta}),
}
"""The reference's name of each objective and the parameters that it records."""
