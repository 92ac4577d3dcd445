"""The status of a Study, from the store and the Jobs alone: whoever computes it again gets the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from disentanglement.cluster.conditions import Finding, Problem, accepted, counted, dated, degraded
from disentanglement.cluster.resource import MAX_FAILURES, Counts, Failure, Phase, StudyStatus
from disentanglement.cluster.state import CellState, JobView, Numbers
from disentanglement.cluster.wanted import Wanted

LONGEST_FAILURE = 500
DONE = CellState()
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True)
class Progress:
    """How far a study is."""

    counts: Counts
    settled: int
    """Models with nothing left to do."""
    running: int
    """Pods that work now."""
    has_work: bool
    """Whether a Job is there that has not ended."""
    given_up: tuple[JobView, ...]
    """Jobs that ended before their work did, about what is wanted now."""

    @property
    def is_settled(self) -> bool:
        """Whether every model has its scores, or a step that has failed for good."""
        return self.settled == self.counts.total


def progress(wanted: Wanted, cells: Mapping[str, CellState], jobs: Iterable[JobView]) -> Progress:
    """How far a study is, as the store and the Jobs say."""
    views = [job for job in jobs if not job.is_finished or job.is_given_up]
    going = [job for job in views if not job.is_finished]
    given_up = [job for job in views if job.is_given_up and not job.is_deleting and wanted.asks_for(job)]
    return Progress(
        counts=_counts(wanted, cells),
        settled=sum(len(_settled(wanted, cell, cells)) for cell in wanted.cells),
        running=sum(job.active for job in going),
        has_work=bool(going),
        given_up=tuple(given_up),
    )


def study_status(
    wanted: Wanted,
    found: Progress,
    *,
    generation: int,
    before: Mapping[str, Any],
    now: datetime,
    failures: Sequence[Failure] = (),
    problems: Sequence[Problem] = (),
    refused: Problem | None = None,
) -> StudyStatus:
    """The status of a study that is worked off.

    `before` is the present status as the API has it, for the times in its conditions; `failures` are the first ones;
    `problems` what the cluster tells (an image that is not there, no GPU, a queue without Kueue), the worst first.
    `refused` is what of the study is not worked off: the rest may fail, but does not succeed: it ends as `Invalid`.
    """
    phase = _phase(wanted, found)
    if refused is not None and phase == "Succeeded":
        phase = "Invalid"
    findings = [accepted(refused), _progressing(phase, found), _complete(phase, found)]
    known = [] if refused is None else [refused]
    findings.append(degraded([*known, *_given_up(found), *problems, *_failed(found.counts)]))
    return StudyStatus(
        observed_generation=generation,
        observed_retry_generation=min(wanted.cleared_generation, wanted.generation),
        plan=wanted.plan,
        phase=phase,
        counts=found.counts,
        running=found.running,
        conditions=dated(findings, before.get("conditions") or (), now=now, generation=generation),
        failures=tuple(_short(failure) for failure in failures[:MAX_FAILURES]),
    )


def invalid_status(
    problem: Problem, *, generation: int, before: Mapping[str, Any], now: datetime, running: int = 0
) -> StudyStatus:
    """The status of a study that can't be worked off as it is written; what was counted stays, and so do its pods."""
    findings = [
        accepted(problem),
        Finding("Progressing", "False", problem.reason),
        Finding("Complete", "False", problem.reason),
        degraded([problem]),
    ]
    counts = before.get("counts") or {}
    return StudyStatus(
        observed_generation=generation,
        observed_retry_generation=int(before.get("observedRetryGeneration") or 0),
        plan=str(before.get("plan") or ""),
        phase="Invalid",
        counts=Counts(**{name: int(counts.get(name) or 0) for name in Counts.model_fields}),
        running=running,
        conditions=dated(findings, before.get("conditions") or (), now=now, generation=generation),
    )


def troubled_status(problem: Problem, *, generation: int, before: Mapping[str, Any], now: datetime) -> StudyStatus:
    """The status of a study of which nothing can be learnt now (store down); all else stays as it was told last."""
    standing = {entry.get("type"): entry for entry in before.get("conditions") or ()}
    kept = [
        Finding(name, entry["status"], entry.get("reason") or "Unknown", entry.get("message") or "")
        for name in ("Accepted", "Progressing", "Complete")
        if (entry := standing.get(name))
    ]
    counts = before.get("counts") or {}
    return StudyStatus(
        observed_generation=generation if not before else int(before.get("observedGeneration") or 0),
        observed_retry_generation=int(before.get("observedRetryGeneration") or 0),
        plan=str(before.get("plan") or ""),
        phase=next((phase for phase in PHASES if phase == before.get("phase")), "Pending"),
        counts=Counts(**{name: int(counts.get(name) or 0) for name in Counts.model_fields}),
        running=int(before.get("running") or 0),
        conditions=dated([*kept, degraded([problem])], before.get("conditions") or (), now=now, generation=generation),
    )


def _counts(wanted: Wanted, cells: Mapping[str, CellState]) -> Counts:
    states = [(frozenset(numbers), cells.get(cell, DONE)) for cell, numbers in wanted.cells.items()]
    return Counts(
        total=sum(len(numbers) for numbers, _ in states),
        trained=sum(len(numbers & state.trained) for numbers, state in states),
        evaluated=sum(len(numbers & state.trained & state.scored) for numbers, state in states),
        failed=sum(len(numbers & state.any_failed) for numbers, state in states),
    )


def _settled(wanted: Wanted, cell: str, cells: Mapping[str, CellState]) -> Numbers:
    state = cells.get(cell, DONE)
    lost = state.has_failed("train") - state.trained
    if not wanted.has_scores:
        return frozenset(wanted.cells[cell]) & (state.trained | lost)
    return frozenset(wanted.cells[cell]) & ((state.trained - state.to_score) | lost | state.has_failed("postprocess"))


def _phase(wanted: Wanted, found: Progress) -> Phase:
    awaits_retry = wanted.cleared_generation < wanted.generation
    if found.is_settled and not awaits_retry:
        return "Failed" if found.counts.failed else "Succeeded"
    if wanted.is_paused:
        return "Paused"
    if found.has_work:
        return "Running" if found.running else "Pending"
    return "Failed" if found.given_up and not awaits_retry else "Pending"


def _progressing(phase: Phase, found: Progress) -> Finding:
    match phase:
        case "Running":
            return Finding("Progressing", "True", "Working", counted(found.running, "pod works", "pods work"))
        case "Pending":
            waiting = "no pod works now: nodes, or the next try, are waited for"
            what = waiting if found.has_work else "the next Jobs are about to be made"
            return Finding("Progressing", "True", "Waiting", what)
        case "Paused":
            return Finding("Progressing", "False", "Paused", "set spec.paused to false to let it go on")
        case _:
            return Finding("Progressing", "False", "NothingLeft")


def _complete(phase: Phase, found: Progress) -> Finding:
    counts = found.counts
    told = f"{counts.trained} of {counts.total} models trained, {counts.evaluated} evaluated, {counts.failed} failed"
    if phase == "Succeeded":
        return Finding("Complete", "True", "AllDone", told)
    if found.is_settled and phase == "Failed":
        return Finding("Complete", "True", "SomeFailed", told)
    return Finding("Complete", "False", "WorkLeft", told)


def _given_up(found: Progress) -> list[Problem]:
    if not found.given_up:
        return []
    job = found.given_up[0]
    where = f"{job.step} of {job.cell} (Job {job.name})"
    if job.end_reason == "PodFailurePolicy":
        message = (
            f"{where}: the image {job.image} is of another contract version than the plan and would compute other "
            "numbers: let the ConfigMap worker-images name the image of the plan's release, or submit the study under "
            "another name"
        )
        return [Problem("OtherContract", message)]
    message = f"{where} was given up: {job.end_reason}: {job.end_message}; raise spec.retryGeneration to try it again"
    return [Problem("JobGivenUp", message)]


def _failed(counts: Counts) -> list[Problem]:
    if not counts.failed:
        return []
    lost, them = counted(counts.failed, "model has", "models have"), "it" if counts.failed == 1 else "them"
    message = f"{lost} failed; raise spec.retryGeneration to try {them} again"
    return [Problem("ModelsFailed", message)]


def _short(failure: Failure) -> Failure:
    return failure.replace(message=failure.message[:LONGEST_FAILURE])
