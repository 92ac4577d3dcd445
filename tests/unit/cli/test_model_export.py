"""`disentangle models export`, `tensorboard` and `show`, and `train --init-from`, on models that are really trained."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from disentanglement import steps
from disentanglement.errors import Interrupted, SpecError
from disentanglement.models.export import FORMATS
from disentanglement.specs import StepKey, TrainSpec, parse_spec, step_key
from disentanglement.steps import exporting, interactive
from disentanglement.steps import train as train_module
from disentanglement.steps.context import StepContext
from disentanglement.steps.train import train
from disentanglement.storage.commit import find_manifest, withdraw
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.references import give_name


def spec_of(digest: str, **changes: Any) -> TrainSpec:
    plain = {
        "dataset": {"name": "dummy_data", "digest": digest},
        "objective": {"beta_vae": {"beta": 4}},
        "architecture": {"num_latent": 3},
        "training_steps": 6,
        "eval_steps": 1,
        "batch_size": 4,
    }
    return parse_spec(TrainSpec, {**plain, **changes})


@pytest.fixture
def trained(store: DirectoryStore, tmp_path: Path, dummy_data: str, monkeypatch: pytest.MonkeyPatch) -> StepKey:
    """A committed model that is called `small`, whose history has three rows."""
    monkeypatch.setattr(train_module, "STEPS_PER_READ", 2)
    spec = spec_of(dummy_data)
    train(spec, StepContext(store, tmp_path / "cache"))
    give_name(store, "default", "small", "train", step_key(spec))
    return step_key(spec)


def test_a_model_is_exported_with_a_card_that_says_where_it_comes_from(
    run: Any, store: DirectoryStore, trained: StepKey, dummy_data: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = run("models", "export", "small", "--format", "safetensors,torch", "--out", out)
    assert ended.code == 0, ended.err
    assert ended.out.strip() == str(out)
    card = json.loads((out / "model_card.json").read_text())
    manifest = find_manifest(store, "train", trained)
    assert manifest is not None
    assert (card["step_key"], card["content_digest"]) == (str(trained), manifest.content_digest)
    assert card["results"] == manifest.results
    assert card["provenance"]["computation"]["precision"] == "fp32"
    assert card["data"]["digest"] == dummy_data
    assert (card["data"]["origin"], card["data"]["licence"]) == ("generated", "Apache-2.0")
    assert not card["data"]["is_comparable"]
    assert {path.name for path in out.iterdir()} == {*card["files"], "model_card.json"}
    weights = (out / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["weights_sha256"]


def test_json_names_what_was_written(run: Any, trained: StepKey, tmp_path: Path) -> None:
    written = run("models", "export", "small", "--out", tmp_path / "out", "--json").json
    assert written["key"] == str(trained)
    assert sorted(Path(path).name for path in written["files"]) == [
        "load_model.py",
        "model.safetensors",
        "model_card.json",
    ]


def test_an_unknown_format_lists_what_there_is(run: Any, trained: StepKey, tmp_path: Path) -> None:
    ended = run("models", "export", "small", "--format", "onnx,pickle", "--out", tmp_path / "out")
    assert ended.code == 2
    assert "safetensors, torch, onnx, tensorboard" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_plugins_code_runs_only_where_it_is_trusted(store: DirectoryStore, trained: StepKey, tmp_path: Path) -> None:
    """As when a model comes from the store of a service: its manifest names code."""
    manifest = find_manifest(store, "train", trained)
    assert manifest is not None
    plugin: Any = {"plugin": {"name": "os:system", "parameters": {}, "source_digest": "0" * 64}}
    spec: Any = {**manifest.spec, "architecture": {"num_latent": 3, "encoder": plugin}}
    tampered = manifest.model_copy(update={"spec": spec})
    store.put(tampered.key, tampered.to_bytes())
    with pytest.raises(SpecError, match=r"encoder\.plugin\.name: wanted an installed entry point"):
        exporting.export(store, trained, tmp_path / "out", ["safetensors"])


def test_without_torch_the_extra_is_named(run: Any, trained: StepKey, tmp_path: Path) -> None:
    hidden = {"disentanglement.steps.exporting": None}
    with mock.patch.dict(sys.modules, hidden), mock.patch.object(steps, "exporting", create=True):
        del steps.exporting
        ended = run("models", "export", "small", "--out", tmp_path / "out")
    assert ended.code == 2
    assert "disentanglement[export]" in ended.err


def test_help_names_every_format(run: Any) -> None:
    out = run("models", "export", "--help").out
    assert all(name in out for name in (*FORMATS, "tensorboard"))
    assert "disentanglement[export]" in out


def test_a_model_that_is_not_there_is_not_found(run: Any, store: DirectoryStore, tmp_path: Path) -> None:
    assert run("models", "export", "nobody", "--out", tmp_path / "out").code == 3


def test_tensorboard_reads_the_curves_of_a_training(
    run: Any, store: DirectoryStore, trained: StepKey, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run("models", "tensorboard", "small", "--out", tmp_path / "events").code == 0
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    manifest = find_manifest(store, "train", trained)
    assert manifest is not None
    rows = exporting.history_rows(store, trained, manifest)
    loss = events.Scalars("train/loss")
    assert [event.step for event in loss] == [2, 4, 6]
    np.testing.assert_allclose([event.value for event in loss], [row["loss"] for row in rows], rtol=1e-6)
    started, finished = (
        datetime.fromisoformat(str(manifest.provenance[name])).timestamp() for name in ("started_at", "finished_at")
    )
    assert all(started <= event.wall_time <= finished + 0.01 for event in loss)
    assert {"kl_per_latent/00", "kl_per_latent/02", "train/reconstruction_loss"} <= set(events.Tags()["scalars"])


def test_curves_can_be_followed_while_a_model_trains(
    store: DirectoryStore, trained: StepKey, dummy_data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that stops half-way is seen from its checkpoint, then to its end, each step once."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(train_module, "STEPS_PER_LOOK", 1)
    spec, context = spec_of(dummy_data, random_seed=9), StepContext(store, tmp_path / "cache")
    asked = iter([False] * 3 + [True] * 100)
    with pytest.raises(Interrupted):
        train(spec, context.replace(should_stop=lambda: next(asked)))
    told: list[int] = []
    exporting.follow(
        store, step_key(spec), tmp_path / "live", told=told.append, sleep=lambda seconds: void(train(spec, context))
    )
    events = EventAccumulator(str(tmp_path / "live"))
    events.Reload()
    assert told[0] < told[-1] == 6
    steps = [event.step for event in events.Scalars("train/loss")]
    assert steps == sorted(set(steps))
    assert {told[0], 6} <= set(steps)


def void(result: object) -> None:
    """Nothing."""


def test_show_prints_how_a_model_was_computed(run: Any, trained: StepKey) -> None:
    out = run("models", "show", "small").out
    for name in ("computation.precision", "computation.deterministic_algorithms", "versions.torch", "numpy.blas"):
        assert name in out


def test_a_model_may_start_from_another_by_its_name(run: Any, store: DirectoryStore, trained: StepKey) -> None:
    small = ["--set", "architecture.num_latent=3", "--set", "eval_steps=1", "--set", "batch_size=4"]
    command = ["train", "-d", "dummy_data", "--method", "beta_vae", "--set", "beta=1", "--steps", 2, *small]
    ended = run(*command, "--init-from", "small", "--json")
    assert ended.code == 0, ended.err
    manifest = find_manifest(store, "train", StepKey.parse(ended.json["key"]))
    assert manifest is not None
    assert manifest.spec["init_from"] == str(trained)
    withdraw(store, "train", trained)
    assert run(*command, "--init-from", str(trained), "--set", "random_seed=3").code == 3


def test_from_python_a_model_starts_from_another(
    store: DirectoryStore, trained: StepKey, dummy_data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISENTANGLEMENT_CACHE", str(tmp_path / "cache"))
    model = interactive.train(spec_of(dummy_data, init_from="small", training_steps=1), store=tmp_path / "store")
    assert model.spec.init_from == str(trained)
