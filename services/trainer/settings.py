"""What the trainer reads from the environment; no number depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from disentanglement.cluster.studies import is_in_cluster
from disentanglement.rpc.settings import num_cores, number

QUEUE = 200


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    """Steps at once, and how many more may wait."""

    workers: int
    queue: int
    in_cluster: bool = False
    """Whether trainings become Study resources, instead of being computed here."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> TrainerSettings:
        """From DISENTANGLEMENT_TRAINER_WORKERS (default: the cores of this machine), DISENTANGLEMENT_TRAINER_QUEUE and
        DISENTANGLEMENT_CLUSTER."""
        return cls(
            workers=number(env, "DISENTANGLEMENT_TRAINER_WORKERS", num_cores()),
            queue=number(env, "DISENTANGLEMENT_TRAINER_QUEUE", QUEUE, least=0),
            in_cluster=is_in_cluster(env),
        )
