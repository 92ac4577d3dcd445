"""Arrays that somebody brings: stored by their digest, and committed as a pseudo representation that metrics can read.

The step key of a set of arrays is made of their digests alone, so the same arrays are scored once.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from disentanglement.errors import ArtifactNotFound, CorruptArtifact, SpecError
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.specs import StepKey, canonical_json
from disentanglement.specs.canonical import contract_version
from disentanglement.storage.commit import Attempt, commit, committed
from disentanglement.storage.keys import UPLOADED_CELL, UploadKey, UploadRecordKey
from disentanglement.storage.manifests import Record, Sha256, tensor_digest
from disentanglement.storage.store import Store, measure, measure_file

Arrays = Mapping[str, NDArray[Any]]

CELL = UPLOADED_CELL
NAMES = ("codes", "factors", "test_codes", "test_factors")


@dataclass(frozen=True, slots=True)
class Upload:
    """An array that is arriving: a `.npy` file, written element by element."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Size of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize

    def write_header(self, stream: BinaryIO) -> None:
        """What stands in a `.npy` file before the elements (little-endian, row by row)."""
        descr = npy_format.dtype_to_descr(self.dtype.newbyteorder("<"))
        header = {"descr": descr, "fortran_order": False, "shape": self.shape}
        npy_format.write_array_header_1_0(stream, header)


class UploadRecord(Record):
    """An array that a project sent: `stored` is the digest of its `.npy` form, which is the object's key."""

    stored: Sha256
    dtype: str
    shape: tuple[int, ...]
    size: int
    created: datetime


def check_arrays(arrays: Arrays) -> None:
    """Raises SpecError naming the array that is missing, or whose shape or dtype is wrong."""
    for name in ("codes", "factors"):
        if name not in arrays:
            raise SpecError.of(name, "an array", "nothing")
    OwnArrays.read(arrays["codes"], arrays["factors"], arrays.get("test_codes"), arrays.get("test_factors"))


def register_arrays(store: Store, arrays: Arrays) -> StepKey:
    """Stores arrays of somebody's own (`codes`, `factors`, perhaps `test_codes`, `test_factors`) and commits them.

    Raises:
        SpecError: naming the array that is missing or malformed; nothing was stored.
    """
    check_arrays(arrays)
    digests = {name: put_array(store, arrays[name]) for name in NAMES if name in arrays}
    key = uploaded_key(digests)
    if committed(store, "postprocess", key) is None:
        tensors = {name: tensor_digest(arrays[name]) for name in digests}
        manifest = Attempt(store, "postprocess", key).manifest(
            spec={"uploaded": digests}, contract=contract_version("postprocess", "uploaded"), tensors=tensors
        )
        commit(store, manifest)
    return key


def uploaded_key(digests: Mapping[str, str]) -> StepKey:
    """The step key of arrays, given the digests of their `.npy` forms."""
    sha256 = hashlib.sha256(canonical_json(dict(digests)).encode()).digest()
    dataset, method = CELL.split(".")
    return StepKey(dataset, method, base64.b32encode(sha256).decode().rstrip("=").lower())


def uploaded_digests(store: Store, key: StepKey) -> dict[str, str]:
    """The digests of the `.npy` forms behind a step key; `ArtifactNotFound` where nobody sent them."""
    manifest = committed(store, "postprocess", key)
    uploaded = manifest.spec.get("uploaded") if manifest is not None else None
    if not isinstance(uploaded, dict):
        raise ArtifactNotFound(f"no arrays were sent under {key}")
    return {name: str(digest) for name, digest in uploaded.items()}


def open_arrays(store: Store, key: StepKey) -> dict[str, NDArray[Any]]:
    """The arrays behind a step key, checked against their digests.

    Raises:
        ArtifactNotFound: nobody sent them, or they were removed.
        CorruptArtifact: they are not what was sent.
    """
    return {name: get_array(store, digest) for name, digest in uploaded_digests(store, key).items()}


def put_array(store: Store, array: NDArray[Any]) -> str:
    """Stores an array once; the digest of its `.npy` form."""
    data = npy(array)
    digest = measure(data).sha256
    store.put(UploadKey(digest), data, if_absent=True)
    return digest


def get_array(store: Store, digest: str) -> NDArray[Any]:
    """A stored array, checked against its digest."""
    data = store.get(UploadKey(digest))
    if measure(data).sha256 != digest:
        raise CorruptArtifact(f"{UploadKey(digest)}: its bytes have another digest")
    array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def npy(array: NDArray[Any]) -> bytes:
    """An array as a `.npy` file: little-endian, row by row."""
    plain = np.ascontiguousarray(array)
    stream = io.BytesIO()
    np.save(stream, plain.astype(plain.dtype.newbyteorder("<"), copy=False), allow_pickle=False)
    return stream.getvalue()


def remember_upload(store: Store, project: str, sha256: str, upload: Upload, now: datetime) -> UploadRecord:
    """Stores an array that a project sent as elements with this sha256; the same array twice is stored once.

    Raises:
        SpecError: the same bytes were sent before with another type or shape.
    """
    stored, key = measure_file(upload.path).sha256, UploadRecordKey(project, sha256)
    record = UploadRecord(
        stored=stored, dtype=upload.dtype.name, shape=upload.shape, size=upload.num_bytes, created=now
    )
    try:
        standing = UploadRecord.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        standing = record
    if standing.stored != stored:
        before = f"{standing.dtype} {list(standing.shape)}, as which these bytes were sent before"
        raise SpecError.of("header.shape", before, f"{record.dtype} {list(record.shape)}")
    if store.head(UploadKey(stored)) is None:
        store.put_file(UploadKey(stored), upload.path)
    store.put(key, standing.to_bytes(), if_absent=True)
    return standing


def find_upload(store: Store, project: str, sha256: str) -> UploadRecord:
    """What a project sent under a sha256; `ArtifactNotFound` where it sent nothing such."""
    key = UploadRecordKey(project, sha256)
    try:
        return UploadRecord.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        raise ArtifactNotFound(f"project {project} has no upload {sha256}") from None
