"""What the Jobs that are there stand for: failures to be written down, work that needs no Job, Jobs to be forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from disentanglement.cluster.actions import Action, DeleteJob, EvictCodes, RecordFailures, UpdateJob
from disentanglement.cluster.state import CellState, JobView, Numbers
from disentanglement.cluster.wanted import Wanted
from disentanglement.specs import Step

KEPT_JOBS = 50
"""Ended Jobs that a study keeps at most; their work is in the store."""
MAX_EVICTED = 200
"""Models whose codes are removed in one look."""
SHORT_TTL_S = 60
"""For a Job that ended without having done or failed all of its work: soon that is given to another."""


@dataclass
class Account:
    """What follows from the Jobs of a study."""

    actions: list[Action] = field(default_factory=list)
    unsettled: set[str] = field(default_factory=set)
    """Jobs with failed indexes that are not written down yet: they must not go."""
    blocked: set[tuple[Step, str]] = field(default_factory=set)
    """Steps of cells whose Job was given up; as long as it stands, no other one is tried."""
    _covered: dict[tuple[Step, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    _num_evicted: int = 0
    _in_training: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def covered(self, step: Step, cell: str) -> Numbers:
        """Models of a cell that have a Job for this step."""
        return frozenset(self._covered.get((step, cell), ()))

    def in_training(self, cell: str) -> Numbers:
        """Models of a cell whose trainer may still extract. Not even one that has done so is released before its Job
        ends: what an index that completes has written may not be listed yet."""
        return frozenset(self._in_training.get(cell, ()))

    def cover_as(self, step: Step, cell: str, models: Iterable[int]) -> None:
        """These models need no Job for this step."""
        self._covered[step, cell].update(models)

    def evict(self, cell: str, models: tuple[int, ...]) -> None:
        """Nobody here needs the codes of these models, of which as many go as one look may remove."""
        chosen = models[: MAX_EVICTED - self._num_evicted]
        self._num_evicted += len(chosen)
        if chosen:
            self.actions.append(EvictCodes(cell, chosen))

    def cover(self, job: JobView, models: Numbers) -> None:
        """These models need no other Job."""
        self.cover_as(job.step, job.cell, models)
        if job.step == "train" and not job.is_finished:
            self._in_training[job.cell] |= models - job.models_of_all(job.failed)


def account(wanted: Wanted, cells: Mapping[str, CellState], jobs: Sequence[JobView]) -> Account:
    """Goes through the Jobs of a study, each on its own."""
    books = Account()
    forgettable: list[JobView] = []
    for job in jobs:
        state = cells.get(job.cell)
        if job.is_deleting or state is None:
            books.cover(job, job.model_set)
        elif job.is_given_up and wanted.asks_for(job):
            books.actions += _failures(wanted, books, job, state)
            _block(wanted, books, job)
        else:
            _count(wanted, books, job, state)
            if job.is_finished and job.name not in books.unsettled:
                if codes := _no_longer_needed(wanted, job, state):
                    books.evict(job.cell, codes)  # and only then is the Job forgotten
                else:
                    books.actions += _forgotten(wanted, job, state)
                    forgettable.append(job)
    books.actions += _trimmed(forgettable, cells)
    return books


def _block(wanted: Wanted, books: Account, job: JobView) -> None:
    """A Job that was given up stands, as a memory, until something has changed that lets it succeed."""
    books.cover(job, job.model_set)
    image = wanted.images.get(job.step, "")
    has_changed = bool(image and job.image and image != job.image)
    if has_changed and job.name not in books.unsettled:
        books.actions.append(DeleteJob(job.name, job.uid, f"the image is {image} now"))
    else:
        books.blocked.add((job.step, job.cell))


def _count(wanted: Wanted, books: Account, job: JobView, state: CellState) -> None:
    if not wanted.asks_for(job):
        # Failures before a retry are forgotten. Those of an earlier plan say nothing of this one: it may have scores
        # that nobody has tried. What was lost is tried again, and written down then.
        if not job.is_finished:
            books.cover(job, job.model_set - job.models_of_all(job.failed))
        return
    excused = frozenset() if job.is_finished else job.models_of_all(job.excused)
    books.cover(job, job.model_set - excused)  # once it has ended, its name may be taken still: that stands shortly
    books.actions += _failures(wanted, books, job, state)


def _failures(wanted: Wanted, books: Account, job: JobView, state: CellState) -> Iterator[RecordFailures]:
    known = frozenset(wanted.cells.get(job.cell, ()))
    for index in sorted(job.failed - job.excused):
        numbers = tuple(number for number in job.models_of(index) if number in known)
        for step, models in _to_blame(job, numbers, state):
            books.unsettled.add(job.name)
            books.cover_as(step, job.cell, models)  # about to be written down: nobody tries them again
            yield RecordFailures(job.name, step, job.cell, index, models)


def _to_blame(job: JobView, models: tuple[int, ...], state: CellState) -> Iterator[tuple[Step, tuple[int, ...]]]:
    """Which step of which models has neither a commit nor a record, after their index has failed.

    Codes that were extracted once and can't be again are a failure of the scores that need them. A trainer that
    failed after the training is not blamed: an extraction of its own comes next. An evaluation without codes was
    asked too much, and comes again after them.
    """
    match job.step:
        case "train":
            yield from _some("train", models, frozenset(models) - state.trained - state.has_failed("train"))
        case "postprocess":
            never = frozenset(models) - state.extracted - state.has_failed("postprocess")
            yield from _some("postprocess", models, never)
            yield from _some("evaluate", models, (state.extracted & state.to_score) - state.with_codes)
        case "evaluate":
            yield from _some("evaluate", models, state.to_score & state.extracted & state.with_codes)


def _some(step: Step, models: tuple[int, ...], among: Numbers) -> Iterator[tuple[Step, tuple[int, ...]]]:
    if chosen := tuple(number for number in models if number in among):
        yield step, chosen


def _no_longer_needed(wanted: Wanted, job: JobView, state: CellState) -> tuple[int, ...]:
    """Models that a Job has scored, or given up, and whose codes go for that reason.

    Codes belong to models, which studies share. So a study removes them once, at the end of its own evaluations, and
    never when it finds them later: those were extracted again by a study that still has scores to compute, and the two
    would undo each other's work for ever.
    """
    if job.step != "evaluate" or job.ttl_s is not None or not (wanted.evicts_codes and wanted.has_scores):
        return ()
    done = (state.with_codes & state.trained & state.extracted) - state.to_score
    return tuple(number for number in job.models if number in done)


def _forgotten(wanted: Wanted, job: JobView, state: CellState) -> Iterator[Action]:
    """An ended Job whose failures are written down may go, by the cluster's own clock."""
    if job.ttl_s is not None:
        return
    if wanted.asks_for(job) and _unfinished(job, state):
        yield UpdateJob(job.name, ttl_s=min(SHORT_TTL_S, wanted.finished_jobs_s))
    else:
        yield UpdateJob(job.name, ttl_s=0 if job.step == "postprocess" else wanted.finished_jobs_s)


def _unfinished(job: JobView, state: CellState) -> Numbers:
    """Models of an ended Job that have neither what it was for nor a record."""
    match job.step:
        case "train":
            return job.model_set - state.trained - state.has_failed("train")
        case "postprocess":
            lacking = (job.model_set & state.to_score) - (state.extracted & state.with_codes)
            return lacking - state.has_failed("postprocess")
        case "evaluate":
            return job.model_set & state.to_score


def _trimmed(jobs: Sequence[JobView], cells: Mapping[str, CellState]) -> Iterator[Action]:
    """Of very many ended Jobs the oldest go at once."""
    done = sorted((job for job in jobs if not _unfinished(job, cells[job.cell])), key=lambda job: job.ended)
    for job in done[: max(0, len(done) - KEPT_JOBS)]:
        if job.ttl_s != 0:
            yield UpdateJob(job.name, ttl_s=0)
