"""How far a study is and how long it will still take, from the first second on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from disentanglement.specs import STEPS, EvaluateSpec, PostprocessSpec, Step, StepSpec, TrainSpec
from disentanglement.studies.pending import StepId, WorkItem, steps_of
from disentanglement.studies.plan import PlannedModel

# Rough seconds on one core, only to weigh steps against each other; what was measured replaces their scale.
SECONDS_PER_TRAINING_IMAGE = 1.8e-3
SECONDS_PER_EVALUATED_IMAGE = 6e-4
SECONDS_PER_EXTRACTION = 155.0
SECONDS_PER_SHARED_EXTRACTION = 0.5
SECONDS_PER_METRIC = {"dci": 6e-4, "unified_scores": 6e-4, "factor_vae_score": 3e-4, "sap_score": 2e-5}
"""Per training point."""
SECONDS_PER_POINT = 1e-4


@dataclass(frozen=True, slots=True)
class StepCount:
    """How many steps of one kind there are, are committed, and have failed."""

    total: int
    committed: int
    failed: int


@dataclass(frozen=True, slots=True)
class StudySnapshot:
    """A study at one moment."""

    steps: dict[Step, StepCount]
    fraction: float
    """Share of the estimated work that is done."""
    eta_s: float | None
    """Seconds still to go; None when nothing is left that can run."""
    elapsed_s: float
    running: tuple[tuple[WorkItem, float], ...]
    """What runs now, with the share of each that is done."""


class StudyProgress:
    """Follows a study; `clock` gives seconds, `workers` how many steps run at once until that can be measured."""

    def __init__(
        self,
        models: Iterable[PlannedModel],
        committed: Collection[StepId],
        failed: Collection[StepId],
        *,
        workers: int,
        clock: Callable[[], float],
    ) -> None:
        self._costs: dict[StepId, float] = {}
        self._items: dict[StepId, WorkItem] = {}
        for item, cost in costs(models):
            self._costs[item.id], self._items[item.id] = cost, item
        self._committed = self._items.keys() & set(committed)
        self._failed = (self._items.keys() & set(failed)) - self._committed
        self._fractions: dict[StepId, float] = {}
        self._workers = workers
        self._clock = clock
        self._started = clock()
        self._total = sum(self._costs.values())
        self._found = self._done = sum(self._costs[item_id] for item_id in self._committed)
        self._lost = sum(self._costs[item_id] for item_id in self._failed)
        self._counts = {
            step: [sum(item_id[0] == step for item_id in ids) for ids in (self._items, self._committed, self._failed)]
            for step in STEPS
        }

    def report(self, item_id: StepId, fraction: float) -> None:
        """A running step has come so far."""
        self._fractions[item_id] = fraction

    def commit(self, item_id: StepId) -> None:
        """A step is committed."""
        self._fractions.pop(item_id, None)
        if item_id not in self._committed:
            self._committed.add(item_id)
            self._done += self._costs[item_id]
            self._counts[item_id[0]][1] += 1

    def fail(self, item_id: StepId) -> None:
        """A step has failed for good."""
        self._fractions.pop(item_id, None)
        if item_id not in self._failed:
            self._failed.add(item_id)
            self._lost += self._costs[item_id]
            self._counts[item_id[0]][2] += 1

    def snapshot(self) -> StudySnapshot:
        """The study now."""
        elapsed = self._clock() - self._started
        done = self._done + sum(self._costs[item_id] * part for item_id, part in self._fractions.items())
        return StudySnapshot(
            steps={step: StepCount(*counts) for step, counts in self._counts.items()},
            fraction=(done + self._lost) / self._total if self._total else 1.0,
            eta_s=self._eta(self._total - done - self._lost, done - self._found, elapsed),
            elapsed_s=elapsed,
            running=tuple((self._items[item_id], part) for item_id, part in self._fractions.items()),
        )

    def _eta(self, remaining: float, done_here: float, elapsed: float) -> float | None:
        if remaining <= 0:
            return None
        assumed_rate = float(self._workers)
        measured_rate = done_here / elapsed if elapsed > 0 else assumed_rate
        trust = min(1.0, done_here / (0.05 * (remaining + done_here)))  # the estimate gives way to what was measured
        return remaining / (trust * measured_rate + (1 - trust) * assumed_rate)


def costs(models: Iterable[PlannedModel]) -> Iterator[tuple[WorkItem, float]]:
    """Estimated seconds of every step on one core; the first representation of a model pays for the extraction."""
    for model in models:
        extracted = False
        for item in steps_of(model):
            yield item, estimated_seconds(item.spec, codes_exist=extracted)
            extracted = extracted or isinstance(item.spec, PostprocessSpec)


def estimated_seconds(spec: StepSpec, *, codes_exist: bool = False) -> float:
    """A rough guess for one core."""
    match spec:
        case TrainSpec():
            trained = spec.training_steps * spec.batch_size * SECONDS_PER_TRAINING_IMAGE
            return trained + spec.eval_steps * spec.batch_size * SECONDS_PER_EVALUATED_IMAGE
        case PostprocessSpec():
            return SECONDS_PER_SHARED_EXTRACTION if codes_exist else SECONDS_PER_EXTRACTION
        case EvaluateSpec():
            word, metric = spec.metric.selected
            points = getattr(metric, "num_train", 1000)
            num_train = max(points) if isinstance(points, tuple) else points
            return 0.5 + float(num_train) * SECONDS_PER_METRIC.get(word, SECONDS_PER_POINT)
