"""What a step reads from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from disentanglement.errors import SpecError
from disentanglement.steps.context import StepContext


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"DISENTANGLEMENT_STORE": str(folder / "store"), "DISENTANGLEMENT_CACHE": str(folder / "cache"), **more}


def test_checkpoints_are_a_minute_apart_unless_the_environment_says_otherwise(tmp_path: Path) -> None:
    assert StepContext.from_env(environment(tmp_path)).checkpoint_every_s == 60
    often = environment(tmp_path, DISENTANGLEMENT_CHECKPOINT_S="2.5")
    assert StepContext.from_env(often).checkpoint_every_s == 2.5


@pytest.mark.parametrize("given", ["0", "-1", "soon", "nan", "inf"])
def test_an_interval_that_is_none_is_refused_by_name(given: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="DISENTANGLEMENT_CHECKPOINT_S"):
        StepContext.from_env(environment(tmp_path, DISENTANGLEMENT_CHECKPOINT_S=given))
