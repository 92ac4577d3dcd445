"""What there is: a Job of ours as plain numbers, and what the store holds of one cell. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

from disentanglement.cluster.names import (
    CELL_LABEL,
    EXCUSED_ANNOTATION,
    GENERATION_ANNOTATION,
    MODELS_ANNOTATION,
    PACK_ANNOTATION,
    PLAN_ANNOTATION,
    QUEUE_LABEL,
    STEP_LABEL,
    STUDY_LABEL,
    WORKER_CONTAINER,
)
from disentanglement.errors import SpecError
from disentanglement.specs import STEPS, Step
from disentanglement.steps.one_shot import parse_numbers

Numbers = frozenset[int]
NONE: Numbers = frozenset()

FAILED_INDEXES = "FailedIndexes"
"""The reason of a Job all of whose indexes have come to an end, some of them a bad one."""
POD_FAILURE_POLICY = "PodFailurePolicy"
"""The reason of a Job that was given up because a pod ended with exit code 79."""


@dataclass(frozen=True)
class CellState:
    """What the store holds of one cell of a plan, as numbers of models. The controller makes one per listing."""

    trained: Numbers = NONE
    """Whose training is committed."""
    extracted: Numbers = NONE
    """All of whose representations are committed."""
    scored: Numbers = NONE
    """All of whose scores are committed."""
    to_score: Numbers = NONE
    """With a score that is neither committed nor failed."""
    failed: Mapping[Step, Numbers] = field(default_factory=dict)
    """By step: with a failure record that no manifest beats."""
    with_codes: Numbers = NONE
    """Whose codes are there."""

    def has_failed(self, step: Step) -> Numbers:
        """Models with a failure of this step."""
        return self.failed.get(step, NONE)

    @cached_property
    def any_failed(self) -> Numbers:
        """Models with a failure of any step."""
        return NONE.union(*self.failed.values())


@dataclass(frozen=True)
class JobView:
    """A Job of ours, without what nobody decides by. Indexes count groups of `pack` models."""

    name: str
    uid: str
    study: str
    step: Step
    cell: str
    models: tuple[int, ...]
    pack: int
    plan: str
    generation: int
    """The study's `retryGeneration` when the Job was made."""
    parallelism: int
    is_suspended: bool = False
    is_deleting: bool = False
    is_queued: bool = False
    """Kueue suspends and resumes it."""
    image: str = ""
    active: int = 0
    ready: int = 0
    terminating: int = 0
    completed: Numbers = NONE
    """Indexes that ended well."""
    failed: Numbers = NONE
    """Indexes that are tried no more."""
    pods_failed: int = 0
    """How many pods ended badly, whether their indexes are tried again or not."""
    excused: Numbers = NONE
    """Failed indexes that are no failure: their work is given to another Job."""
    end: Literal["", "Complete", "Failed"] = ""
    """Empty while it goes on."""
    end_reason: str = ""
    end_message: str = ""
    ended: str = ""
    """When, as the API writes times; they sort as text."""
    ttl_s: int | None = None
    """Seconds after its end at which Kubernetes forgets it; None: never."""

    @classmethod
    def from_object(cls, item: Mapping[str, Any]) -> JobView | None:
        """From an object of the API; None where it is not a Job of a study."""
        metadata, spec = item["metadata"], item["spec"]
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        step = labels.get(STEP_LABEL, "")
        if step not in STEPS or STUDY_LABEL not in labels or MODELS_ANNOTATION not in annotations:
            return None
        try:
            models = parse_numbers(annotations[MODELS_ANNOTATION])
            pack = int(annotations.get(PACK_ANNOTATION, "1"))
            generation = int(annotations.get(GENERATION_ANNOTATION, "0"))
            excused = parse_indexes(annotations.get(EXCUSED_ANNOTATION))
        except (SpecError, ValueError):  # made by hand
            return None
        if pack < 1:
            return None
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            study=labels[STUDY_LABEL],
            step=cast(Step, step),
            cell=annotations.get(CELL_LABEL) or labels.get(CELL_LABEL, ""),
            models=models,
            pack=pack,
            plan=annotations.get(PLAN_ANNOTATION, ""),
            generation=generation,
            parallelism=spec.get("parallelism", 1),
            is_suspended=bool(spec.get("suspend")),
            is_deleting=bool(metadata.get("deletionTimestamp")),
            is_queued=QUEUE_LABEL in labels,
            image=_image(spec),
            excused=excused,
            ttl_s=spec.get("ttlSecondsAfterFinished"),
            **_progress(item.get("status") or {}),
        )

    @property
    def is_finished(self) -> bool:
        """Whether no pod of it will run any more."""
        return bool(self.end)

    @property
    def is_waiting(self) -> bool:
        """Whether it has pods, and none of them has ever begun."""
        has_begun = self.ready or self.terminating or self.pods_failed or self.completed or self.failed
        return bool(self.active) and not self.is_finished and not has_begun

    @property
    def is_given_up(self) -> bool:
        """Whether it ended before all of its indexes did (another contract, a deadline)."""
        return self.end == "Failed" and self.end_reason != FAILED_INDEXES

    @property
    def num_groups(self) -> int:
        """How many indexes it has."""
        return -(-len(self.models) // self.pack)

    @cached_property
    def model_set(self) -> Numbers:
        """Its models."""
        return frozenset(self.models)

    @property
    def remaining(self) -> int:
        """Indexes that have not come to an end."""
        return 0 if self.is_finished else self.num_groups - len(self.completed) - len(self.failed)

    @property
    def pods(self) -> int:
        """The most pods that it may have now, those that are ending included."""
        if self.is_finished:
            return self.terminating
        return max(self.share, self.active + self.terminating)

    @property
    def share(self) -> int:
        """Pods that it is allowed now; Kueue may resume a Job of its own at any time."""
        is_at_rest = self.is_suspended and not self.is_queued
        return 0 if is_at_rest else min(self.parallelism, self.remaining)

    def models_of(self, index: int) -> tuple[int, ...]:
        """Models of one index."""
        return self.models[index * self.pack : (index + 1) * self.pack]

    def models_of_all(self, indexes: Collection[int]) -> Numbers:
        """Models of some indexes."""
        return frozenset(number for index in indexes for number in self.models_of(index))


def parse_indexes(text: str | None) -> Numbers:
    """`1,3-5,7` as Kubernetes writes finished indexes; an empty text has none."""
    return frozenset(parse_numbers(text)) if text else NONE


def _progress(status: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "active": status.get("active") or 0,
        "ready": status.get("ready") or 0,
        "terminating": status.get("terminating") or 0,
        "completed": parse_indexes(status.get("completedIndexes")),
        "failed": parse_indexes(status.get("failedIndexes")),
        "pods_failed": status.get("failed") or 0,
    }
    for condition in status.get("conditions") or ():
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True":
            found["end"] = condition["type"]
            found["end_reason"] = condition.get("reason", "")
            found["end_message"] = condition.get("message", "")
            found["ended"] = condition.get("lastTransitionTime") or ""
    return found


def _image(spec: Mapping[str, Any]) -> str:
    containers = ((spec.get("template") or {}).get("spec") or {}).get("containers") or ()
    return next((c.get("image", "") for c in containers if c.get("name") == WORKER_CONTAINER), "")
