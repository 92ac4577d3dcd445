"""A worker killed with SIGKILL at each named point, and two workers on one key: the store stays sound."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Mapping
from itertools import product
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from crashing_step import FILES, KEY, LENGTH, advance, crash, race, run_step

from disentanglement.storage import prefixes
from disentanglement.storage.commit import Attempt, commit, committed, list_committed
from disentanglement.storage.settings import S3Settings, open_store
from disentanglement.storage.store import Store

CHECKPOINT = "checkpoint-000000000003"
WRITTEN = (f"{CHECKPOINT}.file.state", f"{CHECKPOINT}.index.json", *FILES, "manifest")
POINTS = [
    *(f"{when} put {name}" for when, name in product(("before", "inside", "after"), WRITTEN)),
    "before delete checkpoint-000000000001.index.json",
    "after delete checkpoint-000000000001.index.json",
    "before delete checkpoint-000000000004.index.json",
]
RESUMES_AT = {f"{CHECKPOINT}.file.state": 2, f"{CHECKPOINT}.index.json": 2}

Place = tuple[str, dict[str, str]]


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Starts real processes from one that has imported everything: each costs milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crashing_step", "disentanglement.storage.minio_store"])
    return context


@pytest.fixture(params=["directory", "minio"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """What `open_store` needs to open one empty store in several processes."""
    if request.param == "directory":
        return str(tmp_path / "store"), {}
    settings: S3Settings = request.getfixturevalue("bucket_settings")
    environment = {
        "DISENTANGLEMENT_S3_ENDPOINT": settings.endpoint,
        "DISENTANGLEMENT_S3_ACCESS_KEY": settings.access_key,
        "DISENTANGLEMENT_S3_SECRET_KEY": settings.secret_key,
        "DISENTANGLEMENT_S3_SECURE": str(settings.secure),
    }
    return f"s3://{settings.bucket}/{tmp_path.name}", environment


def run_in_process(context: ForkServerContext, target: Any, *arguments: Any) -> int | None:
    process = context.Process(target=target, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


def opened(place: tuple[str, Mapping[str, str]]) -> Store:
    return open_store(*place)


def assert_nothing_half_written_is_readable(store: Store) -> None:
    """Every checkpoint that counts loads, and a manifest, where there is one, names sound files."""
    committed(store, "train", KEY, verify_digests=True)
    for info in store.list(prefixes.EVERYTHING):
        assert len(store.get(info.key)) == info.size


def assert_done_once(store: Store) -> None:
    manifest = committed(store, "train", KEY, verify_digests=True)
    assert manifest is not None
    assert set(manifest.files) == set(FILES)
    assert list_committed(store, "train") == {KEY}
    state = b"0" * 32
    for _ in range(LENGTH):
        state = advance(state)
    assert store.get(manifest.file_key(FILES[0])) == state


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_any_point_leaves_a_sound_store_and_the_next_one_finishes(
    place: Place, point: str, processes: ForkServerContext
) -> None:
    assert run_in_process(processes, crash, *place, point) == -signal.SIGKILL
    store = opened(place)
    assert_nothing_half_written_is_readable(store)

    outcome = run_step(store)

    assert_done_once(store)
    was_done = point in ("after put manifest", "before delete checkpoint-000000000004.index.json")
    assert (outcome.commit is None) == was_done
    assert_went_on_from_the_last_checkpoint(point, outcome.began_at)


def assert_went_on_from_the_last_checkpoint(point: str, began_at: int) -> None:
    when, _, name = point.split()
    if when in ("before", "inside") or name.endswith(".state"):
        expected = RESUMES_AT.get(name, LENGTH)
    else:
        expected = 3 if name.startswith(CHECKPOINT) else LENGTH
    if "checkpoint-000000000001" in name:  # the first is removed once the third is there
        expected = 3
    assert began_at == expected


def test_two_workers_on_one_key_commit_once(place: Place, processes: ForkServerContext) -> None:
    barrier = processes.Barrier(2)
    workers = [processes.Process(target=race, args=(*place, barrier)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    store = opened(place)
    assert_done_once(store)
    manifest = committed(store, "train", KEY)
    assert manifest is not None
    named = {str(manifest.file_key(name)) for name in manifest.files}
    assert {str(info.key) for info in store.list(prefixes.attempts())} == named


def test_who_comes_second_finds_the_first_commit_and_leaves_nothing(place: Place) -> None:
    store = opened(place)
    first, second = Attempt(store, "train", KEY), Attempt(store, "train", KEY)
    for attempt in (first, second):
        attempt.put("weights.safetensors", b"same")
    done = commit(store, first.manifest(spec={}, contract="1.1"))
    late = commit(store, second.manifest(spec={}, contract="1.1"))
    assert done.is_ours
    assert not late.is_ours
    assert late.manifest == done.manifest
    assert late.violation is None
    assert list(store.list(prefixes.attempts("train", KEY, second.name))) == []
    assert committed(store, "train", KEY, verify_digests=True) == done.manifest
