"""What is checked of a request before anything is written: the data is there, and this release does what is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from disentanglement.errors import SpecError
from disentanglement.specs import EvaluateSpec, PostprocessSpec, StepSpec, StudySpec, TrainSpec
from disentanglement.steps.support import require
from disentanglement.storage.data_sets import data_set_digests, find_data_set
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, expand_study, resolved, training_specs


def admit_training(store: Store, spec: TrainSpec) -> TrainSpec:
    """The spec with its data digest resolved.

    Raises:
        SpecError: its data set is not in the store.
        NotBuiltYet: something that this release does not train.
    """
    complete = resolved(spec, data_set_digests(store, [spec.dataset.name]))
    _check_data([complete], store)
    require([complete])
    return complete


def admit_study(store: Store, study: StudySpec, *, pinned: Mapping[str, str] | None = None) -> Plan:
    """The plan of a study that this release can work off. Data sets are of the digests in `pinned`, else the best ones
    that the store holds.

    Raises:
        SpecError: an invalid combination, or a data set that is not in the store.
        NotBuiltYet: with the list of everything that this release does not do.
    """
    specs = training_specs(study).values()
    require(steps_wanted(study, specs))
    names = sorted({spec.dataset.name for spec in specs if not spec.dataset.digest})
    digests = {**data_set_digests(store, names), **(pinned or {})}
    if lacking := [name for name in names if name not in digests]:
        imports = "; ".join(f"disentangle data import {name}" for name in lacking)
        raise SpecError.of("dataset.name", f"data sets that the store holds ({imports})", ", ".join(lacking))
    plan = expand_study(study, digests)
    _check_data((model.train for model in plan.models), store)
    return plan


def steps_wanted(study: StudySpec, specs: Iterable[TrainSpec]) -> list[StepSpec]:
    """What a study asks for, to be held against what this release does; no step keys can be made of it."""
    postprocess = [PostprocessSpec(representation=representation) for representation in study.representations]
    return [*specs, *postprocess, *(EvaluateSpec(metric=metric) for metric in study.metrics)]


def _check_data(specs: Iterable[TrainSpec], store: Store) -> None:
    for name, digest in sorted({(spec.dataset.name, spec.dataset.digest) for spec in specs}):
        if find_data_set(store, name, digest) is None:
            raise SpecError.of("dataset.digest", f"the digest of a {name} that the store holds", digest)
