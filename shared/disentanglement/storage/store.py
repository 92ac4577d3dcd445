"""What a store is: whole objects under keys, written at once or not at all, and one conditional write.

Two adapters keep this protocol, `DirectoryStore` and `MinioStore`; one test suite states it for both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO, Protocol, runtime_checkable

from disentanglement.errors import CorruptArtifact
from disentanglement.storage.keys import Key
from disentanglement.storage.prefixes import Prefix

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object: its key, its size in bytes and the (aware, UTC) time of its last write."""

    key: Key
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a killed writer left behind: no object, invisible to readers."""

    name: str
    size: int
    modified: datetime


class Store(Protocol):
    """Whole objects under keys. Every method may raise `Unavailable` or `StoreRefused`."""

    def put(self, key: Key, data: bytes, *, if_absent: bool = False) -> bool:
        """Write an object; a reader sees all of it or the one before, never a part.

        With `if_absent`, of any number of writers one at most wins; False means that an object stands there
        already. After a lost reply that may be our own, so who must know reads it.
        """
        ...

    def put_file(self, key: Key, path: Path) -> None:
        """Write a file's bytes as an object, without holding them in memory."""
        ...

    def get(self, key: Key) -> bytes:
        """All bytes of an object; `ArtifactNotFound` where there is none."""
        ...

    def open(self, key: Key) -> BinaryIO:
        """A stream over an object's bytes, closed by the caller; `ArtifactNotFound` where there is none."""
        ...

    def head(self, key: Key) -> ObjectInfo | None:
        """What is known of an object without reading it."""
        ...

    def list(self, prefix: Prefix) -> Iterator[ObjectInfo]:
        """The objects whose keys begin with `prefix`, in the order of their bytes; no object of others."""
        ...

    def delete(self, key: Key) -> None:
        """Remove an object; nothing happens where there is none."""
        ...

    def leftovers(self) -> Iterator[Leftover]:
        """Unfinished writes, of killed writers and of living ones."""
        ...

    def drop(self, leftover: Leftover) -> None:
        """Remove an unfinished write."""
        ...


@runtime_checkable
class LocalFiles(Protocol):
    """A store whose objects are files of this machine, so that they can be mapped into memory in place."""

    def local_path(self, key: Key) -> Path:
        """Where the object's bytes are; the file may not exist."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """Size in bytes and sha256 (hexadecimal) of some bytes."""

    size: int
    sha256: str


def measure(data: bytes) -> Measured:
    """Size and digest of bytes in memory."""
    return Measured(len(data), hashlib.sha256(data).hexdigest())


def measure_file(path: Path) -> Measured:
    """Size and digest of a file."""
    with path.open("rb") as stream:
        return copy(stream, None)


def measure_object(store: Store, key: Key) -> Measured:
    """Size and digest of an object; `ArtifactNotFound` where there is none."""
    with store.open(key) as stream:
        return copy(stream, None)


def copy(source: IO[bytes], target: IO[bytes] | None) -> Measured:
    """Copy a stream to its end (or only read it) and measure what went by."""
    sha256, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        sha256.update(chunk)
        size += len(chunk)
        if target is not None:
            target.write(chunk)
    return Measured(size, sha256.hexdigest())


def get_checked(store: Store, key: Key, wanted: Measured) -> bytes:
    """All bytes of an object; `CorruptArtifact` unless they have the recorded size and digest."""
    data = store.get(key)
    check(key, wanted, measure(data))
    return data


def check(key: Key, wanted: Measured, found: Measured) -> None:
    """`CorruptArtifact` unless what was found is what was recorded."""
    if found != wanted:
        raise CorruptArtifact(
            f"{key}: wanted {wanted.size} bytes with sha256 {wanted.sha256}, "
            f"got {found.size} bytes with sha256 {found.sha256}"
        )
