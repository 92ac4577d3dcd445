"""Computing a committed step again compares the two; a difference is a determinism violation."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny_steps
from tiny_steps import Place

from disentanglement.specs import Step
from disentanglement.steps.run import run_step
from disentanglement.storage import prefixes
from disentanglement.storage.cache import Cache
from disentanglement.storage.codes import codes_digest, evict_codes, list_codes, open_codes, put_codes
from disentanglement.storage.commit import find_manifest
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem

STEPS: tuple[Step, ...] = ("train", "postprocess", "evaluate")


@pytest.fixture(scope="module")
def finished(
    imported: Path, digest: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[Step, WorkItem]]:
    """A store with one step of each kind committed, and the steps."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(imported, folder / "store")
    items = tiny_steps.items(tiny_steps.plan(digest))
    chosen = {step: next(item for item in items if item.step == step) for step in STEPS}
    for item in chosen.values():
        run_step(item, Place(folder / "store", folder / "cache").context())
    return folder / "store", chosen


@pytest.fixture
def copied(finished: tuple[Path, dict[Step, WorkItem]], tmp_path: Path) -> Place:
    shutil.copytree(finished[0], tmp_path / "store")
    return Place(tmp_path / "store", tmp_path / "cache")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_computed_again_is_the_same_and_changes_nothing(
    copied: Place, finished: tuple[Path, dict[Step, WorkItem]], step: Step
) -> None:
    before = stored(copied)
    result = run_step(finished[1][step], copied.context(recompute=True))
    assert result.computed
    assert not result.determinism_violation
    assert stored(copied) == before


@pytest.mark.parametrize("step", STEPS)
def test_a_committed_step_with_other_numbers_is_reported_and_stands(
    copied: Place, finished: tuple[Path, dict[Step, WorkItem]], step: Step, caplog: pytest.LogCaptureFixture
) -> None:
    item, store = finished[1][step], DirectoryStore(copied.store)
    manifest = find_manifest(store, step, item.key)
    assert manifest is not None
    tampered = manifest.model_copy(update={"content_digest": "0" * 64})
    store.put(tampered.key, tampered.to_bytes())
    before = stored(copied)
    result = run_step(item, copied.context(recompute=True))
    assert result.determinism_violation
    assert "determinism_violation" in caplog.text
    assert stored(copied) == before


def test_codes_that_the_model_does_not_give_are_reported(
    copied: Place, finished: tuple[Path, dict[Step, WorkItem]]
) -> None:
    """As if the representation had been extracted by a machine that computes otherwise."""
    store, item = DirectoryStore(copied.store), finished[1]["postprocess"]
    (key,) = list_codes(store)
    codes = open_codes(store, Cache(copied.cache), key)
    mean_PD, logvar_PD = codes.mean + 1, codes.logvar.copy()
    evict_codes(store, key)
    put_codes(store, key, mean_PD, logvar_PD)
    manifest = find_manifest(store, "postprocess", item.key)
    assert manifest is not None
    store.delete(manifest.key)
    assert run_step(item, copied.context()).computed  # commits the other codes
    other = find_manifest(store, "postprocess", item.key)
    assert other is not None
    assert other.provenance["codes"] == codes_digest(mean_PD, logvar_PD)

    assert run_step(item, copied.context(recompute=True)).determinism_violation


def stored(place: Place) -> dict[str, bytes]:
    """Every object of a store."""
    store = DirectoryStore(place.store)
    return {str(info.key): store.get(info.key) for info in store.list(prefixes.EVERYTHING)}
