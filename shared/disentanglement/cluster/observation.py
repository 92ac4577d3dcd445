"""What the store holds of a study: which cells have to be listed again, and what the listings mean.

A listing of a cell's scores takes a quarter of a second in a large study, so a step of a cell is listed when a Job of
it came to something, and else now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from disentanglement.cluster.cell_keys import CellKeys, Flags
from disentanglement.cluster.state import NONE, CellState, JobView
from disentanglement.specs import STEPS, Step
from disentanglement.storage import prefixes
from disentanglement.storage.commit import list_committed
from disentanglement.storage.failures import list_failed
from disentanglement.storage.keys import CodesManifestKey
from disentanglement.storage.store import Store
from disentanglement.studies.pending import StepId

CHANGED_BY: Mapping[Step, tuple[Step, ...]] = {
    "train": ("train", "postprocess"),
    "postprocess": ("postprocess",),
    "evaluate": ("evaluate", "postprocess"),
}
"""Which steps a Job may bring further. Who evaluates may learn that codes are gone, which are listed with the
extractions."""
SHORTEST_S = 1.0
"""Between two listings of a step of a cell that runs."""
SHARE = 0.05
"""Of the time that may go into listings which nothing urgent asks for."""


@dataclass(slots=True)
class _Listing:
    """What is known of one kind of step in one cell, and since when."""

    committed_MS: Flags
    listed_at: float = -1e9
    took_s: float = 0.0
    is_urgent: bool = True
    has_news: bool = False


@dataclass(slots=True)
class CellObservation:
    """One cell, step by step."""

    keys: CellKeys
    listings: dict[Step, _Listing] = field(default_factory=dict)
    failed_MS: dict[Step, Flags] = field(default_factory=dict)
    codes_M: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    state: CellState | None = None
    """What follows from all that; None where it has to be worked out again."""

    @classmethod
    def of(cls, keys: CellKeys) -> CellObservation:
        """Nothing is known yet."""
        nothing = {step: np.zeros(keys.keys[step].digests_MS.shape, dtype=np.bool_) for step in STEPS}
        return cls(
            keys=keys,
            listings={step: _Listing(nothing[step].copy()) for step in STEPS},
            failed_MS=nothing,
            codes_M=np.zeros(len(keys.numbers_M), dtype=np.bool_),
        )

    def summary(self) -> CellState:
        """As numbers of models."""
        if self.state is None:
            self.state = self._summary()
        return self.state

    def _summary(self) -> CellState:
        committed = {step: self.listings[step].committed_MS for step in STEPS}
        failed = {step: self.failed_MS[step] & ~committed[step] for step in STEPS}
        numbers = self.keys.numbers
        return CellState(
            trained=numbers(_all(committed["train"])),
            extracted=numbers(_all(committed["postprocess"])),
            scored=numbers(_all(committed["evaluate"])),
            to_score=numbers(~_all(committed["evaluate"] | failed["evaluate"])),
            failed={step: numbers(~_all(~failed[step])) for step in STEPS if failed[step].any()},
            with_codes=numbers(self.codes_M),
        )


def _all(flags_MS: Flags) -> Flags:
    flags_M: Flags = np.all(flags_MS, axis=1)
    return flags_M


Fingerprint = tuple[frozenset[int], str]
"""Of a Job: failed indexes and how it ended. Another one means that its cell has to be listed at once."""


class StudyObservation:
    """What the store holds of one study's plan."""

    def __init__(
        self,
        store: Store,
        project: str,
        study: str,
        *,
        relist_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._project = project
        self._study = study
        self._relist_s = relist_s
        self._clock = clock
        self._fingerprints: dict[str, tuple[Fingerprint, JobView]] = {}
        self._completed: dict[str, int] = {}
        self._failures_listed: set[Step] = set()
        self._failed: dict[Step, dict[str, list[str]]] = {step: {} for step in STEPS}
        self.cells: dict[str, CellObservation] = {}

    def add_cell(self, keys: CellKeys) -> None:
        """A cell of the plan; it is listed before anything is decided."""
        self.cells[keys.cell] = CellObservation.of(keys)

    def see(self, jobs: Iterable[JobView]) -> None:
        """What the Jobs are now: whatever one of them came to is listed again."""
        seen: set[str] = set()
        for job in jobs:
            seen.add(job.uid)
            now: Fingerprint = (job.failed, job.end)
            before = self._fingerprints.get(job.uid)
            if now != (before[0] if before else (NONE, "")):
                self._mark(job, urgent=True)
            if len(job.completed) != self._completed.get(job.uid, 0):
                self._mark(job, urgent=False)
            self._fingerprints[job.uid] = (now, job)
            self._completed[job.uid] = len(job.completed)
        for uid in self._fingerprints.keys() - seen:
            self._mark(self._fingerprints.pop(uid)[1], urgent=True)
            self._completed.pop(uid, None)

    def expect_changes(self, cell: str | None = None, *, failures: bool = True) -> None:
        """We have written to the store ourselves: list again, in one cell or in all of them."""
        for name, observed in self.cells.items():
            if cell in (None, name):
                for listing in observed.listings.values():
                    listing.is_urgent = True
        if failures:
            self._failures_listed.clear()

    def refresh(self, budget_s: float) -> bool:
        """Lists what has to be listed, urgent things first; False if the time was up before the urgent ones were done.

        Raises:
            Unavailable, StoreRefused: the store.
        """
        until = self._clock() + budget_s
        for cell, step in self._urgent():
            if self._clock() > until:
                return False
            self._list(cell, step)
        for cell, step in self._due():
            if self._clock() > until:
                break
            self._list(cell, step)
        self._list_failures()
        return True

    def states(self) -> dict[str, CellState]:
        """Every cell, as numbers of models."""
        return {name: observed.summary() for name, observed in self.cells.items()}

    def failed_steps(self, most: int) -> list[tuple[int, StepId]]:
        """The first steps that have failed, with the numbers of their models: trainings before what follows them."""
        found: list[tuple[int, StepId]] = []
        for step in STEPS:
            for observed in self.cells.values():
                flags_MS = observed.failed_MS[step] & ~observed.listings[step].committed_MS
                for row, column in np.argwhere(flags_MS)[: most - len(found)]:
                    key = observed.keys.key(observed.keys.keys[step].digests_MS[row, column])
                    found.append((int(observed.keys.numbers_M[row]), (step, key)))
                if len(found) >= most:
                    return found
        return found

    def next_look_s(self) -> float:
        """In how many seconds something is due to be listed."""
        now = self._clock()
        waits = (self._due_at(listing) - now for _, _, listing in self._listings())
        return max(0.0, min(waits, default=self._relist_s))

    def _mark(self, job: JobView, *, urgent: bool) -> None:
        observed = self.cells.get(job.cell)
        if observed is None:
            return
        for step in CHANGED_BY[job.step]:
            listing = observed.listings[step]
            listing.has_news = True
            listing.is_urgent = listing.is_urgent or urgent
        if urgent:
            self._failures_listed -= set(CHANGED_BY[job.step])

    def _listings(self) -> Iterable[tuple[str, Step, _Listing]]:
        return [(cell, step, found) for cell, seen in self.cells.items() for step, found in seen.listings.items()]

    def _urgent(self) -> list[tuple[str, Step]]:
        return [(cell, step) for cell, step, listing in self._listings() if listing.is_urgent]

    def _due(self) -> list[tuple[str, Step]]:
        now = self._clock()
        due = [(self._due_at(listing), cell, step) for cell, step, listing in self._listings()]
        return [(cell, step) for at, cell, step in sorted(due) if at <= now]

    def _due_at(self, listing: _Listing) -> float:
        at_most = listing.took_s * len(self.cells) * len(STEPS) / SHARE
        return listing.listed_at + max(at_most, SHORTEST_S if listing.has_news else self._relist_s)

    def _list(self, cell: str, step: Step) -> None:
        observed = self.cells[cell]
        listing = observed.listings[step]
        began = self._clock()
        done = (key.digest for key in list_committed(self._store, step, cell))
        listing.committed_MS = observed.keys.keys[step].find(done)
        if step == "postprocess":
            observed.codes_M = self._list_codes(observed.keys)
        if not listing.has_news and not listing.is_urgent:
            self._failures_listed.discard(step)  # nothing told us to look: then nothing told us of failures either
        listing.listed_at = self._clock()
        listing.took_s = listing.listed_at - began
        listing.is_urgent = listing.has_news = False
        observed.state = None

    def _list_codes(self, keys: CellKeys) -> Flags:
        found = (info.key for info in self._store.list(prefixes.codes_in(keys.cell)))
        models = (
            key.train_key.digest
            for key in found
            if isinstance(key, CodesManifestKey) and key.data_digest == keys.data_digest
        )
        flags_M: Flags = keys.keys["train"].find(models)[:, 0]
        return flags_M

    def _list_failures(self) -> None:
        for step in STEPS:
            if step in self._failures_listed:
                continue
            by_cell: dict[str, list[str]] = {}
            for key in list_failed(self._store, self._project, self._study, step):
                by_cell.setdefault(key.cell, []).append(key.digest)
            for name in by_cell.keys() | self._failed[step].keys():
                if observed := self.cells.get(name):
                    observed.failed_MS[step] = observed.keys.keys[step].find(by_cell.get(name, ()))
                    observed.state = None
            self._failed[step] = by_cell
            self._failures_listed.add(step)
