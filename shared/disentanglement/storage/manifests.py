"""The manifest of a step: what the commit says, and nothing a reader has to guess."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from disentanglement.errors import CorruptArtifact
from disentanglement.specs import Step, StepKey, canonical_json
from disentanglement.storage.keys import ArtifactKey, Key, ManifestKey
from disentanglement.storage.store import Measured

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NonFinite = Literal["nan", "inf", "-inf"]
_NON_FINITE: Mapping[str, float] = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

TIMES = frozenset({"wall_time_s", "started_at", "finished_at"})
"""The fields of a provenance that differ between two equal runs."""

MADE: Mapping[Step, frozenset[str]] = {"postprocess": frozenset({"codes", "computation"})}
"""The fields of a provenance that a step computes itself: what it made, not what it was given. How codes were computed
stands in the commit whose step extracted them, and in no other that found them."""


class Record(BaseModel):
    """A stored JSON document. Fields that a later release added are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    def to_bytes(self) -> bytes:
        """Strict JSON, sorted and indented for people."""
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_bytes(cls, key: Key, data: bytes) -> Self:
        """The inverse of `to_bytes`; `CorruptArtifact` naming the object for anything else."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise CorruptArtifact(f"{key}: not a {cls.__name__}: {error.errors()[0]['msg']}") from error


class FileRecord(Record):
    """A file's size in bytes and sha256."""

    size: Annotated[int, Field(ge=0)]
    sha256: Sha256

    @property
    def measured(self) -> Measured:
        """The same for comparing with what is found."""
        return Measured(self.size, self.sha256)


def file_record(measured: Measured) -> FileRecord:
    """What to write down of a measured file."""
    return FileRecord(size=measured.size, sha256=measured.sha256)


class Manifest(Record):
    """The commit of a step by one attempt.

    `results` (scores or training results) is strict JSON: a number that is not finite stands there as null,
    and `non_finite` says what it was, by JSON pointer. `content_digest` covers tensors and scores only, no
    time and no random name, so two honest runs at equal provenance have the same.
    """

    format: Literal[1] = 1
    step: Step
    step_key: str
    attempt: str
    spec: dict[str, JsonValue]
    upstream: tuple[str, ...] = ()
    contract: str
    files: dict[str, FileRecord] = Field(default_factory=dict)
    results: dict[str, JsonValue] = Field(default_factory=dict)
    non_finite: dict[str, NonFinite] = Field(default_factory=dict)
    content_digest: Sha256
    provenance: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def key(self) -> ManifestKey:
        """Where this manifest belongs."""
        return ManifestKey(self.step, StepKey.parse(self.step_key))

    def file_key(self, name: str) -> ArtifactKey:
        """Where a file that this manifest names is; KeyError where it names none such."""
        self.files[name]
        return ArtifactKey(self.step, StepKey.parse(self.step_key), self.attempt, name)

    def scores(self) -> dict[str, Any]:
        """`results` as they were computed, with the numbers that are not finite."""
        restored: dict[str, Any] = restore(self.results, self.non_finite)
        return restored

    def same_provenance(self, other: Manifest) -> bool:
        """Whether both were computed under the same circumstances: times aside, and what they made themselves."""
        return _circumstances(self) == _circumstances(other)


def content_digest(tensors: Mapping[str, str], results: object = None) -> str:
    """One sha256 for the numbers of a step: its scores, and digests (`tensor_digest`) of its tensors."""
    strict, non_finite = strict_json(results)
    text = canonical_json({"tensors": dict(tensors), "results": strict, "non_finite": dict(non_finite)})
    return hashlib.sha256(text.encode()).hexdigest()


def tensor_digest(array: NDArray[Any]) -> str:
    """sha256 of an array's type, shape and numbers (little-endian, row by row), whatever file holds it."""
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    sha256 = hashlib.sha256(f"{plain.dtype.str} {array.shape} ".encode())
    sha256.update(plain.reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()


def strict_json(value: Any) -> tuple[Any, dict[str, NonFinite]]:
    """A value of plain JSON types with null for each number that is not finite, and what those were.

    The second is by JSON pointer (RFC 6901) into the first: `{"/mig": "nan"}`.
    """
    found: dict[str, NonFinite] = {}
    return _strict(value, "", found), found


def restore(strict: Any, non_finite: Mapping[str, NonFinite], at: str = "") -> Any:
    """The inverse of `strict_json`."""
    match strict:
        case dict():
            return {k: restore(v, non_finite, _pointer(at, k)) for k, v in strict.items()}
        case list():
            return [restore(v, non_finite, _pointer(at, i)) for i, v in enumerate(strict)]
        case None if at in non_finite:
            return _NON_FINITE[non_finite[at]]
        case _:
            return strict


def _strict(value: Any, at: str, found: dict[str, NonFinite]) -> Any:
    match value:
        case Mapping():
            return {str(k): _strict(v, _pointer(at, k), found) for k, v in value.items()}
        case list() | tuple():
            return [_strict(v, _pointer(at, i), found) for i, v in enumerate(value)]
        case float() if not math.isfinite(value):
            found[at] = "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
            return None
        case _:
            return value


def _pointer(at: str, part: object) -> str:
    return f"{at}/{str(part).replace('~', '~0').replace('/', '~1')}"


def _circumstances(manifest: Manifest) -> dict[str, JsonValue]:
    apart = TIMES | MADE.get(manifest.step, frozenset())
    return {name: value for name, value in manifest.provenance.items() if name not in apart}
