"""What the postprocessor reads from the environment; no number depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from disentanglement.rpc.settings import num_cores, number

QUEUE = 200


@dataclass(frozen=True, slots=True)
class PostprocessorSettings:
    """Steps at once, and how many more may wait."""

    workers: int
    queue: int

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> PostprocessorSettings:
        """From DISENTANGLEMENT_POSTPROCESSOR_WORKERS (default: the cores of this machine) and
        DISENTANGLEMENT_POSTPROCESSOR_QUEUE."""
        return cls(
            workers=number(env, "DISENTANGLEMENT_POSTPROCESSOR_WORKERS", num_cores()),
            queue=number(env, "DISENTANGLEMENT_POSTPROCESSOR_QUEUE", QUEUE, least=0),
        )
