"""The commit protocol: one manifest, and what is said of the others."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from disentanglement.errors import CorruptArtifact, Unavailable
from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.checkpoints import latest_checkpoint, put_checkpoint
from disentanglement.storage.commit import Attempt, commit, committed, list_committed, withdraw
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import Key, ManifestKey
from disentanglement.storage.manifests import Manifest

KEY = StepKey("dsprites_full", "beta_vae", "a" * 52)


class LostReply(DirectoryStore):
    """Applies a conditional write and loses the reply; the repeated write finds the first."""

    def put(self, key: Key, data: bytes, *, if_absent: bool = False) -> bool:
        super().put(key, data, if_absent=if_absent)
        return super().put(key, data, if_absent=if_absent)


class NoDelete(DirectoryStore):
    def delete(self, key: Key) -> None:
        raise Unavailable("the store went down")


def attempted(store: DirectoryStore, weights: bytes = b"weights", **changes: Any) -> Manifest:
    attempt = Attempt(store, "train", KEY)
    attempt.put("weights.safetensors", weights)
    return attempt.manifest(**{"spec": {}, "contract": "1.1", "tensors": {"w": weights.hex()}, **changes})


def names(store: DirectoryStore) -> list[str]:
    return [str(info.key).rpartition("/")[2] for info in store.list(prefixes.attempts())]


def test_a_step_is_done_when_its_manifest_exists_and_not_before(store: DirectoryStore) -> None:
    manifest = attempted(store)
    assert committed(store, "train", KEY) is None
    assert commit(store, manifest).is_ours
    assert committed(store, "train", KEY, verify_digests=True) == manifest


def test_committing_twice_is_committing_once(store: DirectoryStore) -> None:
    manifest = attempted(store)
    assert commit(store, manifest).is_ours
    again = commit(store, manifest)
    assert again.is_ours
    assert again.manifest == manifest
    assert names(store) == ["weights.safetensors"]


def test_a_lost_reply_is_no_conflict(tmp_path: Any) -> None:
    store = LostReply(tmp_path)
    done = commit(store, attempted(store))
    assert done.is_ours
    assert done.violation is None
    assert committed(store, "train", KEY, verify_digests=True)


def test_the_first_commit_stands_and_the_second_prefix_is_dropped(store: DirectoryStore) -> None:
    first = commit(store, attempted(store)).manifest
    second = commit(store, attempted(store))
    assert not second.is_ours
    assert second.manifest == first
    assert second.violation is None
    (info,) = store.list(prefixes.attempts())
    assert info.key == first.file_key("weights.safetensors")


def test_other_numbers_under_the_same_circumstances_are_a_violation_and_logged(
    store: DirectoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    first = commit(store, attempted(store, b"one", provenance={"device": "cpu", "wall_time_s": 1.0}))
    with caplog.at_level(logging.ERROR):
        second = commit(store, attempted(store, b"two", provenance={"device": "cpu", "wall_time_s": 2.0}))
    assert second.violation is not None
    assert second.violation.standing_digest == first.manifest.content_digest
    assert second.violation.other_digest != first.manifest.content_digest
    assert [record.message for record in caplog.records] == ["determinism_violation"]


def test_other_numbers_elsewhere_are_no_violation(store: DirectoryStore) -> None:
    commit(store, attempted(store, b"one", provenance={"device": "cpu"}))
    assert commit(store, attempted(store, b"two", provenance={"device": "cuda"})).violation is None


def test_the_last_write_of_a_name_is_what_the_manifest_records(store: DirectoryStore) -> None:
    attempt = Attempt(store, "train", KEY)
    attempt.put("weights.safetensors", b"first")
    attempt.put("weights.safetensors", b"second!")
    commit(store, attempt.manifest(spec={}, contract="1.1"))
    assert committed(store, "train", KEY, verify_digests=True)


def test_a_commit_removes_the_checkpoints_of_its_attempt(store: DirectoryStore) -> None:
    attempt = Attempt(store, "train", KEY)
    put_checkpoint(attempt, 5, {"state": b"s"})
    attempt.put("weights.safetensors", b"w")
    commit(store, attempt.manifest(spec={}, contract="1.1"))
    assert names(store) == ["weights.safetensors"]
    assert latest_checkpoint(store, "train", KEY) is None


def test_a_commit_stands_when_tidying_fails(tmp_path: Any) -> None:
    store = NoDelete(tmp_path)
    attempt = Attempt(store, "train", KEY)
    put_checkpoint(attempt, 5, {"state": b"s"})
    assert commit(store, attempt.manifest(spec={}, contract="1.1")).is_ours


@pytest.mark.parametrize("damage", [b"weight", b"weights!"])
def test_a_committed_step_with_a_file_of_another_size_is_corrupt(store: DirectoryStore, damage: bytes) -> None:
    manifest = commit(store, attempted(store)).manifest
    store.put(manifest.file_key("weights.safetensors"), damage)
    with pytest.raises(CorruptArtifact, match=r"weights\.safetensors: its manifest wants 7 bytes"):
        committed(store, "train", KEY)


def test_a_committed_step_without_its_file_is_corrupt_until_it_is_withdrawn(store: DirectoryStore) -> None:
    manifest = commit(store, attempted(store)).manifest
    store.delete(manifest.file_key("weights.safetensors"))
    with pytest.raises(CorruptArtifact, match="no file"):
        committed(store, "train", KEY)
    withdraw(store, "train", KEY)
    assert committed(store, "train", KEY) is None


def test_a_flipped_byte_is_found_when_digests_are_verified(store: DirectoryStore) -> None:
    manifest = commit(store, attempted(store)).manifest
    store.put(manifest.file_key("weights.safetensors"), b"Weights")
    assert committed(store, "train", KEY) == manifest
    with pytest.raises(CorruptArtifact, match="sha256"):
        committed(store, "train", KEY, verify_digests=True)


def test_a_manifest_in_anothers_place_is_corrupt(store: DirectoryStore) -> None:
    other = StepKey("dsprites_full", "beta_vae", "b" * 52)
    store.put(ManifestKey("train", other), attempted(store).to_bytes())
    with pytest.raises(CorruptArtifact, match="is that of"):
        committed(store, "train", other)


def test_what_is_done_in_a_cell_is_one_listing(store: DirectoryStore) -> None:
    neighbour = StepKey("dsprites_full", "beta_vae_2", "a" * 52)
    for key in (KEY, neighbour):
        commit(store, Attempt(store, "train", key).manifest(spec={}, contract="1.1"))
    assert list_committed(store, "train", "dsprites_full.beta_vae") == {KEY}
    assert list_committed(store, "train") == {KEY, neighbour}
    assert list_committed(store, "evaluate") == set()
