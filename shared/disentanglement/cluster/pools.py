"""Worker pools: where an admin lets each kind of work run (ConfigMap `worker-pools`, key `pools.yaml`)."""

from __future__ import annotations

from typing import Annotated, Any, Self

import yaml
from pydantic import ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from disentanglement.errors import SpecError
from disentanglement.specs import Step
from disentanglement.specs.base import A_LIST, Spec
from disentanglement.specs.parsing import parse_spec

Plain = dict[str, JsonValue]
PlainList = Annotated[tuple[Plain, ...], A_LIST]


class _Part(Spec):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Resources(_Part):
    """What a worker asks for and may use, as Kubernetes writes it."""

    requests: dict[str, str] = Field(default_factory=dict)
    limits: dict[str, str] = Field(default_factory=dict)


class Gpu(_Part):
    """The GPUs of one worker."""

    resource: Annotated[str, Field(min_length=1)] = "nvidia.com/gpu"
    """What the device plugin calls them; also a MIG slice (`nvidia.com/mig-1g.10gb`)."""
    count: Annotated[int, Field(ge=1, le=16)] = 1


class Pool(_Part):
    """Where and how a kind of worker runs. Whatever Kubernetes knows is passed on as it is written."""

    device: Annotated[str, Field(pattern=r"^[a-z]+(:[0-9]+)?$")] = "cpu"
    """What PyTorch computes on: `cpu`, `cuda`."""
    resources: Resources
    gpu: Gpu | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: PlainList = ()
    runtime_class_name: str = ""
    priority_class_name: str = ""
    image_pull_secrets: Annotated[tuple[str, ...], A_LIST] = ()
    env: PlainList = ()
    volumes: PlainList = ()
    volume_mounts: PlainList = ()

    @model_validator(mode="after")
    def _memory_is_limited(self) -> Self:
        if "memory" not in self.resources.limits:
            raise ValueError("resources.limits.memory, so that one worker can't take a node down")
        return self


class Defaults(_Part):
    """Which pool a step takes unless its Study names another."""

    train: str
    postprocess: str
    evaluate: str


class Pools(_Part):
    """All pools of a cluster."""

    pools: Annotated[dict[str, Pool], Field(min_length=1)]
    defaults: Defaults

    @model_validator(mode="after")
    def _defaults_exist(self) -> Self:
        for step, name in self.defaults:
            if name not in self.pools:
                raise ValueError(f"defaults.{step} to be one of the pools ({', '.join(sorted(self.pools))})")
        return self

    def named(self, name: str, step: Step, *, field: str) -> Pool:
        """A pool by its name, or the default of a step where the name is empty.

        Raises:
            SpecError: there is no such pool.
        """
        chosen = name or getattr(self.defaults, step)
        if chosen not in self.pools:
            wanted = f"one of this cluster's worker pools ({', '.join(sorted(self.pools))}; ConfigMap worker-pools)"
            raise SpecError.of(field, wanted, name)
        return self.pools[chosen]


def parse_pools(text: str) -> Pools:
    """From the text of `pools.yaml`; anchors and aliases are allowed there.

    Raises:
        SpecError: naming each wrong field.
    """
    try:
        plain: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError.of("pools.yaml", "YAML", " ".join(str(error).split())) from None
    return parse_spec(Pools, plain, field="pools.yaml")
