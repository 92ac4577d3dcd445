"""A small step that checkpoints and commits, in a process that kills itself at a point named from outside.

A point is `<when> <operation> <object>`, e.g. `after put checkpoint-000000000002.index.json`, `inside put manifest`.
`inside` is in the middle of the write: before a file is flushed to the disk, or with half a body sent.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import BinaryIO, NoReturn
from unittest import mock

from disentanglement.specs import StepKey
from disentanglement.storage.checkpoints import latest_checkpoint, put_checkpoint
from disentanglement.storage.commit import Attempt, Commit, commit, committed
from disentanglement.storage.keys import ArtifactKey, CodesKey, CodesManifestKey, Key
from disentanglement.storage.prefixes import Prefix
from disentanglement.storage.settings import open_store
from disentanglement.storage.store import Leftover, ObjectInfo, Store

KEY = StepKey("dsprites_full", "beta_vae", "c" * 52)
LENGTH = 4
FILES = ("weights.safetensors", "history.parquet")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished run tells: its commit (None where the step was done before) and where it began."""

    commit: Commit | None
    began_at: int


def run_step(store: Store, key: StepKey = KEY, *, length: int = LENGTH) -> Outcome:
    """Do the step as every step is done: skip, go on from a checkpoint, work, commit."""
    if committed(store, "train", key):
        return Outcome(None, length)
    attempt = Attempt(store, "train", key)
    checkpoint = latest_checkpoint(store, "train", key)
    began_at, state = (checkpoint.position, checkpoint.contents["state"]) if checkpoint else (0, b"0" * 32)
    for position in range(began_at, length):
        state = advance(state)
        put_checkpoint(attempt, position + 1, {"state": state})
    weights, history = FILES
    attempt.put(weights, state)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / history
        path.write_bytes(b"history" * 10_000)
        attempt.put_file(history, path)
    digest = hashlib.sha256(state).hexdigest()
    made = attempt.manifest(spec={"seed": 0}, contract="1.1", tensors={"state": digest}, results={"elbo": -1.0})
    return Outcome(commit(store, made), began_at)


def advance(state: bytes) -> bytes:
    """One unit of deterministic work."""
    return hashlib.sha256(state).digest() * 3000


def crash(where: str, environment: Mapping[str, str], point: str) -> None:
    """Run the step against the store at `where`, and die at the point."""
    run_step(CrashingStore(open_store(where, environment), point))


def race(where: str, environment: Mapping[str, str], barrier: Barrier) -> None:
    """Run the step at the same moment as others."""
    store = open_store(where, environment)
    barrier.wait()
    run_step(store)


def die(*_: object) -> NoReturn:
    """As by the kernel's out-of-memory killer: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable: SIGKILL cannot be handled")


def label(key: Key) -> str:
    """What an object is called in the name of a point."""
    match key:
        case ArtifactKey():
            return key.name
        case CodesKey():
            return key.file
        case CodesManifestKey():
            return "codes-manifest"
        case _:
            return "manifest"


class CrashingStore:
    """A store whose process dies before, inside or after the operation named by the point."""

    def __init__(self, store: Store, point: str) -> None:
        self._store = store
        self._point = point

    def put(self, key: Key, data: bytes, *, if_absent: bool = False) -> bool:
        with self._watched(f"put {label(key)}"):
            return self._store.put(key, data, if_absent=if_absent)

    def put_file(self, key: Key, path: Path) -> None:
        with self._watched(f"put {label(key)}"):
            self._store.put_file(key, path)

    def delete(self, key: Key) -> None:
        with self._watched(f"delete {label(key)}"):
            self._store.delete(key)

    def get(self, key: Key) -> bytes:
        return self._store.get(key)

    def open(self, key: Key) -> BinaryIO:
        return self._store.open(key)

    def head(self, key: Key) -> ObjectInfo | None:
        return self._store.head(key)

    def list(self, prefix: Prefix) -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def leftovers(self) -> Iterator[Leftover]:
        return self._store.leftovers()

    def drop(self, leftover: Leftover) -> None:
        self._store.drop(leftover)

    @contextmanager
    def _watched(self, operation: str) -> Iterator[None]:
        if self._point == f"before {operation}":
            die()
        if self._point == f"inside {operation}":
            with (
                mock.patch.object(os, "fsync", side_effect=die),
                mock.patch.object(socket.socket, "sendall", _send_half),
            ):
                yield
        else:
            yield
        if self._point == f"after {operation}":
            die()


def _send_half(connection: socket.socket, data: bytes) -> None:
    """Headers go through; of a body half goes, and the process dies."""
    if data.startswith((b"PUT ", b"POST ")):
        connection.send(data)
        return
    connection.send(data[: len(data) // 2])
    die()
