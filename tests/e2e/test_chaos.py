"""The long proof of `make chaos`, in short: a service and the client killed, and the scores the same bit for bit."""

from __future__ import annotations

from pathlib import Path

import chaos
import pytest

pytestmark = pytest.mark.timeout(300)


def test_scores_do_not_depend_on_what_was_killed(tmp_path: Path) -> None:
    line = chaos.prove(tmp_path, rounds=2, every_s=4.0, seed=0, demo=False, workers=1)
    assert "2 kills" in line
    assert "same bit for bit" in line


def test_another_score_is_found_out() -> None:
    expected = chaos.Numbers({"evaluate a": ("0", {"mig": 0.5})}, "[]")
    found = chaos.Numbers({"evaluate a": ("1", {"mig": 0.25})}, "[]")
    with pytest.raises(chaos.Different, match="evaluate a"):
        chaos.compare(expected, found)
    with pytest.raises(chaos.Different, match="evaluate a"):
        chaos.compare(expected, chaos.Numbers({}, "[]"))
    with pytest.raises(chaos.Different, match="tables"):
        chaos.compare(expected, chaos.Numbers(expected.steps, "[1]"))
    chaos.compare(expected, expected)
