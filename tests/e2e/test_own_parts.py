"""The worked example of `docs/examples/`: a model and a metric of one's own beside built-in ones, by the command."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LONGEST_S = 100.0
SMALL = {"training_steps": 10, "eval_steps": 1, "batch_size": 8}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example with the study made small: one seed, few steps."""
    for path in EXAMPLES.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    study: dict[str, Any] = yaml.safe_load((tmp_path / "study.yaml").read_text())
    study["model"] |= SMALL
    study["selection"] = {"seeds": "0"}
    study["metrics"][0]["mig"]["num_train"] = 100
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    disentangle(tmp_path, "data", "import", "dummy_data")
    return tmp_path


def disentangle(folder: Path, *arguments: str) -> str:
    """Standard output of the installed command, run in the example's folder; it must succeed."""
    places = {f"DISENTANGLEMENT_{name}": str(folder / name.lower()) for name in ("STORE", "CACHE", "STATE")}
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DISENTANGLEMENT_PLUGINS")}
    ended = subprocess.run(
        [Path(sys.executable).with_name("disentangle"), *arguments],
        cwd=folder,
        env={**env, **places},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def manifests(folder: Path) -> set[str]:
    """Names of all commits: `train/dummy_data.beta_vae...`."""
    found = (folder / "store" / "manifests").rglob("*.json")
    return {path.relative_to(folder / "store" / "manifests").as_posix() for path in found}


def test_a_new_model_and_a_new_metric_are_compared_with_the_built_in_ones(folder: Path) -> None:
    disentangle(folder, "study", "run", "study.yaml", "--workers", "1")
    rows = json.loads(disentangle(folder, "results", "show", "own_parts", "--json"))
    methods = {"beta_vae", "annealed_vae", "plugin_bottleneck_vae"}
    metrics = {"mig", "plugin_neighbour_agreement"}
    assert {(row["method"], row["metric"]) for row in rows} == {(one, other) for one in methods for other in metrics}
    assert all(0 <= row["value"] <= 1 for row in rows)
    assert "plugin_neigh" in disentangle(folder, "results", "show", "own_parts")

    before = manifests(folder)
    loss = (folder / "my_model.py").read_text()
    (folder / "my_model.py").write_text(loss.replace(".abs()", ".square()"))
    disentangle(folder, "study", "run", "study.yaml", "--workers", "1")
    new = manifests(folder) - before
    assert {name.split("/")[0] for name in new} == {"train", "postprocess", "evaluate"}
    assert {name.split(".")[1] for name in new} == {"plugin_bottleneck_vae"}


def test_the_metric_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    metric = importlib.import_module("my_metric").NeighbourAgreement()
    # neighbours: 0 <-> 1, 2 -> 1, 3 -> 2; who agrees on the first factor: 2; on the second: 0, 1 and 3
    codes_ND = np.array([[0.0], [1.0], [2.5], [5.0]])
    factors_NK = np.array([[0, 7], [1, 7], [1, 8], [2, 8]])
    assert metric.score(codes_ND, factors_NK, np.random.RandomState(0))["agreement"] == pytest.approx(4 / 8)
    alike = metric.score(codes_ND, np.zeros((4, 2), dtype=np.int64), np.random.RandomState(0))
    assert alike == {"agreement": 1.0, "agreement_by_chance": 1.0}
