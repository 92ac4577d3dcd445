"""Scoring a study again where this release computes other numbers than the one that it was submitted with.

A contract version that rises gives steps other keys: models that are trained stay, and what is missing are the scores
of the metrics that changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from disentanglement.specs import STEPS, Step
from disentanglement.specs.canonical import contract_version
from disentanglement.studies.pending import StepId
from disentanglement.studies.plan import Plan, PlanCell


def with_present_contracts(plan: Plan) -> Plan:
    """The same models and metrics, by this release's contract versions."""
    return Plan(plan.study, {name: _present(cell) for name, cell in plan.cells.items()})


def of_trained_models(plan: Plan, committed: Collection[StepId]) -> Plan:
    """The part of a plan whose models are trained."""
    cells = {name: _trained(cell, committed) for name, cell in plan.cells.items()}
    return Plan(plan.study, {name: cell for name, cell in cells.items() if cell.numbers})


def _present(cell: PlanCell) -> PlanCell:
    versions = {f"{step}.{member}": contract_version(step, member) for step, member in _members(cell)}
    return _changed(cell, contracts=versions)


def _members(cell: PlanCell) -> Iterator[tuple[Step, str]]:
    for step in STEPS:
        names = (name.partition(".") for name in cell.contracts)
        yield from ((step, member) for of, _, member in names if of == step)


def _trained(cell: PlanCell, committed: Collection[StepId]) -> PlanCell:
    kept = [model for model in cell.planned if ("train", model.key) in committed]
    numbers, models = tuple(model.number for model in kept), tuple(model.train for model in kept)
    return _changed(cell, numbers=numbers, models=models)


def _changed(cell: PlanCell, **changes: Any) -> PlanCell:
    """A new cell: copies of models keep what was derived from their fields."""
    return PlanCell(**{name: getattr(cell, name) for name in PlanCell.model_fields} | changes)
