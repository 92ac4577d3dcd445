"""The collector takes what is old and named by nobody, and nothing else; the check finds what is damaged."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.checking import check_store, repair
from disentanglement.storage.checkpoints import latest_checkpoint, put_checkpoint
from disentanglement.storage.codes import list_codes, put_codes
from disentanglement.storage.collector import collect, collect_codes
from disentanglement.storage.commit import Attempt, commit, committed
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import (
    CodesKey,
    CodesManifestKey,
    DatasetKey,
    Key,
    ManifestKey,
    NameKey,
    ProbeKey,
    UploadKey,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEYS = [StepKey("dsprites_full", "beta_vae", letter * 52) for letter in "abcd"]
CODES = [CodesManifestKey(key, "0" * 64) for key in KEYS]
MEAN = np.zeros((4, 3), np.float32)
SIZE = 2 * (128 + MEAN.nbytes)


def age(store: DirectoryStore, days: float, *keys: Key) -> None:
    """Make objects (all of them, if none is named) as old as `days`."""
    for path in [store.local_path(key) for key in keys] or [i for i in _root(store).rglob("*") if i.is_file()]:
        seconds = (NOW - timedelta(days=days)).timestamp()
        os.utime(path, (seconds, seconds))


def _root(store: DirectoryStore) -> Path:
    return store.local_path(NameKey("p", "n")).parents[3]


def attempt_with_checkpoint(store: DirectoryStore, key: StepKey) -> Attempt:
    attempt = Attempt(store, "train", key)
    put_checkpoint(attempt, 3, {"state": b"state"})
    attempt.put("weights.safetensors", b"weights")
    return attempt


def keys(store: DirectoryStore) -> set[str]:
    return {str(info.key) for info in store.list(prefixes.EVERYTHING)}


def test_a_dry_run_says_what_would_go_and_takes_nothing(store: DirectoryStore) -> None:
    attempt_with_checkpoint(store, KEYS[0])
    age(store, 8)
    before = keys(store)
    planned = collect(store, NOW)
    assert {str(info.key) for info in planned.objects} == before == keys(store)
    assert planned.freed_bytes == sum(info.size for info in store.list(prefixes.EVERYTHING)) > 0
    assert collect(store, NOW, dry_run=False) == planned
    assert keys(store) == set()


@pytest.mark.parametrize(("days", "goes"), [(6.9, False), (7.1, True)])
def test_an_attempt_that_nobody_committed_goes_after_seven_days(store: DirectoryStore, days: float, goes: bool) -> None:
    attempt_with_checkpoint(store, KEYS[0])
    age(store, days)
    collect(store, NOW, dry_run=False)
    assert (latest_checkpoint(store, "train", KEYS[0]) is None) == goes


def test_an_attempt_with_a_young_file_stays_whole(store: DirectoryStore) -> None:
    attempt = attempt_with_checkpoint(store, KEYS[0])
    age(store, 30)
    age(store, 1, attempt.key("checkpoint-000000000003.index.json"))
    assert collect(store, NOW).objects == ()


def test_of_a_committed_step_what_its_manifest_names_stays(store: DirectoryStore) -> None:
    attempt, late = attempt_with_checkpoint(store, KEYS[0]), attempt_with_checkpoint(store, KEYS[0])
    store.put(ManifestKey("train", KEYS[0]), attempt.manifest(spec={}, contract="1.1").to_bytes())  # not yet tidied
    age(store, 1000)
    gone = {str(info.key) for info in collect(store, NOW, dry_run=False).objects}
    assert gone == {
        *(str(attempt.key(f"checkpoint-000000000003.{end}")) for end in ("file.state", "index.json")),
        *(str(late.key(f"checkpoint-000000000003.{end}")) for end in ("file.state", "index.json")),
        str(late.key("weights.safetensors")),
    }
    assert committed(store, "train", KEYS[0], verify_digests=True)


def test_beside_a_manifest_that_cannot_be_read_nothing_goes(store: DirectoryStore) -> None:
    attempt_with_checkpoint(store, KEYS[0])
    store.put(ManifestKey("train", KEYS[0]), b"?")
    age(store, 1000)
    assert collect(store, NOW).objects == ()


def test_codes_and_data_without_a_manifest_and_probes_go(store: DirectoryStore) -> None:
    manifest = put_codes(store, CODES[0], MEAN, MEAN)
    strays: list[Key] = [
        CodesKey(KEYS[0], "0" * 64, 1, "f" * 16, "mean.npy"),
        DatasetKey("dsprites_full", "0" * 64, "0.images.npy"),
        ProbeKey("0" * 16),
    ]
    for key in strays:
        store.put(key, b"x")
    store.put(NameKey("p", "n"), b"{}")
    age(store, 1000)
    assert {str(info.key) for info in collect(store, NOW).objects} == set(map(str, strays))
    assert manifest.key in list_codes(store)


def test_unfinished_writes_go_when_they_are_old(store: DirectoryStore) -> None:
    for name, days in (("0" * 16, 8), ("1" * 16, 6)):
        path = _root(store) / ".writing" / name
        path.write_bytes(b"half")
        os.utime(path, ((NOW - timedelta(days=days)).timestamp(),) * 2)
    gone = collect(store, NOW, dry_run=False)
    assert [part.name for part in gone.leftovers] == ["0" * 16]
    assert gone.freed_bytes == 4
    assert [part.name for part in store.leftovers()] == ["1" * 16]


def test_codes_go_by_age(store: DirectoryStore) -> None:
    for codes, days in zip(CODES, (1, 2, 3, 4), strict=True):
        put_codes(store, codes, MEAN, MEAN)
        age(store, days, codes)
    planned = collect_codes(store, NOW, older_than=timedelta(days=2.5))
    assert {info.key for info in planned.objects} == set(CODES[2:])
    assert list_codes(store) == set(CODES)
    collect_codes(store, NOW, older_than=timedelta(days=2.5), dry_run=False)
    assert list_codes(store) == set(CODES[:2])
    assert len(keys(store)) == 6


def test_codes_go_by_size_the_oldest_first(store: DirectoryStore) -> None:
    for codes, days in zip(CODES, (1, 4, 3, 2), strict=True):
        put_codes(store, codes, MEAN, MEAN)
        age(store, days, codes)
    one = collect_codes(store, NOW, older_than=timedelta(0)).freed_bytes // 4
    collect_codes(store, NOW, larger_than=2 * one + 10, dry_run=False)
    assert list_codes(store) == {CODES[0], CODES[3]}
    assert one > SIZE


def test_codes_go_once_they_are_scored(store: DirectoryStore) -> None:
    for codes in CODES:
        put_codes(store, codes, MEAN, MEAN)
    collect_codes(store, NOW, scored=lambda key: key in KEYS[:2], dry_run=False)
    assert list_codes(store) == set(CODES[2:])


def test_codes_stay_when_nothing_says_that_they_may_go(store: DirectoryStore) -> None:
    put_codes(store, CODES[0], MEAN, MEAN)
    age(store, 1000)
    assert collect_codes(store, NOW, dry_run=False).objects == ()


def test_a_sound_store_has_no_findings(store: DirectoryStore) -> None:
    commit(store, attempt_with_checkpoint(store, KEYS[0]).manifest(spec={}, contract="1.1"))
    put_codes(store, CODES[0], MEAN, MEAN)
    report = check_store(store)
    assert (report.manifests, report.files, report.findings) == (2, 3, ())


def test_the_check_finds_a_flipped_byte_a_missing_file_and_a_damaged_manifest(store: DirectoryStore) -> None:
    attempt = attempt_with_checkpoint(store, KEYS[0])
    commit(store, attempt.manifest(spec={}, contract="1.1"))
    store.put(attempt.key("weights.safetensors"), b"Weights")
    codes = put_codes(store, CODES[0], MEAN, MEAN)
    store.delete(codes.file_key("logvar.npy"))
    store.put(ManifestKey("evaluate", KEYS[0]), b"{}")
    store.put(ManifestKey("evaluate", KEYS[1]), attempt.manifest(spec={}, contract="1.1").to_bytes())
    findings = {finding.key: finding.problem for finding in check_store(store).findings}
    assert set(findings) == {
        ManifestKey("train", KEYS[0]),
        CODES[0],
        ManifestKey("evaluate", KEYS[0]),
        ManifestKey("evaluate", KEYS[1]),
    }
    assert "sha256" in findings[ManifestKey("train", KEYS[0])]
    assert "logvar.npy" in findings[CODES[0]]


def test_a_repair_withdraws_damaged_steps_and_evicts_damaged_codes_and_nothing_else(store: DirectoryStore) -> None:
    damaged, sound = (attempt_with_checkpoint(store, key) for key in KEYS[:2])
    for attempt in (damaged, sound):
        commit(store, attempt.manifest(spec={}, contract="1.1"))
    store.put(damaged.key("weights.safetensors"), b"Weights")
    store.delete(put_codes(store, CODES[0], MEAN, MEAN).file_key("logvar.npy"))
    put_codes(store, CODES[1], MEAN, MEAN)
    store.put(CODES[2], b"not a manifest")
    assert set(repair(store, check_store(store))) == {damaged_manifest := ManifestKey("train", KEYS[0]), *CODES[::2]}
    assert store.head(damaged_manifest) is None
    assert list_codes(store) == {CODES[1]}
    report = check_store(store)
    assert (report.manifests, report.findings) == (2, ())
    assert repair(store, report) == []


def test_what_is_younger_than_an_hour_stays_whatever_is_asked_for(store: DirectoryStore) -> None:
    for key, hours in zip(KEYS, (0.5, 2), strict=False):
        attempt = Attempt(store, "train", key)
        attempt.put("weights.safetensors", b"about to commit")
        age(store, hours / 24, attempt.key("weights.safetensors"))
    gone = collect(store, NOW, older_than=timedelta(0)).objects
    assert [str(info.key).split("/")[2] for info in gone] == [str(KEYS[1])]


def test_arrays_that_were_sent_go_unless_a_representation_names_them_or_they_are_young(store: DirectoryStore) -> None:
    named, young, old = (UploadKey(digit * 64) for digit in "012")
    for key in (named, young, old):
        store.put(key, b"array")
    uploaded = StepKey("uploaded", "codes", "a" * 52)
    commit(
        store, Attempt(store, "postprocess", uploaded).manifest(spec={"uploaded": {"codes": "0" * 64}}, contract="1")
    )
    age(store, 1000)
    age(store, 1, young)
    assert [info.key for info in collect(store, NOW, dry_run=False).objects] == [old]
    store.put(ManifestKey("postprocess", uploaded), b"?")
    age(store, 1000)
    assert collect(store, NOW).objects == ()
