"""Codes of a model: stored once, mapped, evicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from disentanglement.errors import CodesMissing, StepNotCommitted
from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.cache import Cache
from disentanglement.storage.codes import evict_codes, find_codes, list_codes, open_codes, put_codes
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import CodesManifestKey, Key

TRAINED = StepKey("dsprites_full", "beta_vae", "a" * 52)
KEY = CodesManifestKey(TRAINED, "0" * 64)
MEAN: NDArray[np.float32] = np.arange(12, dtype=np.float32).reshape(4, 3)
LOGVAR = -MEAN


def test_codes_are_read_back_as_they_were(store: DirectoryStore, cache: Cache) -> None:
    manifest = put_codes(store, KEY, MEAN, LOGVAR)
    codes = open_codes(store, cache, KEY)
    np.testing.assert_array_equal(codes.mean, MEAN)
    np.testing.assert_array_equal(codes.logvar, LOGVAR)
    assert codes.content_digest == manifest.content_digest
    assert codes.mean.dtype == codes.logvar.dtype == np.float32


def test_codes_are_mapped_and_read_only(store: DirectoryStore, cache: Cache) -> None:
    put_codes(store, KEY, MEAN, LOGVAR)
    mean = open_codes(store, cache, KEY).mean
    assert isinstance(mean, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mean[0] = 1


def test_codes_that_were_never_extracted_are_missing_which_is_a_step_not_committed(
    store: DirectoryStore, cache: Cache
) -> None:
    assert find_codes(store, KEY) is None
    with pytest.raises(CodesMissing, match=str(TRAINED)) as raised:
        open_codes(store, cache, KEY)
    assert isinstance(raised.value, StepNotCommitted)


def test_the_first_extraction_stands_and_the_second_leaves_nothing(store: DirectoryStore) -> None:
    first = put_codes(store, KEY, MEAN, LOGVAR)
    assert put_codes(store, KEY, MEAN + 1, LOGVAR) == first
    named = {str(first.file_key(name)) for name in first.files} | {str(KEY)}
    assert {str(info.key) for info in store.list(prefixes.codes())} == named


def test_a_lost_reply_keeps_what_was_written(tmp_path: Path, cache: Cache) -> None:
    class LostReply(DirectoryStore):
        def put(self, key: Key, data: bytes, *, if_absent: bool = False) -> bool:
            super().put(key, data, if_absent=if_absent)
            return super().put(key, data, if_absent=if_absent)

    store = LostReply(tmp_path / "lossy")
    put_codes(store, KEY, MEAN, LOGVAR)
    np.testing.assert_array_equal(open_codes(store, cache, KEY).mean, MEAN)


def test_evicted_codes_are_missing_and_can_be_extracted_again(store: DirectoryStore, cache: Cache) -> None:
    first = put_codes(store, KEY, MEAN, LOGVAR)
    evict_codes(store, KEY)
    evict_codes(store, KEY)
    assert list(store.list(prefixes.EVERYTHING)) == []
    with pytest.raises(CodesMissing):
        open_codes(store, cache, KEY)
    again = put_codes(store, KEY, MEAN, LOGVAR)
    assert again.content_digest == first.content_digest
    assert again.attempt != first.attempt


def test_codes_that_go_while_they_are_opened_are_missing(store: DirectoryStore, cache: Cache) -> None:
    manifest = put_codes(store, KEY, MEAN, LOGVAR)
    store.delete(manifest.file_key("logvar.npy"))
    with pytest.raises(CodesMissing, match="extract"):
        open_codes(store, cache, KEY)


def test_damaged_codes_are_evicted_and_missing_so_that_they_are_extracted_again(
    store: DirectoryStore, cache: Cache
) -> None:
    manifest = put_codes(store, KEY, MEAN, LOGVAR)
    store.put(manifest.file_key("mean.npy"), b"not codes")
    with pytest.raises(CodesMissing, match="damaged"):
        open_codes(store, cache, KEY)
    assert list(store.list(prefixes.EVERYTHING)) == []
    put_codes(store, KEY, MEAN, LOGVAR)
    np.testing.assert_array_equal(open_codes(store, cache, KEY).mean, MEAN)


def test_codes_with_a_damaged_manifest_are_evicted_too(store: DirectoryStore, cache: Cache) -> None:
    put_codes(store, KEY, MEAN, LOGVAR)
    store.put(KEY, b"?")
    with pytest.raises(CodesMissing, match="damaged"):
        open_codes(store, cache, KEY)
    assert list_codes(store) == set()


def test_draws_and_data_are_kept_apart(store: DirectoryStore, cache: Cache) -> None:
    drawn = CodesManifestKey(TRAINED, "0" * 64, draws=2)
    elsewhere = CodesManifestKey(TRAINED, "1" * 64)
    put_codes(store, KEY, MEAN, LOGVAR)
    put_codes(store, drawn, np.stack([MEAN, MEAN + 1], axis=1), np.stack([LOGVAR, LOGVAR], axis=1))
    put_codes(store, elsewhere, MEAN + 2, LOGVAR)
    assert open_codes(store, cache, drawn).mean.shape == (4, 2, 3)
    assert open_codes(store, cache, elsewhere).mean[0, 0] == 2
    assert list_codes(store, TRAINED) == {KEY, drawn, elsewhere}
    assert list_codes(store, StepKey("dsprites_full", "beta_vae", "b" * 52)) == set()


def test_the_digest_tells_mean_from_logvar(store: DirectoryStore) -> None:
    one = put_codes(store, KEY, MEAN, LOGVAR)
    other = put_codes(store, CodesManifestKey(TRAINED, "1" * 64), LOGVAR, MEAN)
    assert one.content_digest != other.content_digest
