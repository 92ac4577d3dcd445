"""Checkpoints: the newest sound one of any attempt."""

from __future__ import annotations

import pytest

from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.checkpoints import latest_checkpoint, put_checkpoint
from disentanglement.storage.commit import Attempt
from disentanglement.storage.directory_store import DirectoryStore

KEY = StepKey("dsprites_full", "beta_vae", "a" * 52)
OTHER = StepKey("dsprites_full", "beta_vae", "b" * 52)


def names(store: DirectoryStore) -> list[str]:
    return [str(info.key).rpartition("/")[2] for info in store.list(prefixes.attempts())]


def test_there_is_none_at_first(store: DirectoryStore) -> None:
    assert latest_checkpoint(store, "train", KEY) is None


def test_the_furthest_of_any_attempt_at_the_same_step_is_taken(store: DirectoryStore) -> None:
    one, two = Attempt(store, "train", KEY), Attempt(store, "train", KEY)
    put_checkpoint(one, 9, {"state": b"nine", "optimizer": b"adam"})
    put_checkpoint(one, 10, {"state": b"ten"})
    put_checkpoint(two, 7, {"state": b"seven"})
    put_checkpoint(Attempt(store, "train", OTHER), 99, {"state": b"another step's"})
    found = latest_checkpoint(store, "train", KEY)
    assert found is not None
    assert (found.attempt, found.position, found.contents) == (one.name, 10, {"state": b"ten"})


def test_files_without_an_index_are_no_checkpoint(store: DirectoryStore) -> None:
    attempt = Attempt(store, "train", KEY)
    put_checkpoint(attempt, 1, {"state": b"one"})
    store.put(attempt.key("checkpoint-000000000002.file.state"), b"two")
    found = latest_checkpoint(store, "train", KEY)
    assert found is not None
    assert found.position == 1


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("checkpoint-000000000002.file.state", b"TWO"),
        ("checkpoint-000000000002.file.state", b""),
        ("checkpoint-000000000002.index.json", b"{"),
        ("checkpoint-000000000002.index.json", b'{"position": 1, "files": {}}'),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    store: DirectoryStore, name: str, damage: bytes
) -> None:
    attempt = Attempt(store, "train", KEY)
    put_checkpoint(attempt, 1, {"state": b"one"})
    put_checkpoint(attempt, 2, {"state": b"two"})
    store.put(attempt.key(name), damage)
    found = latest_checkpoint(store, "train", KEY)
    assert found is not None
    assert (found.position, found.contents["state"]) == (1, b"one")


def test_a_checkpoint_whose_file_is_gone_is_passed_over(store: DirectoryStore) -> None:
    attempt = Attempt(store, "train", KEY)
    put_checkpoint(attempt, 1, {"state": b"one"})
    store.delete(attempt.key("checkpoint-000000000001.file.state"))
    assert latest_checkpoint(store, "train", KEY) is None


def test_the_last_two_are_kept(store: DirectoryStore) -> None:
    attempt = Attempt(store, "train", KEY)
    for position in (8, 9, 10, 11):
        put_checkpoint(attempt, position, {"state": b"s"})
    assert names(store) == [
        "checkpoint-000000000010.file.state",
        "checkpoint-000000000010.index.json",
        "checkpoint-000000000011.file.state",
        "checkpoint-000000000011.index.json",
    ]
