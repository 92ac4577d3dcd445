"""Whether a study ended as it was chosen to (`outcomes.py`): in its status, and in the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kwok.outcomes import CHOSEN_MESSAGE, Fate, expected, fate

from disentanglement.specs import Step
from disentanglement.steps.ledger import StudyLedger
from disentanglement.storage.store import Store
from disentanglement.studies.pending import StepId
from disentanglement.studies.plan import Plan, PlannedModel
from disentanglement.studies.records import load_plan, load_study

GOOD = (Fate.COMMITTED, Fate.RETRIED)


def differences(store: Store, status: Mapping[str, Any], project: str, study: str) -> Iterator[str]:
    """What is not as chosen, one line each."""
    plan = load_plan(store, load_study(store, project, study).plan)
    yield from _of_status(status, plan)
    yield from _of_store(StudyLedger(store, project, study), plan)


def _of_status(status: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    wanted = expected(model.number for model in plan.models)
    counts = {
        "total": len(plan.models),
        "trained": wanted.trained,
        "evaluated": wanted.evaluated,
        "failed": wanted.failed,
    }
    found = status.get("counts", {})
    if found != counts:
        yield f"status.counts: wanted {counts}, got {found}"


def _of_store(ledger: StudyLedger, plan: Plan) -> Iterator[str]:
    committed, failures = ledger.committed(plan), ledger.failures(plan)
    for model in plan.models:
        yield from _of_model(model, committed)
    by_worker = {record.step_key for record in failures if CHOSEN_MESSAGE in record.message}
    by_controller = {record.step_key for record in failures} - by_worker
    for model in plan.models:
        yield from _of_records(model, by_worker, by_controller)


def _of_model(model: PlannedModel, committed: set[StepId]) -> Iterator[str]:
    trained = fate("train", model.number) in GOOD
    evaluated = trained and fate("evaluate", model.number) in GOOD
    scores = [key for representation in model.representations for key in representation.evaluation_keys]
    num_scores = sum(("evaluate", key) in committed for key in scores)
    if (("train", model.key) in committed) != trained:
        yield f"model {model.number}: wanted it {'' if trained else 'not '}trained"
    if (num_scores == len(scores)) != evaluated:
        yield f"model {model.number}: wanted it {'' if evaluated else 'not '}evaluated, got {num_scores} scores"


def _of_records(model: PlannedModel, by_worker: set[str], by_controller: set[str]) -> Iterator[str]:
    scores = [str(key) for representation in model.representations for key in representation.evaluation_keys]
    keys: Mapping[Step, list[str]] = {"train": [str(model.key)], "evaluate": scores}
    for step, names in keys.items():
        if step == "evaluate" and fate("train", model.number) not in GOOD:
            continue
        chosen = fate(step, model.number)
        if chosen is Fate.REFUSED and not by_worker & set(names):
            yield f"model {model.number}: the worker's record of {step} is gone"
        if chosen is Fate.LOST and not by_controller & set(names):
            yield f"model {model.number}: the controller has written no record of {step}"
        if chosen in GOOD and (by_worker | by_controller) & set(names):
            yield f"model {model.number}: {step} has a failure record and succeeded"
