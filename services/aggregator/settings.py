"""What the aggregator reads from the environment; no number depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from disentanglement.cluster.studies import is_in_cluster
from disentanglement.rpc.security import Security
from disentanglement.rpc.server import TOKEN_VARIABLE
from disentanglement.rpc.settings import num_cores, number
from disentanglement.specs import Step

SERVICES: Mapping[Step, str] = {"train": "trainer", "postprocess": "postprocessor", "evaluate": "evaluator"}
DEFAULT_PORTS: Mapping[Step, int] = {"train": 50051, "postprocess": 50052, "evaluate": 50053}
MOST_MODELS = 20_000


@dataclass(frozen=True, slots=True)
class AggregatorSettings:
    """Where the other services are and how many steps each takes at once."""

    targets: Mapping[Step, str]
    workers: Mapping[Step, int]
    max_models: int
    token: str = field(repr=False)
    """Sent to the other services; the same as this server asks for."""
    security: Security = field(default_factory=Security)
    """Of the channels to the other services."""
    in_cluster: bool = False
    """Whether studies become Study resources, instead of being driven here."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> AggregatorSettings:
        """From DISENTANGLEMENT_{TRAINER,POSTPROCESSOR,EVALUATOR} (`host:port`), the same with `_WORKERS`,
        DISENTANGLEMENT_MAX_MODELS, DISENTANGLEMENT_TOKEN, DISENTANGLEMENT_TLS_CA, DISENTANGLEMENT_INSECURE_CHANNEL and
        DISENTANGLEMENT_CLUSTER."""
        names = {step: f"DISENTANGLEMENT_{service.upper()}" for step, service in SERVICES.items()}
        return cls(
            targets={step: env.get(name) or f"127.0.0.1:{DEFAULT_PORTS[step]}" for step, name in names.items()},
            workers={step: number(env, f"{name}_WORKERS", num_cores()) for step, name in names.items()},
            max_models=number(env, "DISENTANGLEMENT_MAX_MODELS", MOST_MODELS),
            token=env.get(TOKEN_VARIABLE, ""),
            security=Security.from_env(env),
            in_cluster=is_in_cluster(env),
        )
