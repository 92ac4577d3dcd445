"""What a store is, stated once and run against both adapters."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from disentanglement.errors import ArtifactNotFound
from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.keys import ArtifactKey, ManifestKey, NameKey, UploadKey, new_attempt
from disentanglement.storage.store import Store, measure, measure_object

KEY = StepKey("dsprites_full", "beta_vae", "a" * 52)
OTHER_METHOD = StepKey("dsprites_full", "beta_tcvae", "b" * 52)
LARGE_BYTES = 20 << 20
THREADS = 16


def manifest_key(number: int) -> ManifestKey:
    letters = f"{number:06d}".translate(str.maketrans("0123456789", "abcdefghij"))
    return ManifestKey("train", StepKey("dsprites_full", "beta_vae", letters.rjust(52, "a")))


def all_at_once(call: Callable[[int], bool]) -> list[bool]:
    barrier = Barrier(THREADS)

    def run(number: int) -> bool:
        barrier.wait()
        return call(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def test_what_was_put_is_read_back(store: Store) -> None:
    assert store.put(NameKey("p", "n"), b"one")
    assert store.get(NameKey("p", "n")) == b"one"
    with store.open(NameKey("p", "n")) as stream:
        assert (stream.read(2), stream.read()) == (b"on", b"e")


def test_an_empty_object_is_an_object(store: Store) -> None:
    assert store.put(NameKey("p", "empty"), b"", if_absent=True)
    assert store.get(NameKey("p", "empty")) == b""
    assert not store.put(NameKey("p", "empty"), b"x", if_absent=True)


def test_a_plain_put_replaces(store: Store) -> None:
    store.put(NameKey("p", "n"), b"one")
    store.put(NameKey("p", "n"), b"two")
    assert store.get(NameKey("p", "n")) == b"two"


def test_put_if_absent_leaves_what_stands(store: Store) -> None:
    assert store.put(NameKey("p", "n"), b"one", if_absent=True)
    assert not store.put(NameKey("p", "n"), b"two", if_absent=True)
    assert store.get(NameKey("p", "n")) == b"one"


def test_of_sixteen_racing_writers_one_wins_and_its_bytes_stand(store: Store) -> None:
    key = manifest_key(0)
    won = all_at_once(lambda number: store.put(key, b"%d" % number * 1000, if_absent=True))
    assert won.count(True) == 1
    assert store.get(key) == b"%d" % won.index(True) * 1000


def test_of_sixteen_racing_replacers_somebodys_whole_bytes_stand(store: Store) -> None:
    all_at_once(lambda number: store.put(NameKey("p", "n"), b"%02d" % number * 50_000))
    data = store.get(NameKey("p", "n"))
    assert data == data[:2] * 50_000


def test_put_if_absent_works_again_after_a_delete(store: Store) -> None:
    store.put(NameKey("p", "n"), b"one", if_absent=True)
    store.delete(NameKey("p", "n"))
    assert store.put(NameKey("p", "n"), b"two", if_absent=True)


def test_a_missing_object_is_an_error_to_read_and_nothing_to_head(store: Store) -> None:
    missing = UploadKey("0" * 64)
    assert store.head(missing) is None
    with pytest.raises(ArtifactNotFound, match="uploads/0"):
        store.get(missing)
    with pytest.raises(ArtifactNotFound, match="uploads/0"):
        store.open(missing)


def test_delete_removes_and_may_be_repeated(store: Store) -> None:
    store.put(NameKey("p", "n"), b"one")
    store.delete(NameKey("p", "n"))
    store.delete(NameKey("p", "n"))
    assert store.head(NameKey("p", "n")) is None
    assert list(store.list(prefixes.EVERYTHING)) == []


def test_head_tells_size_and_time(store: Store) -> None:
    store.put(NameKey("p", "n"), b"four")
    info = store.head(NameKey("p", "n"))
    assert info is not None
    assert (info.key, info.size) == (NameKey("p", "n"), 4)
    assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_large_file_survives_byte_for_byte(store: Store, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * (LARGE_BYTES >> 20) + b"tail"
    path = tmp_path / "large"
    path.write_bytes(data)
    key = ArtifactKey("train", KEY, new_attempt(), "weights.safetensors")
    store.put_file(key, path)
    assert measure_object(store, key) == measure(data)
    assert store.get(key) == data


def test_large_bytes_from_memory_survive_too(store: Store) -> None:
    data = os.urandom(1 << 20) * 9
    store.put(UploadKey("1" * 64), data)
    assert store.get(UploadKey("1" * 64)) == data


def test_a_reader_never_sees_half_an_object(store: Store) -> None:
    key, size = UploadKey("2" * 64), 2 << 20
    versions = {bytes([n]) * size for n in range(8)}
    store.put(key, b"\0" * size)

    def write() -> None:
        for version in sorted(versions):
            store.put(key, version)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        seen: list[bytes] = []
        while not writing.done() or not seen:
            seen.append(store.get(key))
        writing.result()
    assert all(data in versions for data in seen)


def test_an_open_stream_stays_on_its_version(store: Store) -> None:
    key = UploadKey("3" * 64)
    store.put(key, b"1" * 1000)
    with store.open(key) as stream:
        store.put(key, b"2" * 1000)
        assert stream.read() == b"1" * 1000


def test_a_listing_goes_beyond_a_thousand_in_the_order_of_keys(store: Store) -> None:
    keys = [manifest_key(number) for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"{}"), reversed(keys)))
    assert [info.key for info in store.list(prefixes.manifests("train", "dsprites_full.beta_vae"))] == keys


def test_a_listing_is_ordered_by_bytes_of_whole_keys(store: Store) -> None:
    """`a.json` beside `a/`: `.` sorts before `/`, and `-` before both."""
    keys = [NameKey(p, n) for p, n in [("a", "x"), ("a-b", "x"), ("a.b", "x"), ("a", "B"), ("a", "b")]]
    for key in keys:
        store.put(key, b"1")
    assert [str(info.key) for info in store.list(prefixes.EVERYTHING)] == sorted(map(str, keys))


def test_a_listing_holds_its_prefix_and_nothing_else(store: Store) -> None:
    for key in (KEY, OTHER_METHOD):
        store.put(ManifestKey("train", key), b"12345")
        store.put(ManifestKey("evaluate", key), b"1")
    (info,) = store.list(prefixes.manifests("train", "dsprites_full.beta_vae"))
    assert (info.key, info.size) == (ManifestKey("train", KEY), 5)
    assert len(list(store.list(prefixes.manifests("train")))) == 2
    assert len(list(store.list(prefixes.manifests()))) == 4
    assert list(store.list(prefixes.manifests("postprocess"))) == []


def test_a_listing_of_one_attempt_is_blind_to_its_neighbours(store: Store) -> None:
    for attempt in ("0" * 16, "0" * 15 + "1"):
        store.put(ArtifactKey("train", KEY, attempt, "weights.safetensors"), b"w")
    (info,) = store.list(prefixes.attempts("train", KEY, "0" * 16))
    assert str(info.key).endswith(f"{'0' * 16}/weights.safetensors")


def test_objects_may_be_deleted_while_they_are_listed(store: Store) -> None:
    for number in range(20):
        store.put(manifest_key(number), b"{}")
    for info in store.list(prefixes.manifests("train")):
        store.delete(info.key)
    assert list(store.list(prefixes.EVERYTHING)) == []


def test_writers_and_deleters_of_one_directory_do_not_disturb_each_other(store: Store) -> None:
    def put_and_delete(number: int) -> bool:
        key = ArtifactKey("train", KEY, "0" * 16, f"file{number}")
        for _ in range(20):
            store.put(key, b"x")
            store.delete(key)
        return store.put(key, b"last")

    assert all(all_at_once(put_and_delete))
    assert len(list(store.list(prefixes.attempts()))) == THREADS
