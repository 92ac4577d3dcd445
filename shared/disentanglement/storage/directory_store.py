"""A store in a directory: the embedded default, and many processes may share it.

An object is written to a file of its own below `.writing/`, flushed to the disk, and only then given its
name: with `link`, which fails where the name is taken, or with `rename`, which replaces. So nobody reads half
an object, and what a killed writer leaves stays below `.writing/`, where no key leads. The file system must
know hard links.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO

from disentanglement.errors import (
    ArtifactNotFound,
    DisentanglementError,
    SpecError,
    StoreRefused,
    Unavailable,
)
from disentanglement.storage.keys import Key, parse_key
from disentanglement.storage.prefixes import Prefix
from disentanglement.storage.store import CHUNK_BYTES, Leftover, ObjectInfo

_WRITING = ".writing"
_RACES = 8
"""How often a directory may vanish (a neighbour removed it as empty) while we put an object into it."""


class DirectoryStore:
    """Objects are files below `root`, named by their keys."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))
        self._writing = self._root / _WRITING
        with _translated(f"the store {self._root}"):
            self._writing.mkdir(parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self._root)!r})"

    @property
    def root(self) -> Path:
        """The folder, made absolute."""
        return self._root

    def put(self, key: Key, data: bytes, *, if_absent: bool = False) -> bool:
        """See `Store.put`."""
        return self._put(key, lambda target: target.write(data), if_absent=if_absent)

    def put_file(self, key: Key, path: Path) -> None:
        """See `Store.put_file`."""
        with path.open("rb") as source:
            self._put(key, lambda target: shutil.copyfileobj(source, target, CHUNK_BYTES), if_absent=False)

    def get(self, key: Key) -> bytes:
        """See `Store.get`."""
        with self.open(key) as stream, _translated(str(key)):
            return stream.read()

    def open(self, key: Key) -> BinaryIO:
        """See `Store.open`."""
        with _translated(str(key)):
            return self.local_path(key).open("rb")

    def head(self, key: Key) -> ObjectInfo | None:
        """See `Store.head`."""
        try:
            with _translated(str(key)):
                return _info(key, os.stat(self.local_path(key)))
        except ArtifactNotFound:
            return None

    def list(self, prefix: Prefix) -> Iterator[ObjectInfo]:
        """See `Store.list`."""
        for text, status in _walk(self._root, str(prefix)):
            try:
                key = parse_key(text)
            except SpecError:
                continue
            yield _info(key, status)

    def delete(self, key: Key) -> None:
        """See `Store.delete`."""
        path = self.local_path(key)
        with _translated(str(key)):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or a neighbour was faster
                for parent in path.relative_to(self._root).parents[:-1]:
                    (self._root / parent).rmdir()

    def leftovers(self) -> Iterator[Leftover]:
        """See `Store.leftovers`."""
        for text, status in _walk(self._root, f"{_WRITING}/"):
            yield Leftover(text.removeprefix(f"{_WRITING}/"), status.st_size, _time(status))

    def drop(self, leftover: Leftover) -> None:
        """See `Store.drop`."""
        with _translated(leftover.name):
            (self._writing / Path(leftover.name).name).unlink(missing_ok=True)

    def local_path(self, key: Key) -> Path:
        """See `LocalFiles.local_path`."""
        return self._root / str(key)

    def _put(self, key: Key, write: Callable[[IO[bytes]], object], *, if_absent: bool) -> bool:
        part = self._writing / secrets.token_hex(8)
        with _translated(str(key)):
            try:
                _write_durably(part, write)
                return self._publish(part, self.local_path(key), if_absent=if_absent)
            finally:
                part.unlink(missing_ok=True)

    def _publish(self, part: Path, path: Path, *, if_absent: bool) -> bool:
        for _ in range(_RACES):
            with suppress(FileNotFoundError):
                self._make_directory(path.parent)
                return _name(part, path, if_absent=if_absent)
        raise Unavailable(f"{path}: its directory vanishes whenever it is made")

    def _make_directory(self, directory: Path) -> None:
        if directory != self._root and not directory.is_dir():
            self._make_directory(directory.parent)
            with suppress(FileExistsError, FileNotFoundError):
                directory.mkdir()
                _flush_directory(directory.parent)


def _write_durably(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    with path.open("xb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())


def _name(part: Path, path: Path, *, if_absent: bool) -> bool:
    if if_absent:
        try:
            os.link(part, path)
        except FileExistsError:
            return False
    else:
        os.replace(part, path)
    _flush_directory(path.parent)
    return True


def _flush_directory(directory: Path) -> None:
    with suppress(FileNotFoundError):  # removed by a neighbour: then there is nothing to keep
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _walk(root: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Files whose path below `root` begins with `prefix`, in the order of their whole paths' bytes."""
    directory = prefix[: prefix.rindex("/") + 1] if "/" in prefix else ""
    for name, is_directory in _entries(root / directory):
        text = f"{directory}{name}"
        if not text.startswith(prefix):
            continue
        if is_directory:
            yield from _walk(root, text)
        else:
            with suppress(FileNotFoundError):
                yield text, os.stat(root / text)


def _entries(directory: Path) -> list[tuple[str, bool]]:
    """Names in a directory, those of directories with their slash, so that sorting sorts whole paths."""
    try:
        with os.scandir(directory) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((f"{name}/" if is_directory else name, is_directory) for name, is_directory in found)


def _info(key: Key, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, _time(status))


def _time(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _ours(error)(f"{what}: {error.strerror or error}") from error


def _ours(error: OSError) -> type[DisentanglementError]:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.EISDIR:
            return ArtifactNotFound
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return StoreRefused
        case _:
            return Unavailable
