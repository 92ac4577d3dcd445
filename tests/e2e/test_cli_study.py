"""A tiny study through the command, in processes of its own: run, stopped by Ctrl-C, gone on with, repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STUDY = """
name: tiny
model:
  dataset: dummy_data
  objective: {beta_vae: {beta: 4}}
  training_steps: 400
  eval_steps: 2
  batch_size: 4
grid: {sweep: {random_seed: [0, 1]}}
representations: [mean]
metrics:
  - mig: {num_train: 200}
  - sap_score: {num_train: 200, num_test: 100}
"""
LONGEST_S = 100.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of the command, with a store of its own."""
    paths = {name.upper(): str(tmp_path / name) for name in ("store", "cache", "state")}
    return {**os.environ, **{f"DISENTANGLEMENT_{name}": path for name, path in paths.items()}}


@pytest.fixture
def study(tmp_path: Path, env: dict[str, str]) -> Path:
    """The study's file, with its data in the store."""
    (tmp_path / "tiny.yaml").write_text(STUDY)
    disentangle(env, "data", "import", "dummy_data")
    return tmp_path / "tiny.yaml"


def disentangle(env: dict[str, str], *arguments: str | Path) -> str:
    """Standard output of the command, which must succeed."""
    command = [sys.executable, "-m", "disentanglement.cli", *map(str, arguments)]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def manifests(tmp_path: Path) -> dict[str, bytes]:
    """Every commit in the store."""
    found = (tmp_path / "store" / "manifests").rglob("*")
    return {str(path): path.read_bytes() for path in found if path.is_file()}


def wait_until_training(process: subprocess.Popen[str]) -> None:
    """Reads the command's lines until it says that a model trains."""
    assert process.stderr is not None
    deadline = time.monotonic() + LONGEST_S
    for line in process.stderr:
        assert time.monotonic() < deadline
        if "images/s" in line:
            return
    raise AssertionError(f"it ended with {process.wait()} before anything trained")


def test_a_study_stopped_by_ctrl_c_goes_on_and_is_never_computed_twice(
    study: Path, env: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "disentanglement.cli", "study", "run", str(study), "--workers", "1"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True) as first:
        wait_until_training(first)
        os.killpg(first.pid, signal.SIGINT)  # as a terminal does: to the workers as well
        _, rest = first.communicate(timeout=LONGEST_S)
    assert first.returncode == 130
    assert "checkpoints are kept; go on with: disentangle study run" in rest
    assert "Traceback" not in rest
    assert list((tmp_path / "store" / "attempts").rglob("checkpoint-*")), "a checkpoint is in place"

    disentangle(env, "study", "run", study, "--workers", "1")
    done = manifests(tmp_path)
    assert len(done) == 2 + 2 + 4
    disentangle(env, "study", "run", study)
    assert manifests(tmp_path) == done

    rows = json.loads(disentangle(env, "results", "show", "tiny", "--json"))
    assert {(row["number"], row["metric"]) for row in rows} == {(i, m) for i in (0, 1) for m in ("mig", "sap_score")}


def test_steps_run_one_by_one_and_computing_again_agrees(study: Path, env: dict[str, str]) -> None:
    train = ["train", "-d", "dummy_data", "--method", "beta_vae", "--set", "beta=2", "--steps", "10"]
    train += ["--set", "eval_steps=1", "--name", "mine", "--json"]
    first = json.loads(disentangle(env, *train))
    assert first["computed"] is True
    again = json.loads(disentangle(env, *train, "--no-cache"))
    assert (again["key"], again["content_digest"]) == (first["key"], first["content_digest"])
    assert again["determinism_violation"] is False
    disentangle(env, "postprocess", "mine")
    scores = json.loads(disentangle(env, "evaluate", "mine/mean", "-m", "mig", "--set", "num_train=200", "--json"))
    assert 0.0 <= scores["mig"]["discrete_mig"] <= 1.0
