"""Failure records: a manifest beats them, a retry deletes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from disentanglement.errors import CorruptArtifact
from disentanglement.specs import StepKey
from disentanglement.storage.commit import Attempt, commit
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.failures import (
    FailureRecord,
    clear_failure,
    cleared_generation,
    failure,
    list_failed,
    mark_cleared,
    record_failure,
)
from disentanglement.storage.keys import FailureKey

KEY = StepKey("dsprites_full", "beta_vae", "a" * 52)
OTHER = StepKey("dsprites_full", "factor_vae", "a" * 52)
RECORD = FailureRecord(
    step="train",
    step_key=str(KEY),
    reason="NON_FINITE_LOSS",
    message="the loss is not finite at step 7",
    at=datetime(2026, 1, 2, tzinfo=UTC),
)


def test_a_failure_belongs_to_its_study(store: DirectoryStore) -> None:
    record_failure(store, "p", "s", RECORD)
    assert failure(store, "p", "s", "train", KEY) == RECORD
    assert failure(store, "p", "another", "train", KEY) is None
    assert failure(store, "p", "s", "evaluate", KEY) is None


def test_a_manifest_beats_a_failure(store: DirectoryStore) -> None:
    record_failure(store, "p", "s", RECORD)
    commit(store, Attempt(store, "train", KEY).manifest(spec={}, contract="1.1"))
    assert failure(store, "p", "s", "train", KEY) is None


def test_a_retry_deletes_the_failure(store: DirectoryStore) -> None:
    record_failure(store, "p", "s", RECORD)
    clear_failure(store, "p", "s", "train", KEY)
    assert failure(store, "p", "s", "train", KEY) is None


def test_failures_of_a_cell_are_one_listing(store: DirectoryStore) -> None:
    for key in (KEY, OTHER):
        record_failure(store, "p", "s", RECORD.model_copy(update={"step_key": str(key)}))
    assert list_failed(store, "p", "s", "train", "dsprites_full.beta_vae") == {KEY}
    assert list_failed(store, "p", "s", "train") == {KEY, OTHER}


def test_a_damaged_record_is_corrupt(store: DirectoryStore) -> None:
    store.put(FailureKey("p", "s", "train", KEY), b"?")
    with pytest.raises(CorruptArtifact, match="failures/train"):
        failure(store, "p", "s", "train", KEY)


def test_the_retry_that_was_begun_is_remembered_for_its_study_and_owner(store: DirectoryStore) -> None:
    assert cleared_generation(store, "p", "s", "first") == 0
    mark_cleared(store, "p", "s", 2, "first")
    assert cleared_generation(store, "p", "s", "first") == 2
    assert cleared_generation(store, "p", "s", "made again") == 0
    assert cleared_generation(store, "p", "another", "first") == 0
