"""What surrounds a step while it runs: the store, the cache, the device, and who listens."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from disentanglement.errors import SpecError
from disentanglement.specs.plugins import INSTALLED, Trusted
from disentanglement.steps.progress import Report, ShouldStop, never, silent
from disentanglement.storage.commit import Attempt
from disentanglement.storage.settings import cache_directory, open_store
from disentanglement.storage.store import Store

DEVICE_VARIABLE = "DISENTANGLEMENT_DEVICE"
CHECKPOINT_VARIABLE = "DISENTANGLEMENT_CHECKPOINT_S"
DEFAULT_CHECKPOINT_S = 60.0
PACK_VARIABLE = "DISENTANGLEMENT_PACK"

Packing = Literal["off", "in_turn", "stacked"]
"""How the models of a group are trained: each alone, or as packs (`models.pack`)."""

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
    checkpoint_every_s: float = DEFAULT_CHECKPOINT_S
    """What a training may lose when it is killed; shorter where nodes are taken away often."""
    trusted: Trusted = INSTALLED
    """Whose code may run."""
    pack: Packing | None = None
    """None: what suits the device best."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """From DISENTANGLEMENT_STORE, DISENTANGLEMENT_CACHE, DISENTANGLEMENT_DEVICE, DISENTANGLEMENT_CHECKPOINT_S,
        DISENTANGLEMENT_PACK and DISENTANGLEMENT_PLUGINS.

        Raises:
            SpecError: one of them cannot be understood.
        """
        every_s = checkpoint_interval(env)
        device = env.get(DEVICE_VARIABLE, "cpu")
        store, trusted = open_store(env=env), Trusted.from_env(env)
        pack = packing(env)
        return cls(store, cache_directory(env), device, checkpoint_every_s=every_s, trusted=trusted, pack=pack)

    def replace(self, **changes: Any) -> Self:
        """The same context with some members changed."""
        return dataclasses.replace(self, **changes)


def checkpoint_interval(env: Mapping[str, str]) -> float:
    """Seconds between two checkpoints of a training: DISENTANGLEMENT_CHECKPOINT_S (60)."""
    given = env.get(CHECKPOINT_VARIABLE) or str(DEFAULT_CHECKPOINT_S)
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SpecError.of(CHECKPOINT_VARIABLE, "a number of seconds above 0", repr(given))
    return seconds


def packing(env: Mapping[str, str]) -> Packing | None:
    """DISENTANGLEMENT_PACK: off, in_turn or stacked; None where it is not set."""
    given = env.get(PACK_VARIABLE) or None
    if given is not None and given not in get_args(Packing):
        raise SpecError.of(PACK_VARIABLE, " or ".join(get_args(Packing)), repr(given))
    return given  # type: ignore[return-value] # one of them
