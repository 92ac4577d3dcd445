"""Checkpoints of an attempt: files, then a small index that names them with their digests.

A checkpoint exists when its index does. Any attempt at a step may go on from the newest sound checkpoint of
any other attempt at the same step key.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from disentanglement.errors import ArtifactNotFound, CorruptArtifact
from disentanglement.specs import Step, StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.commit import Attempt
from disentanglement.storage.keys import ArtifactKey
from disentanglement.storage.manifests import FileRecord, Record, file_record
from disentanglement.storage.store import ObjectInfo, Store, get_checked, measure

logger = logging.getLogger(__name__)

_INDEX = re.compile(r"checkpoint-(?P<position>[0-9]{12})\.index\.json")
_KEPT = 2
"""A corrupt newest checkpoint must not cost the whole run, so the one before stays."""


class CheckpointIndex(Record):
    """What makes a checkpoint complete; `files` by the names they were given."""

    position: int
    files: dict[str, FileRecord]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The checked contents of a checkpoint, by name, and how far (in training steps) it had come."""

    attempt: str
    position: int
    contents: Mapping[str, bytes]


def put_checkpoint(attempt: Attempt, position: int, contents: Mapping[str, bytes]) -> None:
    """Write a checkpoint of an attempt at a position (training steps done); keep the last two of them."""
    for name, data in contents.items():
        attempt.store.put(attempt.key(_file(position, name)), data)
    files = {name: file_record(measure(data)) for name, data in contents.items()}
    index = CheckpointIndex(position=position, files=files)
    attempt.store.put(attempt.key(_index(position)), index.to_bytes())
    for info in _indexes(attempt.store, attempt.step, attempt.step_key, attempt.name)[_KEPT:]:
        _remove(attempt.store, info)


def latest_checkpoint(store: Store, step: Step, step_key: StepKey) -> Checkpoint | None:
    """The furthest checkpoint of any attempt at a step that is complete and sound; None where there is none.

    One that is damaged, or vanishes while it is read, is passed over for the next.
    """
    for info in _indexes(store, step, step_key):
        try:
            return _load(store, _artifact(info))
        except (ArtifactNotFound, CorruptArtifact) as error:
            logger.warning("checkpoint_passed_over", extra={"key": str(info.key), "why": str(error)})
    return None


def _load(store: Store, key: ArtifactKey) -> Checkpoint:
    index = CheckpointIndex.from_bytes(key, store.get(key))
    if key.name != _index(index.position):
        raise CorruptArtifact(f"{key}: the index is that of position {index.position}")
    contents = {
        name: get_checked(store, _sibling(key, _file(index.position, name)), record.measured)
        for name, record in index.files.items()
    }
    return Checkpoint(key.attempt, index.position, contents)


def _indexes(store: Store, step: Step, step_key: StepKey, attempt: str | None = None) -> list[ObjectInfo]:
    """Indexes, the furthest first; among equals the newest."""
    listed = store.list(prefixes.attempts(step, step_key, attempt))
    found = [(position, info.modified, info) for info in listed for position in _positions(info)]
    return [info for _, _, info in sorted(found, key=lambda entry: entry[:2], reverse=True)]


def _positions(info: ObjectInfo) -> Iterator[int]:
    if match := _INDEX.fullmatch(_artifact(info).name):
        yield int(match["position"])


def _remove(store: Store, index: ObjectInfo) -> None:
    """The index goes first: a checkpoint without one does not exist."""
    key = _artifact(index)
    store.delete(key)
    begin = key.name.removesuffix("index.json")
    for info in list(store.list(prefixes.attempts(key.step, key.step_key, key.attempt))):
        if _artifact(info).name.startswith(begin):
            store.delete(info.key)


def _artifact(info: ObjectInfo) -> ArtifactKey:
    assert isinstance(info.key, ArtifactKey), "only attempts are listed here"
    return info.key


def _sibling(key: ArtifactKey, name: str) -> ArtifactKey:
    return ArtifactKey(key.step, key.step_key, key.attempt, name)


def _index(position: int) -> str:
    return f"checkpoint-{position:012d}.index.json"


def _file(position: int, name: str) -> str:
    return f"checkpoint-{position:012d}.file.{name}"
