"""What every result says of how it came about."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest

from disentanglement.specs import PostprocessSpec, RepresentationSpec, StepKey, parse_spec
from disentanglement.steps.context import StepContext
from disentanglement.steps.once import Computed, compute_once
from disentanglement.steps.provenance import numpy_build, surroundings, versions
from disentanglement.storage.commit import find_manifest
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.manifests import Manifest

TRAINED = StepKey("dummy_data", "beta_vae", "a" * 52)


def test_device_threads_versions_processor_and_libraries_are_known() -> None:
    found = surroundings("cuda:1")
    assert (found["device"], found["threads"]) == ("cuda:1", 1)
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["python"] == platform.python_version()
    assert platform.machine() in found["machine"]
    assert found["numpy"]["blas"] != "unknown"
    json.dumps(found, allow_nan=False)


def test_an_image_is_among_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISENTANGLEMENT_IMAGE", "trainer@sha256:1")
    assert versions.__wrapped__()["image"] == "trainer@sha256:1"


def test_a_numpy_that_says_nothing_of_itself_is_recorded_as_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "show_config", lambda mode: {})
    assert numpy_build.__wrapped__() == {"blas": "unknown", "simd": ""}


def committed_with(folder: Path, computed: Computed, device: str = "cpu") -> Manifest:
    context = StepContext(DirectoryStore(folder / "store"), folder / "cache", device)
    spec = PostprocessSpec(representation=parse_spec(RepresentationSpec, "mean"))
    compute_once(spec, [TRAINED], context, lambda attempt: computed)
    (key,) = (StepKey.parse(path.stem) for path in (folder / "store/manifests/postprocess").iterdir())
    manifest = find_manifest(context.store, "postprocess", key)
    assert manifest is not None
    return manifest


def test_every_step_records_its_surroundings_beside_what_it_says_itself(tmp_path: Path) -> None:
    manifest = committed_with(tmp_path, Computed(provenance={"data": {"name": "dummy_data"}}))
    assert manifest.provenance["data"] == {"name": "dummy_data"}
    assert {"device", "threads", "versions", "machine", "numpy", "started_at", "wall_time_s"} <= set(
        manifest.provenance
    )


def test_other_surroundings_are_a_reason_for_other_numbers(tmp_path: Path) -> None:
    one, same, other = (
        committed_with(tmp_path / name, Computed(), device)
        for name, device in [("one", "cpu"), ("same", "cpu"), ("other", "cuda")]
    )
    assert one.same_provenance(same)
    assert not one.same_provenance(other)


def test_a_step_that_found_codes_and_one_that_extracted_them_are_alike(tmp_path: Path) -> None:
    found = committed_with(tmp_path / "found", Computed(provenance={"codes": "1"}))
    made = committed_with(tmp_path / "made", Computed(provenance={"codes": "2", "computation": {"threads": 1}}))
    assert found.same_provenance(made)
