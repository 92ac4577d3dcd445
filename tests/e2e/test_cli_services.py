"""The four services as processes of this machine, and a study through them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disentanglement.cli.local_services import LocalServices, free_ports

STUDY = """
name: tiny
model:
  dataset: dummy_data
  objective: {beta_vae: {beta: 4}}
  training_steps: 10
  eval_steps: 1
  batch_size: 4
representations: [mean]
metrics:
  - mig: {num_train: 200}
"""
LONGEST_S = 120.0

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of the command, with a store of its own; no service outlives the test."""
    paths = {name.upper(): str(tmp_path / name) for name in ("store", "cache", "state")}
    yield {**os.environ, **{f"DISENTANGLEMENT_{name}": path for name, path in paths.items()}}
    LocalServices(tmp_path / "state" / "services").stop(grace_s=5.0)


def disentangle(env: dict[str, str], *arguments: str | Path) -> Any:
    """The JSON that the command prints; it must succeed."""
    command = [sys.executable, "-m", "disentanglement.cli", *map(str, arguments), "--json"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def four_ports() -> str:
    """The first of four ports in a row that are probably free."""
    return str(max(free_ports().values()) % 20_000 + 20_000)


def test_services_are_started_mended_used_and_stopped(env: dict[str, str], tmp_path: Path) -> None:
    disentangle(env, "data", "import", "dummy_data")
    port = four_ports()
    first = {row["service"]: row["pid"] for row in disentangle(env, "up", "--port", port, "--workers", "1")}
    assert len(set(first.values())) == 4

    os.kill(first["evaluator"], signal.SIGKILL)
    second = {row["service"]: row["pid"] for row in disentangle(env, "up", "--port", port, "--workers", "1")}
    assert {name for name in first if first[name] != second[name]} == {"evaluator"}

    (tmp_path / "tiny.yaml").write_text(STUDY)
    server = f"127.0.0.1:{port}"
    ended = disentangle(env, "study", "run", tmp_path / "tiny.yaml", "--server", server)
    assert ended["state"] == "succeeded"
    through_services = disentangle(env, "results", "show", "tiny", "--server", server)
    assert [row["key"] for row in through_services] == ["discrete_mig"]
    assert disentangle(env, "study", "list", "--server", server)[0]["state"] == "succeeded"

    assert set(disentangle(env, "down")["stopped"]) == set(first)
    assert disentangle(env, "down")["stopped"] == []
    from_the_store = disentangle(env, "results", "show", "tiny")
    assert [row["value"] for row in from_the_store] == [row["value"] for row in through_services]


def test_a_service_that_does_not_come_up_is_said_with_its_log(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    command = [sys.executable, "-m", "disentanglement.cli", "up", "--port", four_ports()]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert ended.returncode == 69
    assert "its log" in ended.stderr
    assert "Traceback" not in ended.stderr.splitlines()[0]
