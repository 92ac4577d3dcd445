"""The `Study` resource: what a researcher writes, and what the controller tells of it. camelCase on the wire."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, Strict, field_validator, model_validator
from pydantic.alias_generators import to_camel

from disentanglement.cluster.names import API_VERSION, KIND, check_study_name
from disentanglement.errors import SpecError
from disentanglement.specs.base import A_LIST, PlainObject, Spec
from disentanglement.specs.parsing import load_yaml, parse_spec

MAX_PARALLELISM = 10_000
MAX_MODELS_PER_POD = 64
MAX_FAILURES = 20
MAX_METRICS = 64
MAX_METRIC_LENGTH = 400

Step = Literal["train", "postprocess", "evaluate"]
Phase = Literal["Pending", "Running", "Paused", "Succeeded", "Failed", "Invalid"]
ConditionStatus = Literal["True", "False", "Unknown"]
Label = Annotated[str, Field(max_length=63, pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$")]
PoolName = Annotated[str, Field(max_length=63, pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$")]
NumberList = Annotated[str, Field(max_length=4096, pattern=r"^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$")]


class Part(Spec):
    """Base: as closed as every spec, but camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    def to_plain(self) -> dict[str, Any]:
        """As it is on the wire, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class SelectionPart(Part):
    """Which models of the study; every condition that is given has to hold."""

    models: NumberList = ""
    """Numbers of models, e.g. 0-299,305."""
    datasets: Annotated[tuple[str, ...], A_LIST, Field(max_length=64)] = ()
    """Data sets, e.g. [dsprites_full]."""
    methods: Annotated[tuple[str, ...], A_LIST, Field(max_length=64)] = ()
    """Methods, e.g. [beta_vae]."""
    seeds: NumberList = ""
    """Random seeds of models, e.g. 0-4."""


class RetentionPart(Part):
    """What is kept, and for how long."""

    codes: Literal["keep", "untilScored"] = "keep"
    """Codes of models (derived data): kept, or removed once all scores of their model are there."""
    finished_jobs_seconds: Annotated[int, Field(ge=0, le=30 * 86400)] = 3600
    """How long a Job and its pods stay after their end."""


class StudyResourceSpec(Part):
    """A study: a published one or a grid of models, which of them, and how they are computed in this cluster."""

    study: Annotated[str, Field(max_length=63, pattern=r"^[a-z][a-z0-9_]*$")] | None = None
    """Name of a published study (`disentangle study list`). Exactly one of `study` and `inline`."""
    inline: PlainObject | None = None
    """A study file without its name and metrics. Exactly one of `study` and `inline`."""
    set: PlainObject = Field(default_factory=dict)
    """Changes to every model, by dotted path: {training_steps: 1000}."""
    selection: SelectionPart = SelectionPart()
    """Which models of the study; all of them where nothing is said."""
    metrics: Annotated[tuple[str | PlainObject, ...], Strict(False), Field(max_length=MAX_METRICS)] | None = None
    """Scores wanted of every representation; where nothing is said, the published study's. May grow later."""
    models_per_pod: Annotated[int, Field(ge=1, le=MAX_MODELS_PER_POD)] = 1
    """Models that one pod trains together (a pack)."""
    parallelism: Annotated[int, Field(ge=1, le=MAX_PARALLELISM)] = 8
    """Pods that train or extract at once. May be changed later."""
    pool: PoolName = ""
    """Worker pool (ConfigMap worker-pools) for training and extraction; empty: the cluster's default."""
    evaluation_pool: PoolName = ""
    """Worker pool for evaluation; empty: the cluster's default."""
    queue: Label = ""
    """Kueue's local queue; empty: Jobs start at once."""
    priority_class: Label = ""
    """Priority class of pods, or of Kueue's workloads. May be changed later, for Jobs that come then."""
    paused: bool = False
    """Stop all work, keeping what is done; false lets it go on. May be changed later."""
    retry_generation: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Raise it by one to try failed models again."""
    retention: RetentionPart = RetentionPart()
    """What is kept, and for how long."""

    @field_validator("metrics", mode="before")
    @classmethod
    def _lines_are_yaml(cls, value: Any) -> Any:
        return [_metric(entry) for entry in value] if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _exactly_one_source(self) -> Self:
        if (self.study is None) == (self.inline is None):
            raise ValueError("exactly one of study, inline")
        return self


class StudyResource(Part):
    """A Study as a client or the API server hands it over; what the server adds to it is not looked at."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    is_deleting: bool = False
    spec: StudyResourceSpec

    @classmethod
    def from_object(cls, item: dict[str, Any]) -> Self:
        """From an object of the API.

        Raises:
            SpecError: not a Study, or a field of its spec is wrong; with the paths of all wrong fields.
        """
        if (item.get("apiVersion"), item.get("kind")) != (API_VERSION, KIND):
            raise SpecError.of("kind", f"{API_VERSION} {KIND}", f"{item.get('apiVersion')} {item.get('kind')}")
        metadata = item.get("metadata") or {}
        return cls(
            name=check_study_name(str(metadata.get("name", ""))),
            namespace=metadata.get("namespace", ""),
            uid=metadata.get("uid", ""),
            generation=metadata.get("generation", 0),
            is_deleting=bool(metadata.get("deletionTimestamp")),
            spec=parse_resource_spec(item.get("spec")),
        )

    def to_object(self) -> dict[str, Any]:
        """To be applied: what a client says, and nothing that the server adds or that is at its default."""
        spec = self.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if self.spec.metrics is not None:
            spec["metrics"] = [metric_line(metric) for metric in self.spec.metrics]
        metadata = {"name": self.name, **({"namespace": self.namespace} if self.namespace else {})}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def parse_resource_spec(plain: Any) -> StudyResourceSpec:
    """A validated spec from plain data; `SpecError` with the paths (`spec.parallelism`) of all wrong fields."""
    return parse_spec(StudyResourceSpec, plain if plain is not None else {}, field="spec")


def metric_line(metric: str | dict[str, Any]) -> str:
    """A metric as the resource has it: `mig`, or with its parameters in one line: `dci: {num_train: 1000}`."""
    if isinstance(metric, str):
        return metric
    [(name, parameters)] = metric.items()
    return f"{name}: {json.dumps(parameters, ensure_ascii=False)}" if parameters else name


def _metric(entry: Any) -> Any:
    """A line of YAML is what it says; an object is what it is."""
    if not isinstance(entry, str):
        return entry
    try:
        parsed = load_yaml(entry)
    except SpecError:
        return entry
    return parsed if isinstance(parsed, str | dict) else entry


# ------------------------------------------------------------------------------------------------------------- status
class Counts(Part):
    """Models of the study, by how far they are."""

    total: int = 0
    """All."""
    trained: int = 0
    """With a committed training."""
    evaluated: int = 0
    """With all scores."""
    failed: int = 0
    """With a step that has failed for good."""


class Condition(Part):
    """One aspect of how the study stands, as Kubernetes writes conditions."""

    type: Annotated[str, Field(max_length=316)]
    """Accepted, Progressing, Complete or Degraded."""
    status: ConditionStatus
    """Whether it is so."""
    reason: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?$")]
    """Why, in one word."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Why, in a sentence, and what to do about it."""
    last_transition_time: datetime
    """Since when the status is this."""
    observed_generation: int = 0
    """Generation of the resource that this is about."""


class Failure(Part):
    """A step of a model that has failed for good."""

    step: Step
    """Which step."""
    model: int
    """Number of the model."""
    reason: Annotated[str, Field(max_length=128)]
    """Why, in one word."""
    message: Annotated[str, Field(max_length=512)] = ""
    """The beginning of the error's message."""


class StudyStatus(Part):
    """What the controller knows of the study. All of it follows from the store and the Jobs."""

    observed_generation: int = 0
    """Generation of the resource that this is about."""
    observed_retry_generation: int = 0
    """Up to which retryGeneration failures were forgotten."""
    plan: str = ""
    """Digest of the plan in the store."""
    phase: Phase = "Pending"
    """Pending, Running, Paused, Succeeded, Failed (some models have) or Invalid (see the conditions)."""
    counts: Counts = Counts()
    """Models, by how far they are."""
    running: int = 0
    """Pods that work now."""
    conditions: Annotated[tuple[Condition, ...], Strict(False), Field(max_length=16)] = ()
    """How the study stands."""
    failures: Annotated[tuple[Failure, ...], Strict(False), Field(max_length=MAX_FAILURES)] = ()
    """The first failures; all of them: `disentangle study why`."""
