"""Arrays of somebody's own: stored by digest, committed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from disentanglement.errors import ArtifactNotFound, CorruptArtifact, SpecError
from disentanglement.steps.uploads import open_arrays, register_arrays, uploaded_digests, uploaded_key
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import UploadKey


def test_uploaded_arrays_have_one_key_whatever_their_byte_order(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    codes, factors = np.arange(8, dtype="<f4").reshape(4, 2), np.array([[0], [1], [0], [1]])
    key = register_arrays(store, {"codes": codes, "factors": factors})
    assert register_arrays(store, {"codes": np.asfortranarray(codes.astype(">f4")), "factors": factors}) == key
    assert key.cell == "uploaded.codes"
    opened = open_arrays(store, key)
    assert np.array_equal(opened["codes"], codes)
    assert opened["codes"].dtype == np.float32
    with pytest.raises(SpecError, match=r"factors\.shape"):
        register_arrays(store, {"codes": codes, "factors": factors[:3]})


def test_damaged_arrays_are_not_read(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    key = register_arrays(store, {"codes": np.ones((4, 2)), "factors": np.ones((4, 1), int)})
    store.put(UploadKey(uploaded_digests(store, key)["codes"]), b"something else")
    with pytest.raises(CorruptArtifact):
        open_arrays(store, key)


def test_arrays_that_nobody_sent_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFound):
        open_arrays(DirectoryStore(tmp_path), uploaded_key({"codes": "0" * 64, "factors": "1" * 64}))
