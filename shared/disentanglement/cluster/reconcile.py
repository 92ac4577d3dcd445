"""What to do next about a study: one pure function of what is wanted, of what the store holds and of the Jobs.

Work is done when the store says so, and never before: a Job is a means, forgotten once its failures are written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from disentanglement.cluster.accounting import Account, account
from disentanglement.cluster.actions import Action, ClearFailures, CreateJob, DeleteJob, UpdateJob
from disentanglement.cluster.names import job_name
from disentanglement.cluster.shares import Shares
from disentanglement.cluster.state import NONE, CellState, JobView, Numbers
from disentanglement.cluster.wanted import Wanted
from disentanglement.specs import Step

MAX_GROUPS = 500
"""Indexes of one Job."""
MAX_MODELS = 5000
"""Models of one Job: their numbers have to fit into its arguments."""
MAX_ACTIVE_JOBS = 60
"""Jobs of one kind that a study has at work at once; with what is kept, fewer than 200 objects."""
MAX_SLICES = 3
"""Jobs of one step that a cell has at work at once, once its models come one by one."""
SLICES_OF_A_CELL = 6
"""A slice is started as soon as so large a part of a cell is ready, or nothing more is to come."""
EVALUATORS_PER_TRAINER = 4


def reconcile(wanted: Wanted, cells: Mapping[str, CellState], jobs: Iterable[JobView]) -> list[Action]:
    """The next actions, to be done in this order.

    `jobs` have to be seen before `cells` are listed in the store, so that what an ended Job has committed is known.
    A cell that `cells` does not have yet is left alone.
    """
    if wanted.is_deleting:
        return []
    found = sorted(jobs, key=lambda job: (wanted.rank(job.cell), job.name))
    if wanted.cleared_generation < wanted.generation:
        changes = _pauses(found) if wanted.is_paused else _shared(wanted, found)
        return [ClearFailures(wanted.generation), *changes]
    books = account(wanted, cells, found)
    actions: list[Action] = [*books.actions]
    if wanted.is_paused:
        actions += _pauses([job for job in found if job.name not in books.unsettled])
    else:
        actions += [*_outdated(wanted, found), *_work(wanted, cells, found, books)]
    return actions


def _outdated(wanted: Wanted, jobs: Iterable[JobView]) -> Iterator[Action]:
    """Jobs none of whose pods has begun go when their image is another now: it may not exist, and a Job keeps its own.
    They come again."""
    for job in jobs:
        image = wanted.images.get(job.step)
        if image and job.image and job.image != image and job.is_waiting and not job.is_deleting:
            yield DeleteJob(job.name, job.uid, f"its pods have not begun, and its image is {image} now")


def _pauses(jobs: Iterable[JobView]) -> Iterator[Action]:
    """Nothing works on. Kueue would resume what we suspend, so its Jobs go and come again."""
    for job in jobs:
        if job.is_finished or job.is_deleting:
            continue
        if job.is_queued:
            yield DeleteJob(job.name, job.uid, "the study is paused")
        elif not job.is_suspended:
            yield UpdateJob(job.name, suspend=True)


def _work(wanted: Wanted, cells: Mapping[str, CellState], jobs: list[JobView], books: Account) -> Iterator[Action]:
    planner = _Planner(wanted, cells, books)
    heavy, light = _shares(wanted, jobs)
    extractions = [*planner.extractions(heavy.going)]
    at_work = sum(job.remaining for job in heavy.going if job.step == "postprocess")
    heavy.reserve(at_work + sum(job.num_groups for job in extractions))
    yield from heavy.changes(keep=books.unsettled)
    yield from _within(heavy, [*extractions, *planner.trainings()])
    yield from light.changes(keep=books.unsettled)
    yield from _within(light, planner.evaluations(light.going))


def _shared(wanted: Wanted, jobs: list[JobView]) -> Iterator[Action]:
    """No new Jobs, but the pods of those that are there stay within their limits."""
    for shares in _shares(wanted, jobs):
        yield from shares.changes(keep=())


def _shares(wanted: Wanted, jobs: list[JobView]) -> tuple[Shares, Shares]:
    """Of Jobs that train or extract, and of those that evaluate."""
    heavy = [job for job in jobs if job.step != "evaluate"]
    light = [job for job in jobs if job.step == "evaluate"]
    is_queued = bool(wanted.queue)
    return (
        Shares(wanted.parallelism, heavy, is_queued=is_queued),
        Shares(EVALUATORS_PER_TRAINER * wanted.parallelism, light, is_queued=is_queued),
    )


def _within(shares: Shares, planned: Iterable[CreateJob]) -> Iterator[CreateJob]:
    """As many of the planned Jobs as there is room for, each with its share of the pods."""
    active = len(shares.going)
    for job in planned:
        if active >= MAX_ACTIVE_JOBS:
            return
        share = shares.take(job.num_groups)
        if not share:
            return
        active += 1
        yield job.with_parallelism(share)


class _Planner:
    """Which Jobs are to be made, whatever room there is for them."""

    def __init__(self, wanted: Wanted, cells: Mapping[str, CellState], books: Account) -> None:
        self._wanted = wanted
        self._cells = [(cell, numbers, cells[cell]) for cell, numbers in wanted.cells.items() if cell in cells]
        self._books = books

    def trainings(self) -> Iterator[CreateJob]:
        """All that is neither trained, nor failed, nor with a Job."""
        for cell, numbers, state in self._cells:
            if ("train", cell) not in self._books.blocked:
                gone = state.trained | state.has_failed("train") | self._books.covered("train", cell)
                yield from self._jobs("train", cell, [number for number in numbers if number not in gone])

    def extractions(self, going: Iterable[JobView]) -> Iterator[CreateJob]:
        """Of trained models whose codes are needed and missing, unless their trainer is still at it."""
        for cell, numbers, state in self._cells:
            missing = self._missing_codes(cell, numbers, state)
            is_last = not self._awaited("train", cell, numbers, state)
            yield from self._slice("postprocess", cell, numbers, missing, is_last, going)

    def evaluations(self, going: Iterable[JobView]) -> Iterator[CreateJob]:
        """Of models with codes and without all of their scores."""
        for cell, numbers, state in self._cells:
            ready = state.to_score & state.extracted & state.with_codes - self._books.covered("evaluate", cell)
            awaited = self._awaited("train", cell, numbers, state)
            awaited |= self._awaited("postprocess", cell, numbers, state)
            chosen = [number for number in numbers if number in ready]
            yield from self._slice("evaluate", cell, numbers, chosen, not awaited, going)

    def _missing_codes(self, cell: str, numbers: tuple[int, ...], state: CellState) -> list[int]:
        lacking = _lacks_codes(state) - self._books.covered("postprocess", cell) - self._books.in_training(cell)
        return [number for number in numbers if number in lacking]

    def _awaited(self, step: Step, cell: str, numbers: tuple[int, ...], state: CellState) -> Numbers:
        """Models that this step will bring later, or has still to give up."""
        if (step, cell) in self._books.blocked:
            return NONE
        if step == "train":
            return frozenset(numbers) - state.trained - state.has_failed("train")
        return _lacks_codes(state)

    def _slice(
        self,
        step: Step,
        cell: str,
        numbers: tuple[int, ...],
        ready: list[int],
        is_last: bool,
        going: Iterable[JobView],
    ) -> Iterator[CreateJob]:
        threshold = -(-len(numbers) // SLICES_OF_A_CELL)
        room = MAX_SLICES - sum(job.cell == cell and job.step == step for job in going)
        if (step, cell) in self._books.blocked or not (is_last or len(ready) >= threshold):
            return
        for job, _ in zip(self._jobs(step, cell, ready), range(room), strict=False):
            yield job

    def _jobs(self, step: Step, cell: str, numbers: list[int]) -> Iterator[CreateJob]:
        wanted = self._wanted
        size = min(MAX_GROUPS, max(1, MAX_MODELS // wanted.pack)) * wanted.pack
        for first in range(0, len(numbers), size):
            models = tuple(numbers[first : first + size])
            identity = (wanted.plan, wanted.generation, wanted.pack, *models)
            yield CreateJob(
                name=job_name(wanted.study, cell, step, identity),
                step=step,
                cell=cell,
                models=models,
                pack=wanted.pack,
                plan=wanted.plan,
                generation=wanted.generation,
                parallelism=0,
                with_codes=step == "train" and wanted.has_scores,
            )


def _lacks_codes(state: CellState) -> Numbers:
    """Trained models whose codes are needed and are not there."""
    is_there = state.extracted & state.with_codes
    return (state.trained & state.to_score) - is_there - state.has_failed("postprocess")
