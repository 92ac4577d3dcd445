"""How a step becomes done: files below an attempt's own prefix, then one conditional write of the manifest.

No lock and no lease: of any number of attempts at a step one commits, the others find that out and leave.
Readers trust only objects that a manifest names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from disentanglement.errors import ArtifactNotFound, CorruptArtifact, Unavailable
from disentanglement.specs import Step, StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.keys import ArtifactKey, ManifestKey, new_attempt
from disentanglement.storage.manifests import FileRecord, Manifest, content_digest, file_record, strict_json
from disentanglement.storage.store import Measured, Store, check, measure, measure_file, measure_object

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a step, writing below its own prefix."""

    store: Store
    step: Step
    step_key: StepKey
    name: str = field(default_factory=new_attempt)
    files: dict[str, FileRecord] = field(default_factory=dict)
    """What was written with `put` and `put_file`: the manifest will name these."""

    def key(self, name: str) -> ArtifactKey:
        """Where this attempt's file of that name is."""
        return ArtifactKey(self.step, self.step_key, self.name, name)

    def put(self, name: str, data: bytes) -> FileRecord:
        """Write a file from memory and record its size and digest."""
        self.store.put(self.key(name), data)
        return self._record(name, measure(data))

    def put_file(self, name: str, path: Path) -> FileRecord:
        """Write a file from the disk and record its size and digest."""
        measured = measure_file(path)
        self.store.put_file(self.key(name), path)
        return self._record(name, measured)

    def manifest(
        self,
        *,
        spec: Mapping[str, Any],
        contract: str,
        upstream: Sequence[StepKey] = (),
        tensors: Mapping[str, str] | None = None,
        results: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """The manifest of what this attempt wrote.

        `tensors` are the digests (`tensor_digest`) of the arrays in its files, `results` its scores (numbers
        that are not finite are allowed), `provenance` what was true meanwhile (`wall_time_s` and the like
        under the names in `manifests.TIMES`).
        """
        strict, non_finite = strict_json(results or {})
        return Manifest(
            step=self.step,
            step_key=str(self.step_key),
            attempt=self.name,
            spec=dict(spec),
            upstream=tuple(map(str, upstream)),
            contract=contract,
            files=dict(self.files),
            results=strict,
            non_finite=non_finite,
            content_digest=content_digest(tensors or {}, results or {}),
            provenance=dict(provenance or {}),
        )

    def drop(self) -> None:
        """Remove everything below this attempt's prefix."""
        _remove(self.store, self.step, self.step_key, self.name, keep=())

    def _record(self, name: str, measured: Measured) -> FileRecord:
        self.files[name] = file_record(measured)
        return self.files[name]


@dataclass(frozen=True, slots=True)
class DeterminismViolation:
    """Two attempts at one step, under the same circumstances, that computed different numbers."""

    step: Step
    step_key: StepKey
    standing_attempt: str
    standing_digest: str
    other_attempt: str
    other_digest: str


@dataclass(frozen=True, slots=True)
class Commit:
    """How a commit ended: the manifest that stands, and whether it is ours."""

    manifest: Manifest
    is_ours: bool
    violation: DeterminismViolation | None = None


def commit(store: Store, manifest: Manifest) -> Commit:
    """Make a step done, unless it is: then the manifest that stands counts and our attempt's files are
    removed.

    Raises:
        Unavailable: the store did not answer; the commit may stand, which the next try will see.
    """
    written = store.put(manifest.key, manifest.to_bytes(), if_absent=True)
    standing = manifest if written else _read(store, manifest.key)
    is_ours = standing.attempt == manifest.attempt  # also when the reply to our own write was lost
    violation = None if is_ours else compare(standing, manifest)
    _remove_quietly(store, manifest, keep=tuple(manifest.files) if is_ours else ())
    return Commit(standing, is_ours, violation)


def compare(standing: Manifest, other: Manifest) -> DeterminismViolation | None:
    """The violation, also logged, if `other` had the same circumstances and got other numbers."""
    if standing.content_digest == other.content_digest or not standing.same_provenance(other):
        return None
    violation = DeterminismViolation(
        standing.step,
        standing.key.step_key,
        standing.attempt,
        standing.content_digest,
        other.attempt,
        other.content_digest,
    )
    logger.error("determinism_violation", extra={"step_key": standing.step_key, "attempt": other.attempt})
    return violation


def committed(store: Store, step: Step, step_key: StepKey, *, verify_digests: bool = False) -> Manifest | None:
    """The manifest of a step that is done, None for one that is not.

    Raises:
        CorruptArtifact: the manifest stands, but a file that it names is missing, or has another size (or another
            digest, which is looked at with `verify_digests` only). `withdraw` lets the step run again.
    """
    manifest = find_manifest(store, step, step_key)
    if manifest:
        check_files(store, manifest, verify_digests=verify_digests)
    return manifest


def find_manifest(store: Store, step: Step, step_key: StepKey) -> Manifest | None:
    """The manifest of a step, whether its files are there or not: one request."""
    try:
        return _read(store, ManifestKey(step, step_key))
    except ArtifactNotFound:
        return None


def check_files(store: Store, manifest: Manifest, *, verify_digests: bool) -> None:
    """`CorruptArtifact` unless every file that the manifest names is there as recorded."""
    below = prefixes.attempts(manifest.step, manifest.key.step_key, manifest.attempt)
    sizes = {str(info.key): info.size for info in store.list(below)} if manifest.files else {}
    for name, record in manifest.files.items():
        key = manifest.file_key(name)
        if sizes.get(str(key)) != record.size:
            found = sizes.get(str(key), "no file")
            raise CorruptArtifact(f"{key}: its manifest wants {record.size} bytes, got {found}")
        if verify_digests:
            check(key, record.measured, measure_object(store, key))


def list_committed(store: Store, step: Step, cell: str = "") -> set[StepKey]:
    """The keys that are done of a step in the cell `<data set>.<method>` (or in all): one listing."""
    found = (info.key for info in store.list(prefixes.manifests(step, cell)))
    return {key.step_key for key in found if isinstance(key, ManifestKey)}


def withdraw(store: Store, step: Step, step_key: StepKey) -> None:
    """Remove a step's manifest, so that the step runs again; its files are left to the collector."""
    store.delete(ManifestKey(step, step_key))


def _read(store: Store, key: ManifestKey) -> Manifest:
    manifest = Manifest.from_bytes(key, store.get(key))
    if manifest.key != key:
        raise CorruptArtifact(f"{key}: the manifest is that of {manifest.key}")
    return manifest


def _remove_quietly(store: Store, manifest: Manifest, keep: Sequence[str]) -> None:
    """Checkpoints of a step that is done are of no use; what cannot be removed now, the collector will."""
    try:
        _remove(store, manifest.step, manifest.key.step_key, manifest.attempt, keep)
    except Unavailable:
        logger.warning("attempt_not_tidied", extra={"attempt": manifest.attempt}, exc_info=True)


def _remove(store: Store, step: Step, step_key: StepKey, attempt: str, keep: Sequence[str]) -> None:
    for info in list(store.list(prefixes.attempts(step, step_key, attempt))):
        if isinstance(info.key, ArtifactKey) and info.key.name not in keep:
            store.delete(info.key)
