"""Where every object lives. No other module spells a key.

A key is a frozen value whose parts are checked when it is made, `str` writes it and `parse` is the inverse:
no caller can misspell a path, and none can climb out of the store's tree. A part is one path segment:
letters, digits, `_`, `-` and single dots, beginning with a letter, a digit or `_`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from itertools import chain, zip_longest
from typing import ClassVar, Self

from disentanglement.errors import SpecError
from disentanglement.specs import STEPS, Step, StepKey

_SEGMENT = r"[A-Za-z0-9_](?:\.?[A-Za-z0-9_-])*"
_HEX = r"[0-9a-f]{64}"
_STEP_KEY = r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\.[a-z2-7]{52}"
_LONGEST_PART = 200
_PARTS: Mapping[str, str] = {
    "step": "|".join(STEPS),
    "step_key": _STEP_KEY,
    "train_key": _STEP_KEY,
    "digest": _HEX,
    "data_digest": _HEX,
    "sha256": _HEX,
    "attempt": r"[0-9a-f]{16}",
    "draws": r"[1-9][0-9]{0,5}",
}
"""The pattern of each part that is not just any segment, by field name."""


def new_attempt() -> str:
    """The name of one try at a step: 16 hexadecimal digits, never given twice."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Key:
    """One object's name. A subclass states its layout; its fields are the parts that vary."""

    LAYOUT: ClassVar[str]

    def __post_init__(self) -> None:
        for name, value in _parts(self).items():
            pattern = _PARTS.get(name, _SEGMENT)
            if len(value) > _LONGEST_PART or not re.fullmatch(pattern, value, re.ASCII):
                field = f"{type(self).__name__}.{name}"
                raise SpecError.of(field, f"text that matches {pattern}", repr(value))

    def __str__(self) -> str:
        return self.LAYOUT.format_map(_parts(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`; anything else is a `SpecError`."""
        match = _pattern(cls.LAYOUT).fullmatch(text)
        if match is None:
            raise SpecError.of(cls.__name__, f"a key like {cls.LAYOUT}", repr(text))
        return cls(**{name: _typed(name, value) for name, value in match.groupdict().items()})


@dataclass(frozen=True, slots=True)
class DatasetKey(Key):
    """A file of an imported data set; `digest` is the data set's own."""

    LAYOUT = "datasets/{name}/{digest}/{file}"
    name: str
    digest: str
    file: str


UPLOADED_CELL = "uploaded.codes"
"""The cell of the pseudo representations that name arrays which clients sent."""


@dataclass(frozen=True, slots=True)
class UploadKey(Key):
    """An array that a client sent."""

    LAYOUT = "uploads/{sha256}"
    sha256: str


@dataclass(frozen=True, slots=True)
class ArtifactKey(Key):
    """A file that one attempt at a step wrote."""

    LAYOUT = "attempts/{step}/{step_key}/{attempt}/{name}"
    step: Step
    step_key: StepKey
    attempt: str
    name: str


@dataclass(frozen=True, slots=True)
class ManifestKey(Key):
    """The commit of a step: it is done when, and only when, this exists."""

    LAYOUT = "manifests/{step}/{step_key}.json"
    step: Step
    step_key: StepKey


@dataclass(frozen=True, slots=True)
class CodesManifestKey(Key):
    """The commit of a model's codes on a data set with a number of draws per grid point."""

    LAYOUT = "codes/{train_key}/{data_digest}/draws-{draws}/manifest.json"
    train_key: StepKey
    data_digest: str
    draws: int = 1


@dataclass(frozen=True, slots=True)
class CodesKey(Key):
    """A file of a model's codes, written by one attempt at extracting them."""

    LAYOUT = "codes/{train_key}/{data_digest}/draws-{draws}/{attempt}/{file}"
    train_key: StepKey
    data_digest: str
    draws: int
    attempt: str
    file: str


@dataclass(frozen=True, slots=True)
class PlanKey(Key):
    """One cell of an expanded study."""

    LAYOUT = "plans/{digest}/{cell}.json"
    digest: str
    cell: str


@dataclass(frozen=True, slots=True)
class StudyKey(Key):
    """A submitted study."""

    LAYOUT = "projects/{project}/studies/{study}/study.json"
    project: str
    study: str


@dataclass(frozen=True, slots=True)
class StudyCancellationKey(Key):
    """Present once somebody asked for the study to stop."""

    LAYOUT = "projects/{project}/studies/{study}/cancelled.json"
    project: str
    study: str


@dataclass(frozen=True, slots=True)
class FailureKey(Key):
    """The record that a step of a study cannot succeed as specified."""

    LAYOUT = "projects/{project}/studies/{study}/failures/{step}/{step_key}.json"
    project: str
    study: str
    step: Step
    step_key: StepKey


@dataclass(frozen=True, slots=True)
class RetryKey(Key):
    """Up to which retry the failures of a study were forgotten."""

    LAYOUT = "projects/{project}/studies/{study}/retries.json"
    project: str
    study: str


@dataclass(frozen=True, slots=True)
class TableKey(Key):
    """The table of a cell's scores (Parquet), derived from its manifests."""

    LAYOUT = "projects/{project}/studies/{study}/tables/{cell}.parquet"
    project: str
    study: str
    cell: str


@dataclass(frozen=True, slots=True)
class ReportKey(Key):
    """A file derived from a whole study, for people."""

    LAYOUT = "projects/{project}/studies/{study}/reports/{file}"
    project: str
    study: str
    file: str


@dataclass(frozen=True, slots=True)
class JobKey(Key):
    """One submitted job of a service."""

    LAYOUT = "projects/{project}/jobs/{step}/{job}/job.json"
    project: str
    step: Step
    job: str


@dataclass(frozen=True, slots=True)
class CancellationKey(Key):
    """Present once somebody asked for the job to stop."""

    LAYOUT = "projects/{project}/jobs/{step}/{job}/cancelled.json"
    project: str
    step: Step
    job: str


@dataclass(frozen=True, slots=True)
class RequestKey(Key):
    """What a request id was first used for, so that the same request twice gives one job."""

    LAYOUT = "projects/{project}/requests/{sha256}.json"
    project: str
    sha256: str

    @classmethod
    def of(cls, project: str, method: str, request_id: str) -> Self:
        """The key of a caller's request id, which may be any text: it is hashed together with the method."""
        return cls(project, hashlib.sha256(f"{method}\n{request_id}".encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class UploadRecordKey(Key):
    """What a project knows of an array that it sent; `sha256` is of the elements' bytes as they were sent."""

    LAYOUT = "projects/{project}/uploads/{sha256}.json"
    project: str
    sha256: str


@dataclass(frozen=True, slots=True)
class EvaluationKey(Key):
    """Several metrics of one source that were asked for together."""

    LAYOUT = "projects/{project}/evaluations/{evaluation}.json"
    project: str
    evaluation: str


@dataclass(frozen=True, slots=True)
class NameKey(Key):
    """A name that a user gave to a step (`--name`)."""

    LAYOUT = "projects/{project}/names/{name}.json"
    project: str
    name: str


@dataclass(frozen=True, slots=True)
class ProbeKey(Key):
    """An object written, and removed again, to learn what a store can do."""

    LAYOUT = "probes/{attempt}"
    attempt: str


KEY_TYPES: tuple[type[Key], ...] = (
    DatasetKey, UploadKey, ArtifactKey, ManifestKey, CodesManifestKey, CodesKey, PlanKey, StudyKey,
    StudyCancellationKey, FailureKey, RetryKey, TableKey, ReportKey, JobKey, CancellationKey, RequestKey,
    UploadRecordKey, EvaluationKey, NameKey, ProbeKey,
)  # fmt: skip


def parse_key(text: str) -> Key:
    """The key of any kind that is written so; a `SpecError` for what is none of ours."""
    for kind in KEY_TYPES:
        if text.startswith(kind.LAYOUT.partition("{")[0]) and _pattern(kind.LAYOUT).fullmatch(text):
            return kind.parse(text)
    raise SpecError.of("key", "the key of an object of ours", repr(text))


def _parts(key: Key) -> dict[str, str]:
    return {field.name: str(getattr(key, field.name)) for field in fields(key)}


def _typed(name: str, text: str) -> object:
    match name:
        case "step_key" | "train_key":
            return StepKey.parse(text)
        case "draws":
            return int(text)
        case _:
            return text


@cache
def _pattern(layout: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", layout)
    parts = [f"(?P<{name}>{_PARTS.get(name, _SEGMENT)})" for name in pieces[1::2]]
    between = [re.escape(text) for text in pieces[::2]]
    return re.compile("".join(chain.from_iterable(zip_longest(between, parts, fillvalue=""))), re.ASCII)
