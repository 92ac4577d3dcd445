"""Codes of a model: mean and log-variance of every grid point of its data set.

Derived data: keyed by training key, data digest and number of draws per grid point, with a manifest of their
own, and evicted at any time. Shapes: P grid points in data-set order, R draws per point (only where R > 1), D
codes.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from disentanglement.errors import ArtifactNotFound, CodesMissing, CorruptArtifact
from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.cache import Cache
from disentanglement.storage.keys import CodesKey, CodesManifestKey, new_attempt
from disentanglement.storage.manifests import (
    FileRecord,
    Record,
    Sha256,
    content_digest,
    file_record,
    tensor_digest,
)
from disentanglement.storage.store import Store, measure

logger = logging.getLogger(__name__)

MEAN, LOGVAR = "mean.npy", "logvar.npy"


class CodesManifest(Record):
    """The commit of a model's codes; `content_digest` is what postprocess and evaluation manifests record."""

    format: Literal[1] = 1
    train_key: str
    data_digest: Sha256
    draws: int
    attempt: str
    files: dict[str, FileRecord]
    content_digest: Sha256
    provenance: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def key(self) -> CodesManifestKey:
        """Where this manifest belongs."""
        return CodesManifestKey(StepKey.parse(self.train_key), self.data_digest, self.draws)

    def file_key(self, name: str) -> CodesKey:
        """Where the file of that name is."""
        return CodesKey(StepKey.parse(self.train_key), self.data_digest, self.draws, self.attempt, name)


@dataclass(frozen=True, slots=True)
class StoredCodes:
    """Codes mapped into memory, read only: float32 [P, D], or [P, R, D] with several draws."""

    mean: NDArray[np.float32]
    logvar: NDArray[np.float32]
    content_digest: str


def put_codes(
    store: Store,
    key: CodesManifestKey,
    mean: NDArray[np.float32],
    logvar: NDArray[np.float32],
    *,
    provenance: Mapping[str, Any] | None = None,
) -> CodesManifest:
    """Store a model's codes. Where they are stored already, that manifest is given back and ours removed."""
    attempt = new_attempt()
    files: dict[str, FileRecord] = {}
    for name, array in ((MEAN, mean), (LOGVAR, logvar)):
        data = _npy(array)
        store.put(CodesKey(key.train_key, key.data_digest, key.draws, attempt, name), data)
        files[name] = file_record(measure(data))
    manifest = CodesManifest(
        train_key=str(key.train_key),
        data_digest=key.data_digest,
        draws=key.draws,
        attempt=attempt,
        files=files,
        content_digest=codes_digest(mean, logvar),
        provenance=dict(provenance or {}),
    )
    return _commit(store, manifest)


def codes_digest(mean: NDArray[np.float32], logvar: NDArray[np.float32]) -> str:
    """The content digest of a model's codes."""
    return content_digest({MEAN: tensor_digest(mean), LOGVAR: tensor_digest(logvar)})


def find_codes(store: Store, key: CodesManifestKey) -> CodesManifest | None:
    """The manifest of a model's codes, None where they were never extracted or were evicted."""
    try:
        data = store.get(key)
    except ArtifactNotFound:
        return None
    manifest = CodesManifest.from_bytes(key, data)
    if manifest.key != key:
        raise CorruptArtifact(f"{key}: the manifest is that of {manifest.key}")
    return manifest


def open_codes(store: Store, cache: Cache, key: CodesManifestKey) -> StoredCodes:
    """A model's codes, mapped from a verified local copy.

    Raises:
        CodesMissing: they were never extracted, evicted (also while they were being opened), or damaged: what is
            damaged is evicted here, since the model can give it again.
    """
    try:
        return _open(store, cache, key)
    except CorruptArtifact as error:
        logger.warning("damaged_codes_evicted", extra={"key": str(key), "why": str(error)})
        evict_codes(store, key)
        raise CodesMissing(f"{key.train_key}: its codes were damaged and are gone; extract them again") from error


def _open(store: Store, cache: Cache, key: CodesManifestKey) -> StoredCodes:
    manifest = find_codes(store, key)
    if manifest is None:
        raise CodesMissing(f"{key.train_key}: its codes on data {key.data_digest} are not there; extract them")
    try:
        mean, logvar = (_map(store, cache, manifest, name) for name in (MEAN, LOGVAR))
    except ArtifactNotFound as error:
        raise CodesMissing(f"{key.train_key}: its codes went away; extract them again") from error
    return StoredCodes(mean, logvar, manifest.content_digest)


def evict_codes(store: Store, key: CodesManifestKey) -> None:
    """Remove a model's codes; the manifest goes first, so that nobody trusts what is left.

    The files of a manifest that can't be read are left to the collector.
    """
    try:
        manifest = find_codes(store, key)
    except CorruptArtifact:
        manifest = None
    store.delete(key)
    if manifest is not None:
        for name in manifest.files:
            store.delete(manifest.file_key(name))


def list_codes(store: Store, train_key: StepKey | None = None) -> set[CodesManifestKey]:
    """The codes that are there, of one model or of all: one listing."""
    found = (info.key for info in store.list(prefixes.codes(train_key)))
    return {key for key in found if isinstance(key, CodesManifestKey)}


def _commit(store: Store, manifest: CodesManifest) -> CodesManifest:
    if store.put(manifest.key, manifest.to_bytes(), if_absent=True):
        return manifest
    standing = find_codes(store, manifest.key)
    if standing is None or standing.attempt == manifest.attempt:
        return manifest
    for name in manifest.files:
        store.delete(manifest.file_key(name))
    return standing


def _npy(array: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array, np.float32), allow_pickle=False)
    return stream.getvalue()


def _map(store: Store, cache: Cache, manifest: CodesManifest, name: str) -> NDArray[np.float32]:
    path = cache.fetch(store, manifest.file_key(name), manifest.files[name].measured)
    mapped: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
