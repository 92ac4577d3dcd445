"""What surrounds a step while it runs: the store, the cache, the device, and who listens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from disentanglement.steps.progress import Report, ShouldStop, never, silent
from disentanglement.storage.commit import Attempt
from disentanglement.storage.settings import cache_directory, open_store
from disentanglement.storage.store import Store

DEVICE_VARIABLE = "DISENTANGLEMENT_DEVICE"

KeepLog = Callable[[Attempt, BaseException | None], None]
"""Writes the end of the log under an attempt, with what ended it."""


def keep_no_log(attempt: Attempt, error: BaseException | None = None) -> None:
    """Somebody else keeps the log, or nobody."""


@dataclass(frozen=True)
class StepContext:
    """Where things are and who listens; no number depends on it."""

    store: Store
    cache: Path
    device: str = "cpu"
    report: Report = silent
    should_stop: ShouldStop = never
    keep_log: KeepLog = keep_no_log
    recompute: bool = False
    """Compute the step again although it is committed, and compare the contents."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """From DISENTANGLEMENT_STORE, DISENTANGLEMENT_CACHE and DISENTANGLEMENT_DEVICE."""
        return cls(open_store(env=env), cache_directory(env), env.get(DEVICE_VARIABLE, "cpu"))

    def replace(self, **changes: Any) -> Self:
        """The same context with some members changed."""
        return dataclasses.replace(self, **changes)
