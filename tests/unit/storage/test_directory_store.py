"""What is special about a directory: killed writers, permissions, foreign files. The rest is the common suite's."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from disentanglement.errors import StoreRefused, Unavailable
from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import ArtifactKey, NameKey, UploadKey
from disentanglement.storage.store import LocalFiles

KEY = NameKey("p", "n")


class Killed(BaseException):
    """Stands for a kill that nothing handles."""


def test_what_a_killed_writer_left_is_invisible_and_can_be_dropped(store: DirectoryStore, tmp_path: Path) -> None:
    part = tmp_path / "store/.writing/0123456789abcdef"
    part.write_bytes(b"half an obj")
    assert list(store.list(prefixes.EVERYTHING)) == []
    (leftover,) = store.leftovers()
    assert (leftover.name, leftover.size) == ("0123456789abcdef", 11)
    assert abs(leftover.modified - datetime.now(UTC)) < timedelta(minutes=1)
    store.drop(leftover)
    store.drop(leftover)
    assert list(store.leftovers()) == []
    assert not part.exists()


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_an_object_is_nowhere_before_it_is_flushed_and_named(store: DirectoryStore, call: str) -> None:
    with mock.patch.object(os, call, side_effect=Killed), pytest.raises(Killed):
        store.put(KEY, b"x", if_absent=True)
    assert store.head(KEY) is None


def test_bytes_are_flushed_before_the_name_and_the_directory_after(store: DirectoryStore) -> None:
    calls = mock.Mock()
    store.put(UploadKey("0" * 64), b"the directory is there")
    with mock.patch.object(os, "fsync", calls.fsync), mock.patch.object(os, "replace", calls.replace):
        store.put(UploadKey("1" * 64), b"x")
    assert [call[0] for call in calls.method_calls] == ["fsync", "replace", "fsync"]


def test_a_writer_that_fails_leaves_nothing(store: DirectoryStore) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        mock.patch.object(os, "fsync", side_effect=full),
        pytest.raises(Unavailable, match=r"projects/p/names/n\.json: No space left"),
    ):
        store.put(KEY, b"x")
    assert list(store.leftovers()) == []
    assert store.head(KEY) is None


def test_a_directory_that_may_not_be_written_refuses(store: DirectoryStore) -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    with mock.patch.object(os, "replace", side_effect=denied), pytest.raises(StoreRefused, match="names/n"):
        store.put(KEY, b"x")


def test_files_that_are_not_ours_are_not_listed(store: DirectoryStore, tmp_path: Path) -> None:
    store.put(KEY, b"x")
    (tmp_path / "store/projects/p/names/.DS_Store").write_bytes(b"")
    (tmp_path / "store/notes.txt").write_bytes(b"")
    (tmp_path / "store/projects/p/link").symlink_to(tmp_path / "store/projects/p/names")
    assert [info.key for info in store.list(prefixes.EVERYTHING)] == [KEY]


def test_empty_directories_go_with_their_last_object(store: DirectoryStore, tmp_path: Path) -> None:
    step_key = StepKey("a", "b", "a" * 52)
    one, two = (ArtifactKey("train", step_key, digit * 16, "w") for digit in "01")
    store.put(one, b"x")
    store.put(two, b"x")
    store.delete(one)
    assert [path.name for path in (tmp_path / f"store/attempts/train/{step_key}").iterdir()] == ["1" * 16]
    store.delete(two)
    assert [path.name for path in (tmp_path / "store").iterdir()] == [".writing"]
    store.put(one, b"again")
    assert store.get(one) == b"again"


def test_two_openings_of_one_directory_are_one_store(tmp_path: Path) -> None:
    one, two = DirectoryStore(tmp_path / "s"), DirectoryStore(tmp_path / "s")
    assert one.put(KEY, b"one", if_absent=True)
    assert not two.put(KEY, b"two", if_absent=True)
    assert two.get(KEY) == b"one"


def test_a_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = DirectoryStore(Path("s"))
    store.put(KEY, b"x")
    monkeypatch.chdir("/")
    assert store.get(KEY) == b"x"


def test_objects_are_files_that_can_be_mapped(store: DirectoryStore) -> None:
    store.put(KEY, b"x")
    assert isinstance(store, LocalFiles)
    assert store.local_path(KEY).read_bytes() == b"x"
