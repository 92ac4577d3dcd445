"""What the evaluator reads from the environment; no number depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from disentanglement.rpc.settings import num_cores, number

QUEUE, UPLOAD_MIB = 200, 1024


@dataclass(frozen=True, slots=True)
class EvaluatorSettings:
    """Steps at once, how many more may wait, and the largest array that is taken."""

    workers: int
    queue: int
    max_upload_bytes: int

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> EvaluatorSettings:
        """From DISENTANGLEMENT_EVALUATOR_WORKERS (default: the cores of this machine),
        DISENTANGLEMENT_EVALUATOR_QUEUE and DISENTANGLEMENT_EVALUATOR_UPLOAD_MIB."""
        return cls(
            workers=number(env, "DISENTANGLEMENT_EVALUATOR_WORKERS", num_cores()),
            queue=number(env, "DISENTANGLEMENT_EVALUATOR_QUEUE", QUEUE, least=0),
            max_upload_bytes=number(env, "DISENTANGLEMENT_EVALUATOR_UPLOAD_MIB", UPLOAD_MIB) << 20,
        )
