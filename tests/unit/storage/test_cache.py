"""The local cache: verified once, downloaded once, healed when damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import BinaryIO
from unittest import mock

import pytest

from disentanglement.errors import ArtifactNotFound, CorruptArtifact
from disentanglement.storage.cache import Cache
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import Key, UploadKey
from disentanglement.storage.store import measure, measure_file

KEY = UploadKey("0" * 64)
DATA = b"codes" * 1000
WANTED = measure(DATA)


class FarStore:
    """A directory that does not say where its files are, and counts how often it is read."""

    def __init__(self, store: DirectoryStore) -> None:
        self.reads = 0
        self.second_reader = Event()
        self.patience_s = 0.0
        self._store = store

    def open(self, key: Key) -> BinaryIO:
        self.reads += 1
        if self.reads > 1:
            self.second_reader.set()
        self.second_reader.wait(self.patience_s)
        return self._store.open(key)

    put = property(lambda self: self._store.put)
    put_file = property(lambda self: self._store.put_file)
    get = property(lambda self: self._store.get)
    head = property(lambda self: self._store.head)
    list = property(lambda self: self._store.list)
    delete = property(lambda self: self._store.delete)
    leftovers = property(lambda self: self._store.leftovers)
    drop = property(lambda self: self._store.drop)


@pytest.fixture
def far(store: DirectoryStore) -> FarStore:
    store.put(KEY, DATA)
    return FarStore(store)


@pytest.fixture
def measured() -> Iterator[mock.Mock]:
    """Counts how often a file is read through."""
    with mock.patch("disentanglement.storage.cache.measure_file", wraps=measure_file) as counting:
        yield counting


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_file_is_downloaded_once(far: FarStore, cache: Cache, measured: mock.Mock) -> None:
    for _ in range(3):
        assert cache.fetch(far, KEY, WANTED).read_bytes() == DATA
    assert far.reads == 1
    assert measured.call_count == 0


def test_many_at_once_download_once(far: FarStore, tmp_path: Path) -> None:
    """The first reader gives a second one time to come, which only the lock keeps away."""
    barrier, far.patience_s = Barrier(8), 0.3

    def fetch(_: int) -> bytes:
        cache = Cache(tmp_path / "cache")  # each has its own, as processes have
        barrier.wait()
        return cache.fetch(far, KEY, WANTED).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(fetch, range(8))) == {DATA}
    assert far.reads == 1


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"x", b"x" * len(DATA)])
def test_a_damaged_copy_is_found_and_downloaded_again(far: FarStore, cache: Cache, data: bytes) -> None:
    damage(cache.fetch(far, KEY, WANTED), data)
    assert cache.fetch(far, KEY, WANTED).read_bytes() == DATA
    assert far.reads == 2


def test_a_copy_that_was_only_touched_is_verified_and_kept(far: FarStore, cache: Cache, measured: mock.Mock) -> None:
    path = cache.fetch(far, KEY, WANTED)
    os.utime(path, ns=(0, 0))
    for _ in range(3):
        cache.fetch(far, KEY, WANTED)
    assert far.reads == 1
    assert measured.call_count == 1


def test_a_copy_whose_note_is_lost_or_damaged_is_verified(far: FarStore, cache: Cache, tmp_path: Path) -> None:
    cache.fetch(far, KEY, WANTED)
    (note,) = (tmp_path / "cache/verified").iterdir()
    note.write_text("{")
    assert cache.fetch(far, KEY, WANTED).read_bytes() == DATA
    note.unlink()
    assert cache.fetch(far, KEY, WANTED).read_bytes() == DATA
    assert far.reads == 1


def test_a_store_with_other_bytes_than_recorded_is_corrupt_and_nothing_is_kept(
    far: FarStore, store: DirectoryStore, cache: Cache, tmp_path: Path
) -> None:
    store.put(KEY, b"other")
    with pytest.raises(CorruptArtifact, match=f"{KEY}: wanted 5000 bytes"):
        cache.fetch(far, KEY, WANTED)
    assert list((tmp_path / "cache/files").iterdir()) == []
    assert list((tmp_path / "cache/parts").iterdir()) == []


def test_a_missing_object_is_not_found(far: FarStore, store: DirectoryStore, cache: Cache) -> None:
    for source in (far, store):
        with pytest.raises(ArtifactNotFound):
            cache.fetch(source, UploadKey("1" * 64), WANTED)


def test_a_copy_can_be_evicted(far: FarStore, cache: Cache) -> None:
    path = cache.fetch(far, KEY, WANTED)
    cache.evict(WANTED.sha256)
    cache.evict(WANTED.sha256)
    assert not path.exists()
    assert cache.fetch(far, KEY, WANTED).read_bytes() == DATA


def test_copies_go_the_longest_unused_first(far: FarStore, store: DirectoryStore, cache: Cache) -> None:
    paths = []
    for number in range(3):
        key, data = UploadKey(f"{number}" * 64), bytes([number]) * 1000
        store.put(key, data)
        paths.append(cache.fetch(far, key, measure(data)))
        os.utime(paths[-1], ns=(number * 10**9, paths[-1].stat().st_mtime_ns))
    cache.fetch(far, UploadKey("0" * 64), measure(bytes([0]) * 1000))  # used again
    cache.trim(2500)
    assert [path.exists() for path in paths] == [True, False, True]


def test_files_of_a_directory_are_mapped_where_they_are_and_verified_once(
    store: DirectoryStore, cache: Cache, measured: mock.Mock
) -> None:
    store.put(KEY, DATA)
    for _ in range(3):
        assert cache.fetch(store, KEY, WANTED) == store.local_path(KEY)
    assert measured.call_count == 1


def test_a_damaged_file_of_a_directory_is_corrupt(store: DirectoryStore, cache: Cache) -> None:
    store.put(KEY, DATA)
    cache.fetch(store, KEY, WANTED)
    store.put(KEY, DATA[:-1] + b"?")
    with pytest.raises(CorruptArtifact):
        cache.fetch(store, KEY, WANTED)


def test_after_a_download_the_longest_unused_go_but_never_what_was_just_fetched(
    far: FarStore, store: DirectoryStore, tmp_path: Path
) -> None:
    cache, paths = Cache(tmp_path / "cache", max_bytes=1500), []
    for number in range(3):
        key, data = UploadKey(f"{number}" * 64), bytes([number]) * 1000
        store.put(key, data)
        paths.append(cache.fetch(far, key, measure(data)))
        if number == 0:
            os.utime(paths[0], ns=(10**9, paths[0].stat().st_mtime_ns))
    assert [path.exists() for path in paths] == [False, True, True]
