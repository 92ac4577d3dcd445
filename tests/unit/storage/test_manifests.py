"""Manifests: strict JSON, digests over numbers alone."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from disentanglement.errors import CorruptArtifact
from disentanglement.specs import StepKey
from disentanglement.storage.commit import Attempt
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import ManifestKey, NameKey
from disentanglement.storage.manifests import Manifest, content_digest, restore, strict_json, tensor_digest

KEY = StepKey("dsprites_full", "beta_vae", "a" * 52)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # nan is nan here, and 1 is not 1.0


@pytest.fixture
def manifest(tmp_path: Any) -> Manifest:
    attempt = Attempt(DirectoryStore(tmp_path), "evaluate", KEY, "0" * 16)
    attempt.put("log.txt", b"hello")
    return attempt.manifest(
        spec={"metric": {"mig": {}}}, contract="1.1", upstream=(KEY,), results={"a": math.nan, "b/c": [1.0, -math.inf]}
    )


def test_a_number_that_is_not_finite_is_null_with_what_it_was_beside() -> None:
    strict, non_finite = strict_json({"mig": math.nan, "by/factor": [1.0, math.inf, {"x~": -math.inf}]})
    assert strict == {"mig": None, "by/factor": [1.0, None, {"x~": None}]}
    assert non_finite == {"/mig": "nan", "/by~1factor/1": "inf", "/by~1factor/2/x~0": "-inf"}


@given(value=json_values)
def test_strict_json_is_strict_and_can_be_undone(value: Any) -> None:
    strict, non_finite = strict_json(value)
    text = json.dumps(strict, allow_nan=False)
    assert same(restore(json.loads(text), non_finite), value)


def test_a_manifest_survives_being_written_and_read(manifest: Manifest) -> None:
    data = manifest.to_bytes()
    assert b"NaN" not in data
    again = Manifest.from_bytes(manifest.key, data)
    assert again == manifest
    assert same(again.scores(), {"a": math.nan, "b/c": [1.0, -math.inf]})


def test_a_manifest_records_size_and_digest_of_each_file(manifest: Manifest) -> None:
    assert manifest.files["log.txt"].size == 5
    assert manifest.files["log.txt"].sha256 == hashlib.sha256(b"hello").hexdigest()
    assert str(manifest.file_key("log.txt")) == f"attempts/evaluate/{KEY}/{'0' * 16}/log.txt"
    with pytest.raises(KeyError):
        manifest.file_key("other.txt")


def test_a_field_of_a_later_release_is_passed_over(manifest: Manifest) -> None:
    later = json.dumps({**json.loads(manifest.to_bytes()), "added_later": 1}).encode()
    assert Manifest.from_bytes(manifest.key, later) == manifest


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"format": 2}'])
def test_what_is_no_manifest_is_corrupt_and_the_object_is_named(data: bytes) -> None:
    with pytest.raises(CorruptArtifact, match="manifests/train"):
        Manifest.from_bytes(ManifestKey("train", KEY), data)
    with pytest.raises(CorruptArtifact, match="names/n"):
        Manifest.from_bytes(NameKey("p", "n"), data)


def test_the_content_digest_depends_on_tensors_and_scores() -> None:
    base = content_digest({"w": "1"}, {"mig": 0.5})
    assert base == content_digest({"w": "1"}, {"mig": 0.5})
    others = [({"w": "2"}, {"mig": 0.5}), ({"v": "1"}, {"mig": 0.5}), ({"w": "1"}, {"mig": 0.25}), ({}, {})]
    assert len({base, *(content_digest(*other) for other in others)}) == 5


def test_the_content_digest_tells_nan_from_null() -> None:
    assert content_digest({}, {"x": math.nan}) != content_digest({}, {"x": None})


def test_a_tensor_digest_is_of_type_shape_and_numbers() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert tensor_digest(x) == hashlib.sha256(b"<f4 (2, 3) " + x.tobytes()).hexdigest()
    assert tensor_digest(x) == tensor_digest(np.asfortranarray(x)) == tensor_digest(x.astype(">f4"))
    others: list[NDArray[Any]] = [x.reshape(3, 2), x.astype(np.float64), x + 1]
    assert len({tensor_digest(x), *(tensor_digest(other) for other in others)}) == 4


def test_times_do_not_count_as_provenance(manifest: Manifest) -> None:
    one = manifest.model_copy(update={"provenance": {"device": "cpu", "wall_time_s": 1.0}})
    other = manifest.model_copy(update={"provenance": {"device": "cpu", "wall_time_s": 2.0}})
    elsewhere = manifest.model_copy(update={"provenance": {"device": "cuda", "wall_time_s": 1.0}})
    assert one.same_provenance(other)
    assert not one.same_provenance(elsewhere)
