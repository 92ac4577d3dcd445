"""Jobs and a store as the small model of a cluster (small_cluster.py) has them, and how the controller reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from disentanglement.cluster.actions import CreateJob
from disentanglement.cluster.state import CellState, JobView
from disentanglement.specs import Step

LAST_TRY = 3
MOST_WAITS = 7
IMAGE = "image:1"


class Fate(Enum):
    """How a pod's work on one model ends."""

    DONE = "done"
    REFUSED = "refused"
    """A failure record and exit code 78."""
    LOST = "lost"
    """It fails at every try and says nothing."""
    RETRIED = "retried"
    """It fails once."""
    WAITS = "waits"
    """Exit code 75 at every try, until the worker itself has had enough."""
    OTHER_CONTRACT = "other contract"
    """Exit code 79."""


Choose = Callable[[Step, int, int], Fate]
"""By step, model and retry generation."""


@dataclass
class Pod:
    """One try at one index."""

    index: int
    is_ending: bool = False


@dataclass
class Job:
    """A Job as Kubernetes keeps it."""

    made: CreateJob
    uid: str
    parallelism: int
    is_queued: bool
    is_suspended: bool
    is_deleting: bool = False
    image: str = IMAGE
    pods: list[Pod] = field(default_factory=list)
    tries: dict[int, int] = field(default_factory=dict)
    blamed: set[int] = field(default_factory=set)
    """Indexes with a try that did more than wait."""
    excused: set[int] = field(default_factory=set)
    completed: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    end: str = ""
    end_reason: str = ""
    ended_at: int = 0
    ttl_s: int | None = None

    def models(self, index: int) -> tuple[int, ...]:
        """Of an index."""
        return self.made.models[index * self.made.pack : (index + 1) * self.made.pack]

    @property
    def open_indexes(self) -> list[int]:
        """Neither ended nor with a pod."""
        busy = {pod.index for pod in self.pods}
        return [i for i in range(self.made.num_groups) if i not in self.completed | self.failed | busy]

    def view(self) -> JobView:
        """As the controller reads it."""
        return JobView(
            name=self.made.name,
            uid=self.uid,
            study="study",
            step=self.made.step,
            cell=self.made.cell,
            models=self.made.models,
            pack=self.made.pack,
            plan=self.made.plan,
            generation=self.made.generation,
            parallelism=self.parallelism,
            is_suspended=self.is_suspended,
            is_deleting=self.is_deleting,
            is_queued=self.is_queued,
            image=self.image,
            active=sum(not pod.is_ending for pod in self.pods),
            terminating=sum(pod.is_ending for pod in self.pods),
            completed=frozenset(self.completed),
            failed=frozenset(self.failed),
            excused=frozenset(self.excused),
            end=self.end,  # type: ignore[arg-type]
            end_reason=self.end_reason,
            ended=f"{self.ended_at:012d}",
            ttl_s=self.ttl_s,
        )


@dataclass
class SmallStore:
    """What is committed and what has failed, by model; a score is (model, metric)."""

    trained: set[int] = field(default_factory=set)
    extracted: set[int] = field(default_factory=set)
    codes: set[int] = field(default_factory=set)
    scores: set[tuple[int, int]] = field(default_factory=set)
    failed: set[tuple[Step, int]] = field(default_factory=set)
    """Failed trainings and extractions."""
    failed_scores: set[tuple[int, int]] = field(default_factory=set)
    tried_scores: set[tuple[int, int]] = field(default_factory=set)
    cleared: int = 0
    waits: dict[tuple[Step, int], int] = field(default_factory=dict)

    def state(self, numbers: Iterable[int], metrics: int) -> CellState:
        """Of some models, with so many metrics wanted."""
        cell = frozenset(numbers)
        wanted = {number: {(number, metric) for metric in range(metrics)} for number in cell}
        failed: dict[Step, frozenset[int]] = {
            "train": frozenset(n for n in cell if ("train", n) in self.failed) - self.trained,
            "postprocess": frozenset(n for n in cell if ("postprocess", n) in self.failed) - self.extracted,
            "evaluate": frozenset(n for n in cell if wanted[n] & (self.failed_scores - self.scores)),
        }
        return CellState(
            trained=cell & self.trained,
            extracted=cell & self.extracted,
            scored=frozenset(n for n in cell if wanted[n] <= self.scores),
            to_score=frozenset(n for n in cell if wanted[n] - self.scores - self.failed_scores),
            failed=failed,
            with_codes=cell & self.codes,
        )
