"""`python -m kwok.controller control`: the real controller on the test catalogue, and how long its work took.

The lists of what is built are widened first. Each look at a study and each reconcile in it is timed: a line with a name
and seconds is appended to the file TIMES, so that a kill loses nothing. All else is the aggregator image's command.
"""

from __future__ import annotations

import os
import runpy
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TextIO, TypeVar

from kwok.catalogue import pretend_all_is_built

from disentanglement.cluster import study_work
from disentanglement.cluster.reconcile import reconcile

P = ParamSpec("P")
T = TypeVar("T")
TIMES = "TIMES"


def timed(name: str, function: Callable[P, T], times: TextIO) -> Callable[P, T]:
    """The function, telling how long each call took."""

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        began = time.monotonic()
        try:
            return function(*arguments, **named)
        finally:
            times.write(f"{name} {time.monotonic() - began:.4f}\n")

    return call


def time_everything(times: TextIO) -> None:
    """Looks and reconciles of this process are timed from now on."""
    look = timed("look", study_work.StudyWork.look, times)
    setattr(study_work.StudyWork, "look", look)  # noqa: B010  # mypy forbids to assign to a method
    setattr(study_work, "reconcile", timed("reconcile", reconcile, times))  # noqa: B010


if __name__ == "__main__":
    pretend_all_is_built()
    with open(os.environ[TIMES], "a", buffering=1) as times:
        time_everything(times)
        runpy.run_module("disentanglement.services.aggregator", run_name="__main__", alter_sys=True)
