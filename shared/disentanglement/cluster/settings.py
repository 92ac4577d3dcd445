"""What the controller and the launcher read from the environment; no number depends on it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from disentanglement.cluster.names import project_of
from disentanglement.errors import SpecError
from disentanglement.storage.settings import default_store

NAMESPACES_VARIABLE = "DISENTANGLEMENT_NAMESPACES"
POOLS_VARIABLE = "DISENTANGLEMENT_WORKER_POOLS"
DEFAULT_POOLS = "/etc/disentanglement/pools.yaml"

ENVIRONMENT = """\
Environment:
  DISENTANGLEMENT_STORE            where models and scores are: s3://bucket/prefix (with DISENTANGLEMENT_S3_*)
  DISENTANGLEMENT_NAMESPACES       namespaces whose Studies are worked off, by comma (default: the own one)
  DISENTANGLEMENT_WORKER_POOLS     the file with the worker pools (default: /etc/disentanglement/pools.yaml)
  DISENTANGLEMENT_{TRAINER,POSTPROCESSOR,EVALUATOR}_IMAGE   what the Jobs run
  DISENTANGLEMENT_JOBS_PER_SECOND  how fast Jobs are created (default 5)
  DISENTANGLEMENT_RELIST_S         how often everything is read again from the cluster and the store (default 300)
  DISENTANGLEMENT_LEASE_S          after how long without a sign another replica takes over (default 15)
  DISENTANGLEMENT_LOG_LEVEL        DEBUG, INFO (default), WARNING, ERROR
  KUBECONFIG                       outside a cluster: how to reach it"""


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Where the controller works and how fast."""

    store: str
    namespaces: tuple[str, ...]
    """Empty: the controller's own namespace."""
    pools: Path
    identity: str
    """Who holds the lease: the pod's name."""
    jobs_per_second: float
    relist_s: float
    lease_s: float

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ControllerSettings:
        """From the variables that `ENVIRONMENT` lists.

        Raises:
            SpecError: a value that cannot be understood, naming the variable.
        """
        names = [name.strip() for name in env.get(NAMESPACES_VARIABLE, "").split(",")]
        return cls(
            store=default_store(env),
            namespaces=tuple(dict.fromkeys(name for name in names if name)),
            pools=Path(env.get(POOLS_VARIABLE) or DEFAULT_POOLS),
            identity=_identity(env),
            jobs_per_second=_positive(env, "DISENTANGLEMENT_JOBS_PER_SECOND", 5.0),
            relist_s=_positive(env, "DISENTANGLEMENT_RELIST_S", 300.0),
            lease_s=_positive(env, "DISENTANGLEMENT_LEASE_S", 15.0),
        )

    def watched(self, own_namespace: str) -> tuple[str, ...]:
        """The namespaces whose Studies are worked off.

        Raises:
            SpecError: the studies of two of them would be mixed.
        """
        namespaces = self.namespaces or (own_namespace,)
        try:
            for namespace in namespaces:
                project_of(namespace, own_namespace)
        except SpecError as error:
            raise SpecError.of(NAMESPACES_VARIABLE, error.violations[0].wanted, ",".join(namespaces)) from error
        return namespaces


def _identity(env: Mapping[str, str]) -> str:
    """A pod's name, so that a container that starts again goes on leading; else one of this process alone."""
    return env.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"


def _positive(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SpecError.of(name, "a number above 0", text)
    return value
