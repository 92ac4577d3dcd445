"""Studies without services: submitted to the store, run in worker processes of this command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from disentanglement.cli.settings import Place
from disentanglement.cli.study_view import Count, Running, StudyState
from disentanglement.cluster.names import store_name
from disentanglement.errors import ArtifactNotFound, Interrupted, SpecError

if TYPE_CHECKING:
    from disentanglement.specs import StudySpec
    from disentanglement.steps.driver import StudyEvent
    from disentanglement.steps.ledger import StudyLedger
    from disentanglement.storage.store import Store
    from disentanglement.studies.pending import StepId, WorkItem
    from disentanglement.studies.plan import Plan
    from disentanglement.studies.progress import StudySnapshot

POLL_S = 2.0
CTRL_C = "stopping"
Show = Callable[[StudyState, bool], None]


@dataclass(frozen=True, slots=True)
class LocalStudy:
    """A submitted study and its plan."""

    place: Place
    store: Store
    name: str
    plan: Plan

    @property
    def ledger(self) -> StudyLedger:
        """What the store says of its steps."""
        from disentanglement.steps.ledger import StudyLedger

        return StudyLedger(self.store, self.place.project, self.name)

    def state(self) -> StudyState:
        """How far it is, from the store alone."""
        from disentanglement.studies.progress import StudyProgress

        ledger = self.ledger
        committed, failed = ledger.committed(self.plan), ledger.failed(self.plan)
        progress = StudyProgress(self.plan.models, committed, failed, workers=1, clock=time.monotonic)
        return state_of(progress.snapshot())

    def run(self, *, workers: int, devices: Sequence[str], show: Show, note: Callable[[str], None]) -> StudyState:
        """Runs what is pending; a signal stops it with checkpoints in place.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            Interrupted: SIGTERM, or the study was cancelled by another command.
        """
        return asyncio.run(_run(self, workers=workers, devices=devices, show=show, note=note))

    def watch(self, show: Show) -> StudyState:
        """Follows what others commit until nothing is left, or the study is cancelled."""
        from disentanglement.studies.progress import StudyProgress
        from disentanglement.studies.records import is_study_cancelled

        ledger = self.ledger
        committed, failed = ledger.committed(self.plan), ledger.failed(self.plan)
        progress = StudyProgress(self.plan.models, committed, failed, workers=1, clock=time.monotonic)
        while True:
            state = state_of(progress.snapshot())
            show(state, False)
            stopped = is_study_cancelled(self.store, self.place.project, self.name)
            if state.eta_s is None or not _can_go_on(self.plan, committed, failed) or stopped:
                return state
            time.sleep(POLL_S)
            committed, failed = ledger.committed(self.plan), ledger.failed(self.plan)
            _tell(progress.commit, committed)
            _tell(progress.fail, failed)


def submit(place: Place, study: StudySpec, *, replace: bool = False) -> LocalStudy:
    """Expands a study and writes it to the store. Nothing is written unless all of it is right.

    Raises:
        SpecError: naming each wrong field; also for a data set that the store does not hold.
        NotBuiltYet: the study asks for something that this release does not do.
        ArtifactConflict: another study of this name stands.
    """
    from disentanglement.studies.records import submit_study

    store, plan = _expanded(place, study)
    submit_study(store, study, plan, project=place.project, now=datetime.now(UTC), replace=replace)
    return LocalStudy(place, store, study.name, plan)


def resubmit(place: Place, name: str) -> LocalStudy:
    """A study that was submitted before, to go on with: it is no longer cancelled."""
    from disentanglement.studies.records import load_study

    return submit(place, load_study(place.open(), place.project, name).study_spec())


def count(place: Place, study: StudySpec) -> dict[str, int]:
    """How many steps of each kind a study has; checks it without writing anything."""
    from collections import Counter

    from disentanglement.studies.pending import steps_of

    _, plan = _expanded(place, study)
    return dict(Counter(item.step for model in plan.models for item in steps_of(model)))


def find(place: Place, name: str) -> LocalStudy:
    """A study that was submitted before.

    Raises:
        ArtifactNotFound: there is none; with where it was looked for, and where else it may be.
    """
    from disentanglement.studies.records import load_plan, load_study

    store = place.open()
    try:
        record = load_study(store, place.project, name)
    except ArtifactNotFound as error:
        other = "studies in a Kubernetes cluster: --cluster; those of an aggregator: --server HOST:PORT"
        raise ArtifactNotFound(f"{error} in the store {place.store_url} ({other})") from None
    return LocalStudy(place, store, name, load_plan(store, record.plan))


def read_file(path: Path) -> StudySpec:
    """The study in a YAML file.

    Raises:
        ArtifactNotFound: there is no such file.
        SpecError: naming each wrong field.
    """
    from disentanglement.specs.parsing import MAX_YAML_BYTES
    from disentanglement.studies.metric_lists import parse_study_yaml

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_YAML_BYTES + 1)
    except FileNotFoundError:
        raise ArtifactNotFound(f"there is no file {path}") from None
    except OSError as error:
        raise SpecError.of("file", "a file that can be read", f"{path}: {error.strerror}") from error
    try:
        return parse_study_yaml(data.decode())
    except UnicodeDecodeError as error:
        raise SpecError.of("document", "text in UTF-8", f"byte {error.object[error.start]:#04x}") from error


def name_of(study: str) -> str:
    """The name in a study file, or a study's own; as a cluster writes it (`quick-start`), it is `quick_start`."""
    return read_file(Path(study)).name if is_file(study) else store_name(study)


def is_file(text: str) -> bool:
    """Whether an argument FILE_OR_ID means a file."""
    return text.endswith((".yaml", ".yml", ".json")) or os.sep in text or Path(text).is_file()


def state_of(snapshot: StudySnapshot, notes: dict[StepId, str] | None = None) -> StudyState:
    """The driver's snapshot as it is shown."""
    notes = notes or {}
    return StudyState(
        counts={step: Count(count.total, count.committed, count.failed) for step, count in snapshot.steps.items()},
        fraction=snapshot.fraction,
        eta_s=snapshot.eta_s,
        elapsed_s=snapshot.elapsed_s,
        running=tuple(Running(text_of(item), part, notes.get(item.id, "")) for item, part in snapshot.running),
    )


def text_of(item: WorkItem) -> str:
    """`model 3: train`, `model 3: extract`, `model 3: dci`."""
    from disentanglement.specs import EvaluateSpec, PostprocessSpec

    match item.spec:
        case EvaluateSpec():
            what = item.spec.metric.label
        case PostprocessSpec():
            what = f"extract ({item.spec.representation.word})"
        case _:
            what = "train"
    return f"model {item.number}: {what}"


def _expanded(place: Place, study: StudySpec) -> tuple[Store, Plan]:
    from disentanglement.specs.plugins import EVERYTHING
    from disentanglement.steps.admission import admit_study

    store = place.open()
    return store, admit_study(store, study, project=place.project, trusted=EVERYTHING)


def _can_go_on(plan: Plan, committed: set[StepId], failed: set[StepId]) -> bool:
    from disentanglement.studies.pending import pending

    return next(pending(plan.models, committed, failed), None) is not None


def _tell(heard: Callable[[StepId], None], steps: set[StepId]) -> None:
    for step_id in steps:
        heard(step_id)


class _Watcher:
    """Turns the driver's events into what is shown."""

    def __init__(self, show: Show, note: Callable[[str], None]) -> None:
        self._show = show
        self._note = note
        self._notes: dict[StepId, str] = {}

    def __call__(self, event: StudyEvent) -> None:
        item = event.item
        if item is not None:
            if event.progress is not None:
                self._notes[item.id] = event.progress.note
            elif event.kind in ("committed", "failed"):
                self._notes.pop(item.id, None)
            if event.kind == "failed":
                self._note(f"failed: {text_of(item)}: {event.error}")
            elif event.kind == "retrying":
                self._note(f"trying again: {text_of(item)}: {event.error}")
        self._show(state_of(event.snapshot, self._notes), event.kind in ("committed", "failed", "checked"))


async def _run(
    study: LocalStudy, *, workers: int, devices: Sequence[str], show: Show, note: Callable[[str], None]
) -> StudyState:
    from disentanglement.steps.local import run_study

    running = asyncio.ensure_future(
        run_study(
            study.plan,
            study.ledger,
            workers=workers,
            devices=devices,
            env=study.place.environment(),
            watch=_Watcher(show, note),
        )
    )
    reasons: list[str] = []

    def stop(reason: str) -> None:
        reasons.append(reason)
        note(f"{reason}: running steps write checkpoints (Ctrl-C: don't wait for them)")
        running.cancel()

    with _on_signals(stop):
        guard = asyncio.create_task(_stop_when_cancelled(study, stop))
        try:
            return state_of(await running)
        except asyncio.CancelledError:
            if CTRL_C in reasons:
                raise KeyboardInterrupt from None
            raise Interrupted(f"{' and '.join(reasons)}; checkpoints are kept") from None
        finally:
            guard.cancel()


async def _stop_when_cancelled(study: LocalStudy, stop: Callable[[str], None]) -> None:
    from disentanglement.studies.records import is_study_cancelled

    while not await asyncio.to_thread(is_study_cancelled, study.store, study.place.project, study.name):
        await asyncio.sleep(POLL_S)
    stop("the study was cancelled")


@contextlib.contextmanager
def _on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """The first signal stops gently; a second Ctrl-C is Python's own."""
    loop = asyncio.get_running_loop()

    def stop_gently(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        stop(CTRL_C if number == signal.SIGINT else "stopped by SIGTERM")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_gently, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
