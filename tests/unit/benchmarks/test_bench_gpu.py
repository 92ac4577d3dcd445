"""The benchmark of packs runs through where there is no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_gpu.py"


def test_it_tries_itself_out_on_a_cpu(tmp_path: Path) -> None:
    lines = tmp_path / "lines.json"
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--smoke", "--objective", "mixed", "--json", str(lines)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert "models/hour" in done.stdout
    measured = json.loads(lines.read_text())["lines"]
    assert {(line["way"], line["models"]) for line in measured} == {
        (way, models) for way in ("loop", "in turn", "matmul", "grouped", "matmul, loop") for models in (1, 2)
    }
    for line in measured:  # 300,000 iterations of so many milliseconds, for so many models at once
        hours = 300_000 * line["ms_per_iteration"] / 3.6e6
        assert line["models_per_hour"] == pytest.approx(line["models"] / hours)
