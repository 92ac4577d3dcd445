"""What can be listed: the beginnings of keys. Like keys, they are made here only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from disentanglement.errors import SpecError
from disentanglement.specs import Step, StepKey
from disentanglement.storage.keys import (
    ArtifactKey,
    CodesKey,
    CodesManifestKey,
    DatasetKey,
    EvaluationKey,
    FailureKey,
    JobKey,
    Key,
    ManifestKey,
    NameKey,
    PlanKey,
    ProbeKey,
    StudyKey,
    UploadKey,
)

_ZERO_STEP = StepKey("a", "a", "a" * 52)
_ZERO_DIGEST = "0" * 64
_ZERO_ATTEMPT = "0" * 16


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of the keys of some objects."""

    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(?:[A-Za-z0-9_-]|(?<=[A-Za-z0-9_-])[./])*", self.text, re.ASCII):
            raise SpecError.of("prefix", "the beginning of a key", repr(self.text))

    def __str__(self) -> str:
        return self.text

    @classmethod
    def up_to(cls, key: Key, part: str) -> Self:
        """What stands in `key` before the value of its field `part`."""
        return cls(key.LAYOUT[: key.LAYOUT.index(f"{{{part}}}")].format_map(_Parts(key)))


class _Parts(dict[str, str]):
    def __init__(self, key: Key) -> None:
        self._key = key

    def __missing__(self, name: str) -> str:
        return str(getattr(self._key, name))


EVERYTHING = Prefix("")


def data_sets() -> Prefix:
    """Files of every imported data set."""
    return Prefix.up_to(DatasetKey("a", _ZERO_DIGEST, "a"), "name")


def data_set_versions(name: str) -> Prefix:
    """Files of one data set, whatever its digest."""
    return Prefix.up_to(DatasetKey(name, _ZERO_DIGEST, "a"), "digest")


def uploads() -> Prefix:
    """Every array that a client sent."""
    return Prefix.up_to(UploadKey(_ZERO_DIGEST), "sha256")


def attempts(step: Step | None = None, step_key: StepKey | None = None, attempt: str | None = None) -> Prefix:
    """Files of every attempt, of the attempts at a step, or of one attempt."""
    key = ArtifactKey(step or "train", step_key or _ZERO_STEP, attempt or _ZERO_ATTEMPT, "a")
    given = sum(part is not None for part in (step, step_key, attempt))
    return Prefix.up_to(key, ("step", "step_key", "attempt", "name")[given])


def manifests(step: Step | None = None, cell: str = "") -> Prefix:
    """Every manifest, those of a step, or those of a step in the cell `<data set>.<method>`."""
    if step is None:
        return Prefix.up_to(ManifestKey("train", _ZERO_STEP), "step")
    return _of_cell(Prefix.up_to(ManifestKey(step, _ZERO_STEP), "step_key"), cell)


def codes(train_key: StepKey | None = None) -> Prefix:
    """Files of every model's codes, or of one model's."""
    key = CodesManifestKey(train_key or _ZERO_STEP, _ZERO_DIGEST)
    return Prefix.up_to(key, "train_key" if train_key is None else "data_digest")


def codes_in(cell: str) -> Prefix:
    """Files of the codes of every model in the cell `<data set>.<method>`."""
    return _of_cell(codes(), cell)


def codes_of(key: CodesManifestKey, attempt: str) -> Prefix:
    """Files of one attempt at extracting a model's codes."""
    return Prefix.up_to(CodesKey(key.train_key, key.data_digest, key.draws, attempt, "a"), "file")


def plan(digest: str) -> Prefix:
    """Every cell of a plan."""
    return Prefix.up_to(PlanKey(digest, "a"), "cell")


def studies(project: str) -> Prefix:
    """Everything below the studies of a project."""
    return Prefix.up_to(StudyKey(project, "a"), "study")


def failures(project: str, study: str, step: Step, cell: str = "") -> Prefix:
    """Failure records of a study's step, or of one cell of it."""
    return _of_cell(Prefix.up_to(FailureKey(project, study, step, _ZERO_STEP), "step_key"), cell)


def jobs(project: str, step: Step) -> Prefix:
    """Everything below the jobs of a project for one kind of step."""
    return Prefix.up_to(JobKey(project, step, "a"), "job")


def evaluations(project: str) -> Prefix:
    """The evaluations that a project asked for."""
    return Prefix.up_to(EvaluationKey(project, "a"), "evaluation")


def names(project: str) -> Prefix:
    """The names that users of a project gave."""
    return Prefix.up_to(NameKey(project, "a"), "name")


def probes() -> Prefix:
    """What probes left behind when they were killed."""
    return Prefix.up_to(ProbeKey(_ZERO_ATTEMPT), "attempt")


def _of_cell(step: Prefix, cell: str) -> Prefix:
    if not cell:
        return step
    StepKey.parse(f"{cell}.{_ZERO_STEP.digest}")  # a SpecError where the cell is not <data set>.<method>
    return Prefix(f"{step}{cell}.")
