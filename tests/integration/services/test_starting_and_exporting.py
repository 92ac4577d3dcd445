"""Through the services: trainings that start from a committed model, and models that are exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from service_processes import Stack
from typer.testing import CliRunner

from disentanglement import Client
from disentanglement.cli.app import app
from disentanglement.errors import ArtifactNotFound, SpecError, StepNotCommitted
from disentanglement.jobs.states import JobState
from disentanglement.rpc.views import JobView
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.records import load_plan, load_study

MODEL: dict[str, Any] = {
    "dataset": "dummy_data",
    "objective": {"beta_vae": {"beta": 4}},
    "architecture": {"num_latent": 3},
    "training_steps": 2,
    "eval_steps": 1,
    "batch_size": 4,
}
STUDY = {"name": "continued", "model": {**MODEL, "random_seed": 5}, "representations": ["mean"], "metrics": []}


@pytest.fixture
def trained(client: Client) -> JobView:
    job = client.train(MODEL, wait_s=60)
    assert job.state is JobState.SUCCEEDED
    return job


@pytest.mark.parametrize("way", ["name", "step_key"])
def test_a_job_starts_from_a_model_by_its_name_or_key(client: Client, trained: JobView, way: str) -> None:
    """Both are one job: what is written is resolved when it is submitted."""
    job = client.train({**MODEL, "random_seed": 1, "init_from": getattr(trained, way)}, wait_s=60)
    assert job.state is JobState.SUCCEEDED
    assert job.step_key != client.train({**MODEL, "random_seed": 1}, wait_s=60).step_key
    assert job.step_key == client.train({**MODEL, "random_seed": 1, "init_from": trained.step_key}).step_key


def test_what_cannot_be_started_from_is_refused_with_the_right_error(client: Client, trained: JobView) -> None:
    with pytest.raises(StepNotCommitted, match="init_from"):
        client.train({**MODEL, "init_from": f"dummy_data.beta_vae.{'a' * 52}"})
    with pytest.raises(ArtifactNotFound):
        client.train({**MODEL, "init_from": "projects/default/studies/none/models/0"})
    with pytest.raises(SpecError, match=r"architecture\.num_latent: wanted 3"):
        client.train({**MODEL, "init_from": trained.step_key, "architecture": {"num_latent": 4}})


def test_a_study_starts_from_a_model_and_has_its_key_in_the_plan(
    client: Client, trained: JobView, stack: Stack, tmp_path: Path
) -> None:
    model = {**STUDY["model"], "init_from": trained.name}  # type: ignore[dict-item]
    client.submit({**STUDY, "model": model})
    assert [*client.watch("continued")][-1].state == "succeeded"
    store = DirectoryStore(stack.store)
    plan = load_plan(store, load_study(store, "default", "continued").plan)
    assert plan.model(0).train.init_from == trained.step_key
    with pytest.raises(StepNotCommitted):
        client.submit({**STUDY, "name": "from_nothing", "model": {**MODEL, "init_from": f"a.b.{'a' * 52}"}})


def test_a_model_is_exported_from_the_services_store(
    client: Client, trained: JobView, stack: Stack, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    command = ["models", "export", trained.step_key, "--out", str(folder), "--server", stack.address]
    ended = CliRunner().invoke(app, command, env={"DISENTANGLEMENT_TOKEN": None})
    assert ended.exit_code == 0, ended.output
    card = json.loads((folder / "model_card.json").read_text())
    assert card["step_key"] == trained.step_key
    assert card["results"] == pytest.approx(trained.scores)
    assert card["data"]["name"] == "dummy_data"
    assert (folder / "model.safetensors").stat().st_size > 1000


def test_a_commit_and_its_data_card_can_be_downloaded(client: Client, trained: JobView, tmp_path: Path) -> None:
    manifest = json.loads(client.download(trained.step_key, "manifest.json", tmp_path).read_text())
    card = json.loads(client.download(trained.step_key, "data_card.json", tmp_path).read_text())
    assert manifest["step_key"] == trained.step_key
    assert manifest["provenance"]["data"]["digest"] == card["digest"]
    with pytest.raises(ArtifactNotFound, match=r"manifest\.json, data_card\.json"):
        client.download(trained.step_key, "other.json", tmp_path)
