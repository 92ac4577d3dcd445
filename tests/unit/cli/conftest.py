"""A store in a temporary directory, the command run against it, and steps committed without being computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_kubernetes import TinyKubernetes, tiny_kubernetes
from tiny_studies import LAB
from typer.testing import CliRunner

from disentanglement.cli import cluster_study
from disentanglement.cli.app import app
from disentanglement.cli.data_sets import obtain
from disentanglement.storage.directory_store import DirectoryStore

TINY = """
name: tiny
model:
  dataset: dummy_data
  objective: {beta_vae: {beta: 4}}
  training_steps: 20
  eval_steps: 2
  batch_size: 8
grid: {sweep: {random_seed: [0, 1]}}
representations: [mean]
metrics:
  - mig: {num_train: 200}
  - sap_score: {num_train: 200, num_test: 100}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What the command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as strict JSON."""
        return json.loads(self.out, parse_constant=_refuse)


Run = Callable[..., Ended]


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """An empty store."""
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def run(store: DirectoryStore, tmp_path: Path) -> Run:
    """Runs `disentangle` in this process, against `store`."""
    env = {
        "DISENTANGLEMENT_STORE": str(tmp_path / "store"),
        "DISENTANGLEMENT_STATE": str(tmp_path / "state"),
        "DISENTANGLEMENT_CACHE": str(tmp_path / "cache"),
        "DISENTANGLEMENT_PROJECT": None,
        "DISENTANGLEMENT_SERVER": None,
        "DISENTANGLEMENT_TOKEN": None,
        "COLUMNS": "100",
    }

    def invoke(*arguments: object) -> Ended:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=env, prog_name="disentangle")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def dummy_data(store: DirectoryStore) -> str:
    """`dummy_data` in the store; its digest."""
    card, _ = obtain(store, "dummy_data", released=None, report=lambda share, note: None)
    return card.digest


@pytest.fixture
def tiny(tmp_path: Path, dummy_data: str) -> Path:
    """A study file of two models, whose data are in the store."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyKubernetes]:
    """An API server, and a kubeconfig that names it; its context is in the namespace `lab`."""
    with tiny_kubernetes() as api:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "tiny", "cluster": {"server": api.url}}],
            "users": [{"name": "ann", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "tiny", "user": "ann", "namespace": LAB}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setattr(cluster_study, "ANSWER_EVERY_S", 0.0)
        yield api
