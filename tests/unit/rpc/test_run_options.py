"""`run`: which group it is told to run, and how long it waits for the store."""

from __future__ import annotations

import signal
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import pytest

from disentanglement.errors import SpecError, Unavailable
from disentanglement.rpc import command
from disentanglement.rpc.command import STORE_PATIENCE_S, index_from, run
from disentanglement.steps.context import StepContext


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`run` is a process's own; here its handlers go again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"])
def test_the_index_comes_from_the_engine_unless_it_is_given(name: str) -> None:
    assert index_from(Namespace(index=None), {name: "7"}) == 7
    assert index_from(Namespace(index=3), {name: "7"}) == 3


def test_an_index_that_nobody_gives_is_asked_for() -> None:
    with pytest.raises(SpecError, match="--index: wanted which group, or one of JOB_COMPLETION_INDEX"):
        index_from(Namespace(index=None), {})
    with pytest.raises(SpecError, match="SLURM_ARRAY_TASK_ID: wanted 0 or more, got x"):
        index_from(Namespace(index=None), {"SLURM_ARRAY_TASK_ID": "x"})


def test_a_store_that_is_down_at_the_start_is_waited_for_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    now, opened = [0.0], []

    def open_store(env: Any) -> StepContext:
        opened.append(now[0])
        now[0] += 60.0
        raise Unavailable("no answer")

    monkeypatch.setattr(StepContext, "from_env", open_store)
    monkeypatch.setattr(command, "STORE_PAUSE_S", 0.0)
    options = Namespace(plan="0" * 64, cell="a.b", models="0", pack=1, index=0, project="default", study="s")
    with pytest.raises(Unavailable):
        run("train", options, {}, clock=lambda: now[0])
    assert len(opened) == STORE_PATIENCE_S / 60.0
