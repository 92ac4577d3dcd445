"""One group of models, run in this process and then done: what a Kubernetes Job's index or a SLURM array's task does.

The exit code tells the engine what to do next.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from disentanglement.errors import (
    DisentanglementError,
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
from disentanglement.steps.packing import packs_of, train_as_pack, way_of
from disentanglement.steps.run import run_step
from disentanglement.storage.commit import find_manifest
from disentanglement.storage.failures import failure
from disentanglement.storage.tries import Tries, tries
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.plan import PlanCell, PlannedModel
from disentanglement.studies.records import load_plan_cell

log = logging.getLogger(__name__)


class ExitCode(IntEnum):
    """What an engine learns."""

    COMMITTED = 0
    """All of the group is committed."""
    CRASHED = 1
    """Something nobody foresaw; the others of the group were run all the same."""
    TRY_AGAIN = 75
    """Asked to stop, store down, or an input is not there yet."""
    FAILED = 78
    """What is not committed has failure records."""
    OTHER_CONTRACT = 79
    """This image computes other numbers than the plan wants."""


WORST_FIRST = (ExitCode.CRASHED, ExitCode.TRY_AGAIN, ExitCode.FAILED)
MAX_TRIES = 10
"""At a model's next step without a checkpoint or a commit. Engines do not count preemptions, so workers do."""


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


def run_group(
    step: Step, group: Group, ledger: StudyLedger, context: StepContext, *, with_codes: bool = False
) -> ExitCode:
    """Runs one step of every model of a group; `with_codes` lets the extractions follow each training.

    A member that fails does not stop the others. `COMMITTED` means that all of it is, whoever asked to stop meanwhile.

    Raises:
        SpecError: no such group, or the cell has no such model.
        ArtifactNotFound: no such plan.
        DeviceUnusable, StoreRefused: no step is to blame, and none can run here.
    """
    steps: tuple[Step, ...] = (step, "postprocess") if with_codes else (step,)
    try:
        cell = load_plan_cell(ledger.store, group.plan, group.cell)
        if others := {name: version for kind in steps for name, version in other_contracts(cell, kind).items()}:
            log.error("contract versions differ", extra={"contracts": others})
            return ExitCode.OTHER_CONTRACT
        members = list(_members(cell, steps, group.numbers))
        begun = _train_in_packs(members, ledger, context) if step == "train" and len(members) > 1 else {}
        ends = {end for items in members for end in _run_member(items, ledger, context, begun)}
    except (Interrupted, Unavailable, ResourceExhausted) as error:
        log.warning("try again", extra={"cause": str(error)})
        return ExitCode.TRY_AGAIN
    return next((end for end in WORST_FIRST if end in ends), ExitCode.COMMITTED)


def other_contracts(cell: PlanCell, step: Step) -> dict[str, str]:
    """Contract versions of this image, by step and member, where the plan wants others."""
    found = {name: contract_version(step, name.partition(".")[2]) for name in cell.contracts if _is_of(name, step)}
    return {name: version for name, version in found.items() if version != cell.contracts[name]}


def _is_of(name: str, step: Step) -> bool:
    return name.partition(".")[0] == step


def _members(cell: PlanCell, steps: tuple[Step, ...], numbers: tuple[int, ...]) -> Iterator[list[WorkItem]]:
    models: dict[int, PlannedModel] = {model.number: model for model in cell.planned}
    for number in numbers:
        if number not in models:
            raise SpecError.of("--models", f"numbers of models of {cell.cell}", number)
    for number in numbers:
        yield [item for item in steps_of(models[number]) if item.step in steps]


def _train_in_packs(
    members: list[list[WorkItem]], ledger: StudyLedger, context: StepContext
) -> dict[StepKey, Tries | None]:
    """Trains what the device trains best together; the tries that were begun. Everybody's end is seen afterwards."""
    if (way := way_of(context)) is None:
        return {}
    if context.should_stop():
        raise Interrupted("asked to stop")
    begun: dict[StepKey, Tries | None] = {}
    for pack in packs_of([item for item, *_ in members if not _has_failed(ledger, item.step, item.key)]):
        begun |= {item.key: _begin(ledger, item) for item in pack}
        fresh = [item for item in pack if (found := begun[item.key]) is not None and len(found.begun) < MAX_TRIES]
        for item, error in train_as_pack(fresh, context, way):
            ledger.record_failure(item, error)
    return begun


def _run_member(
    items: list[WorkItem], ledger: StudyLedger, context: StepContext, begun_before: Mapping[StepKey, Tries | None]
) -> Iterator[ExitCode]:
    """The ends of one model's steps; what follows a training is left out unless that is committed."""
    begun = begun_before.get(items[0].key)
    for item in items:
        if context.should_stop():
            raise Interrupted("asked to stop")
        if _has_failed(ledger, item.step, item.key):
            end = ExitCode.FAILED
        else:
            begun = begun or _begin(ledger, item)
            end = _try(item, ledger, context, begun)
        yield end
        if item.step == "train" and end != ExitCode.COMMITTED:
            return


def _begin(ledger: StudyLedger, item: WorkItem) -> Tries | None:
    """Writes down that a model's first step with something to do is begun once more; None where it is committed."""
    if item.step != "postprocess" and find_manifest(ledger.store, item.step, item.key) is not None:
        return None
    found = tries(ledger.store, item.step, item.key)
    found.begin()
    return found


def _try(item: WorkItem, ledger: StudyLedger, context: StepContext, begun: Tries | None) -> ExitCode:
    """How a step without a failure record ends: committed, failed for good, or to be tried again."""
    try:
        if begun is not None and item.key == begun.step_key and len(begun.begun) >= MAX_TRIES:
            begun.forget()
            raise TrainingFailed(f"begun {MAX_TRIES} times without getting any further (preempted too soon?)")
        run_step(item, context)
    except StepNotCommitted as error:
        if not _input_has_failed(ledger, item):
            log.warning("an input is missing", extra={"step_key": str(item.key), "cause": str(error)})
            return ExitCode.TRY_AGAIN
        ledger.record_failure(item, TrainingFailed("a step before it has failed"))
        return ExitCode.FAILED
    except TERMINAL as error:
        log.warning("failed", extra={"step_key": str(item.key), "reason": error.reason})
        ledger.record_failure(item, error)
        return ExitCode.FAILED
    except DisentanglementError:
        raise
    except Exception:  # the outermost loop of a worker: what nobody foresaw in one model must not cost the others
        log.exception("crashed", extra={"step_key": str(item.key)})
        return ExitCode.CRASHED
    return ExitCode.COMMITTED


def _has_failed(ledger: StudyLedger, step: Step, key: StepKey) -> bool:
    return failure(ledger.store, ledger.project, ledger.study, step, key) is not None


def _input_has_failed(ledger: StudyLedger, item: WorkItem) -> bool:
    before: tuple[Step, ...] = ("train",) if item.step == "postprocess" else ("postprocess", "train")
    return any(_has_failed(ledger, step, key) for step, key in zip(before, item.upstream, strict=False))
