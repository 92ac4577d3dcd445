"""How often a step was begun without getting any further: who is always preempted before its first checkpoint must not
be tried for ever, and the engine does not count preemptions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from disentanglement.specs import Step, StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.keys import ArtifactKey, new_attempt
from disentanglement.storage.store import Store

_BEGUN = re.compile(r"begun-(?P<position>[0-9]{12})\.json")
_CHECKPOINT = re.compile(r"checkpoint-(?P<position>[0-9]{12})\.index\.json")


@dataclass(frozen=True, slots=True)
class Tries:
    """The tries at a step that have begun where it stands now."""

    store: Store
    begun: tuple[ArtifactKey, ...]
    step: Step
    step_key: StepKey
    position: int
    """How far the furthest checkpoint is."""

    def begin(self) -> None:
        """One more."""
        name = f"begun-{self.position:012d}.json"
        self.store.put(ArtifactKey(self.step, self.step_key, new_attempt(), name), b"{}")

    def forget(self) -> None:
        """So that a retry counts anew."""
        for key in self.begun:
            self.store.delete(key)


def tries(store: Store, step: Step, step_key: StepKey) -> Tries:
    """The tries at a step since it last got further: one listing."""
    keys = [info.key for info in store.list(prefixes.attempts(step, step_key)) if isinstance(info.key, ArtifactKey)]
    position = max((_position(_CHECKPOINT, key) for key in keys), default=-1)
    begun = tuple(key for key in keys if _position(_BEGUN, key) >= max(0, position))
    return Tries(store, begun, step, step_key, max(0, position))


def _position(pattern: re.Pattern[str], key: ArtifactKey) -> int:
    match = pattern.fullmatch(key.name)
    return int(match["position"]) if match else -1
