"""One group of models, run in this process and then done: what a Kubernetes Job's index or a SLURM array's task does.

The exit code tells the engine what to do next.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from disentanglement.errors import (
    Interrupted,
    ResourceExhausted,
    SpecError,
    StepNotCommitted,
    TrainingFailed,
    Unavailable,
)
from disentanglement.specs import Step, StepKey
from disentanglement.specs.canonical import contract_version
from disentanglement.steps.context import StepContext
from disentanglement.steps.driver import TERMINAL
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.run import run_step
from disentanglement.storage.failures import failure
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.plan import PlanCell, PlannedModel
from disentanglement.studies.records import load_plan_cell

log = logging.getLogger(__name__)


class ExitCode(IntEnum):
    """What an engine learns."""

    COMMITTED = 0
    """All of the group is committed."""
    TRY_AGAIN = 75
    """Asked to stop, store down, or an input is not there yet."""
    FAILED = 78
    """What is not committed has failure records."""
    OTHER_CONTRACT = 79
    """This image computes other numbers than the plan wants."""


@dataclass(frozen=True, slots=True)
class Group:
    """The `index`-th `pack` models of the listed ones, in one cell of a plan."""

    plan: str
    cell: str
    models: tuple[int, ...]
    pack: int
    index: int

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the group's models.

        Raises:
            SpecError: there is no such group.
        """
        numbers = self.models[self.index * self.pack : (self.index + 1) * self.pack]
        if not numbers:
            last = (len(self.models) - 1) // self.pack
            raise SpecError.of("--index", f"0 to {last}", self.index)
        return numbers


def parse_numbers(text: str) -> tuple[int, ...]:
    """`0-299,305` -> the numbers in it, in order.

    Raises:
        SpecError: anything else.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 20:
            raise SpecError.of("--models", "numbers and ranges, e.g. 0-299,305", text)
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def run_group(step: Step, group: Group, ledger: StudyLedger, context: StepContext) -> ExitCode:
    """Runs one step of every model of a group.

    Raises:
        SpecError: no such group, or the cell has no such model.
        ArtifactNotFound: no such plan.
    """
    try:
        cell = load_plan_cell(ledger.store, group.plan, group.cell)
        if others := other_contracts(cell, step):
            log.error("contract versions differ", extra={"contracts": others})
            return ExitCode.OTHER_CONTRACT
        failed = [_settle(item, ledger, context) for item in _items(cell, step, group.numbers)]
    except (Interrupted, Unavailable, ResourceExhausted, StepNotCommitted) as error:
        log.warning("try again", extra={"cause": str(error)})
        return ExitCode.TRY_AGAIN
    return ExitCode.FAILED if any(failed) else ExitCode.COMMITTED


def other_contracts(cell: PlanCell, step: Step) -> dict[str, str]:
    """Contract versions of this image, by step and member, where the plan wants others."""
    found = {name: contract_version(step, name.partition(".")[2]) for name in cell.contracts if _is_of(name, step)}
    return {name: version for name, version in found.items() if version != cell.contracts[name]}


def _is_of(name: str, step: Step) -> bool:
    return name.partition(".")[0] == step


def _items(cell: PlanCell, step: Step, numbers: tuple[int, ...]) -> Iterator[WorkItem]:
    models: dict[int, PlannedModel] = {model.number: model for model in cell.planned}
    for number in numbers:
        if number not in models:
            raise SpecError.of("--models", f"numbers of models of {cell.cell}", number)
        yield from (item for item in steps_of(models[number]) if item.step == step)


def _settle(item: WorkItem, ledger: StudyLedger, context: StepContext) -> bool:
    """Whether the step has failed for good; it is committed otherwise."""
    if context.should_stop():
        raise Interrupted("asked to stop")
    if _has_failed(ledger, item.step, item.key):
        return True
    try:
        run_step(item, context)
    except StepNotCommitted:
        if not _input_has_failed(ledger, item):
            raise
        ledger.record_failure(item, TrainingFailed("a step before it has failed"))
        return True
    except TERMINAL as error:
        log.warning("failed", extra={"step_key": str(item.key), "reason": error.reason})
        ledger.record_failure(item, error)
        return True
    return False


def _has_failed(ledger: StudyLedger, step: Step, key: StepKey) -> bool:
    return failure(ledger.store, ledger.project, ledger.study, step, key) is not None


def _input_has_failed(ledger: StudyLedger, item: WorkItem) -> bool:
    before: tuple[Step, ...] = ("train",) if item.step == "postprocess" else ("postprocess", "train")
    return any(_has_failed(ledger, step, key) for step, key in zip(before, item.upstream, strict=False))
