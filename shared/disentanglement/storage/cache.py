"""Verified local copies of immutable files, shared by the processes of a machine.

A copy is named by its sha256. Under contention one process downloads and the others wait for it (`flock`).
Beside a file that was verified stands a small note of its size and time of change, so that it is read through
once, not at every start; a file that no longer matches its note is verified again, and replaced where it is
damaged. After a download the copies that were unused for longest go, until the rest keeps DISENTANGLEMENT_CACHE_GIB.
Files of a `DirectoryStore` are verified the same way and mapped where they are.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from disentanglement.errors import ArtifactNotFound
from disentanglement.storage.keys import Key
from disentanglement.storage.settings import cache_limit
from disentanglement.storage.store import LocalFiles, Measured, Store, check, copy, measure_file

logger = logging.getLogger(__name__)

IN_USE_S = 60.0


class Cache:
    """A directory of verified copies. It may be removed at any time when nobody uses it."""

    def __init__(self, directory: Path, max_bytes: int | None = None) -> None:
        self._max_bytes = cache_limit() if max_bytes is None else max_bytes
        self._files = directory / "files"
        self._verified = directory / "verified"
        self._locks = directory / "locks"
        self._parts = directory / "parts"
        for made in (self._files, self._verified, self._locks, self._parts):
            made.mkdir(parents=True, exist_ok=True)

    def fetch(self, store: Store, key: Key, wanted: Measured) -> Path:
        """A local file with the recorded bytes of an object, to be read or mapped, never written.

        Raises:
            ArtifactNotFound: there is no such object.
            CorruptArtifact: the store's own bytes are not the recorded ones.
        """
        with self._locked(wanted.sha256):
            if isinstance(store, LocalFiles):
                return self._in_place(store.local_path(key), key, wanted)
            path = self._files / wanted.sha256
            is_new = not self._is_sound(path, wanted)
            if is_new:
                self._download(store, key, wanted, path)
            _mark_used(path)
        if is_new:
            self.trim(self._max_bytes, unused_for_s=IN_USE_S)
        return path

    def evict(self, sha256: str) -> None:
        """Remove a copy; who has it mapped keeps it until they close it."""
        with self._locked(sha256):
            (self._files / sha256).unlink(missing_ok=True)
            self._note_of(self._files / sha256).unlink(missing_ok=True)

    def trim(self, max_bytes: int, *, unused_for_s: float = 0.0) -> None:
        """Remove copies, the longest unused first, until the rest has at most `max_bytes`.

        One stays that was fetched less than `unused_for_s` ago: who fetched it may not have opened it yet.
        """
        found = [(status, path) for path in self._files.iterdir() if (status := _status(path)) is not None]
        total = sum(status.st_size for status, _ in found)
        latest_ns = time.time_ns() - int(unused_for_s * 1e9)
        for status, path in sorted(found, key=lambda entry: entry[0].st_atime_ns):
            if total <= max_bytes or status.st_atime_ns > latest_ns:
                return
            self.evict(path.name)
            total -= status.st_size

    def _in_place(self, path: Path, key: Key, wanted: Measured) -> Path:
        if not path.is_file():
            raise ArtifactNotFound(f"{key}: no such object")
        if not self._is_noted(path, wanted):
            check(key, wanted, measure_file(path))
            self._note(path, wanted)
        return path

    def _is_sound(self, path: Path, wanted: Measured) -> bool:
        if not path.is_file():
            return False
        if self._is_noted(path, wanted):
            return True
        if measure_file(path) == wanted:
            self._note(path, wanted)
            return True
        logger.warning("cache_entry_damaged", extra={"path": str(path)})
        return False

    def _download(self, store: Store, key: Key, wanted: Measured, path: Path) -> None:
        part = self._parts / secrets.token_hex(8)
        try:
            with store.open(key) as source, part.open("xb") as target:
                found = copy(source, target)
            check(key, wanted, found)
            part.chmod(0o444)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        self._note(path, wanted)

    def _note(self, path: Path, wanted: Measured) -> None:
        part = self._parts / secrets.token_hex(8)
        part.write_text(json.dumps(_note(path, wanted)))
        os.replace(part, self._note_of(path))

    def _is_noted(self, path: Path, wanted: Measured) -> bool:
        try:
            noted = json.loads(self._note_of(path).read_text())
        except (FileNotFoundError, ValueError):
            return False
        return bool(noted == _note(path, wanted))

    def _note_of(self, path: Path) -> Path:
        return self._verified / f"{hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()}.json"

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """One holder at a time among processes and threads; a killed holder's lock is free at once."""
        descriptor = os.open(self._locks / name, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:  # evicted meanwhile
        return None


def _mark_used(path: Path) -> None:
    """The time of access, which many file systems do not keep by themselves."""
    os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _note(path: Path, wanted: Measured) -> dict[str, str | int]:
    status = path.stat()
    return {
        "sha256": wanted.sha256,
        "size": status.st_size,
        "inode": status.st_ino,
        "changed": status.st_mtime_ns,
    }
