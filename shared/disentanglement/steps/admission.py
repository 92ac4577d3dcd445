"""What is checked of a request before anything is written: its inputs are there, and this release can do it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from disentanglement.errors import SpecError
from disentanglement.specs import EvaluateSpec, PostprocessSpec, StepSpec, StudySpec, TrainSpec
from disentanglement.specs.plugins import Trusted, source_digests, with_digests
from disentanglement.steps.supervision import check_supervision
from disentanglement.steps.support import require
from disentanglement.steps.warm_start import check_initial, initial_keys
from disentanglement.storage.data_sets import data_set_digests, find_data_set
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, expand_study, resolved, training_specs

DEFAULT_PROJECT = "default"


def admit_training(
    store: Store, spec: TrainSpec, *, project: str = DEFAULT_PROJECT, trusted: Trusted | None = None
) -> TrainSpec:
    """The spec with its data digest resolved, the step key of the model that it starts from, and the digests of its
    plugins' sources: `project` is where that model may be called by a name or by its number in a study, `trusted` whose
    code may run (without it: as the environment says).

    Raises:
        SpecError: its data set is not in the store or does not have the labels or pairs that are asked for, it can't
            start from the model in `init_from`, or a plugin is not here or not trusted.
        ArtifactNotFound, StepNotCommitted: there is no such model, or it is not trained yet.
        NotBuiltYet: something that this release does not train.
    """
    placed = resolved(spec, data_set_digests(store, [spec.dataset.name]))  # a data set that nobody has comes first
    require([placed])
    sources = source_digests([placed], trusted or Trusted.from_env(os.environ))
    complete = resolved(placed, {}, initial_keys(store, [placed], project=project), sources)
    _check_data([complete], store)
    check_initial(store, [complete])
    return complete


def admit_study(
    store: Store,
    study: StudySpec,
    *,
    pinned: Mapping[str, str] | None = None,
    starts: Mapping[str, str] | None = None,
    project: str = DEFAULT_PROJECT,
    trusted: Trusted | None = None,
) -> Plan:
    """The plan of a study that this release can work off. Data sets are of the digests in `pinned`, else the best ones
    that the store holds; what `init_from` names are the step keys in `starts`, else what is called so now; the sources
    of plugins are those that are found here.

    Raises:
        SpecError: an invalid combination, a data set that is not in the store or does not have the labels or pairs that
            are asked for, a model in `init_from` that can't be started from, or a plugin that is not here or not
            trusted.
        ArtifactNotFound, StepNotCommitted: there is no such model, or it is not trained yet.
        NotBuiltYet: with the list of everything that this release does not do.
    """
    specs = training_specs(study).values()
    wanted = steps_wanted(study, specs)
    require(wanted)
    sources = source_digests(wanted, trusted or Trusted.from_env(os.environ))
    names = sorted({spec.dataset.name for spec in specs if not spec.dataset.digest})
    digests = {**data_set_digests(store, names), **(pinned or {})}
    if lacking := [name for name in names if name not in digests]:
        imports = "; ".join(f"disentangle data import {name}" for name in lacking)
        raise SpecError.of("dataset.name", f"data sets that the store holds ({imports})", ", ".join(lacking))
    unknown = [spec for spec in specs if spec.init_from not in (starts or {})]
    initial = {**initial_keys(store, unknown, project=project), **(starts or {})}
    plan = expand_study(study, digests, initial, sources)
    _check_data((model.train for model in plan.models), store)
    check_initial(store, (model.train for model in plan.models))
    return plan


def admit_evaluations(specs: Iterable[EvaluateSpec], *, trusted: Trusted | None = None) -> list[EvaluateSpec]:
    """The specs with the digests of their plugins' sources.

    Raises:
        SpecError: a plugin that is not here or not trusted.
        NotBuiltYet: a metric that this release does not compute.
    """
    specs = list(specs)
    require(specs)
    sources = source_digests(specs, trusted or Trusted.from_env(os.environ))
    return [with_digests(spec, sources) for spec in specs]


def steps_wanted(study: StudySpec, specs: Iterable[TrainSpec]) -> list[StepSpec]:
    """What a study asks for, to be held against what this release does; no step keys can be made of it."""
    postprocess = [PostprocessSpec(representation=representation) for representation in study.representations]
    return [*specs, *postprocess, *(EvaluateSpec(metric=metric) for metric in study.metrics)]


def _check_data(specs: Iterable[TrainSpec], store: Store) -> None:
    num_factors: dict[tuple[str, str], int] = {}
    for spec in specs:
        name, digest = data = spec.dataset.name, spec.dataset.digest
        if data not in num_factors:
            card = find_data_set(store, name, digest)
            if card is None:
                raise SpecError.of("dataset.digest", f"the digest of a {name} that the store holds", digest)
            num_factors[data] = len(card.factor_space.latent_names)
        check_supervision(spec, num_factors[data])
