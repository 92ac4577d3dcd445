"""What a client gets to see: plain frozen values, no messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from disentanglement.errors import DisentanglementError, SpecError, Violation
from disentanglement.jobs.states import JobState
from disentanglement.rpc.convert import enum_word
from disentanglement.rpc.names import STUDIES, parse_name
from disentanglement.specs import Plugin, Step
from disentanglement.steps.messages import error_from_plain
from disentanglement.v1 import aggregator_service_pb2 as aggregator_pb2
from disentanglement.v1 import job_pb2, metric_pb2, study_pb2

Outcome = dict[str, float] | DisentanglementError
"""The scores of a metric under the reference's keys, or why there are none."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A training job or a representation. `error` is set in the state FAILED, `scores` once it is committed."""

    name: str
    step_key: str
    state: JobState
    done: int
    total: int
    scores: dict[str, float]
    files: tuple[str, ...] = ()
    error: DisentanglementError | None = None

    def raise_if_failed(self) -> None:
        """Raises what the job failed with."""
        if self.error is not None:
            raise self.error


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """Metrics of one source: an outcome for each that is settled, by metric, in the order of the request."""

    name: str
    state: JobState
    outcomes: dict[str, Outcome]
    total: int
    step_keys: dict[str, str]


@dataclass(frozen=True, slots=True)
class MetricView:
    """A metric of the catalog. `parameters` has the defaults; None where a value is required."""

    name: str
    description: str
    source: str
    needs: str
    score_keys: tuple[str, ...]
    contract_version: str
    is_available: bool
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepCounts:
    """Steps of one kind: in all, committed, running, failed."""

    total: int
    committed: int
    running: int
    failed: int


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step of a model that can not succeed as specified."""

    model: str
    step: str
    step_key: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class EventView:
    """One step changed its state."""

    model: str
    step: str
    step_key: str
    state: str
    message: str


@dataclass(frozen=True, slots=True)
class StudyView:
    """A study at one moment; `done` and `total` count steps. `events` is what changed since the view before."""

    name: str
    study: str
    state: str
    """`pending`, `running`, `succeeded`, `failed` or `cancelled`."""
    plan: str
    done: int
    total: int
    eta_s: float | None
    steps: dict[Step, StepCounts]
    cells: dict[str, dict[Step, StepCounts]]
    failures: tuple[FailedStep, ...]
    events: tuple[EventView, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens unless somebody asks."""
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def fraction(self) -> float:
        """Share of the steps that are settled."""
        return self.done / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class CostView:
    """What a study takes; times in seconds on one worker, sizes in bytes."""

    models: int
    representations: int
    evaluations: int
    committed_steps: int
    training_steps: int
    compute_time_s: float
    storage_bytes: int


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model of a study; states and step keys are by `train`, `<representation>` and `<representation>/<metric>`."""

    name: str
    number: int
    cell: str
    step_key: str
    state: str
    states: dict[str, str]
    step_keys: dict[str, str]
    spec: Mapping[str, Any]


def job_view(message: job_pb2.TrainingJob | job_pb2.Representation) -> JobView:
    """A training job or a representation."""
    result = message.result if isinstance(message, job_pb2.TrainingJob) else job_pb2.TrainingResult()
    return JobView(
        name=message.name,
        step_key=message.step_key,
        state=job_state(message.state),
        done=message.progress.step,
        total=message.progress.total,
        scores=scores(result.scores),
        files=tuple(file.file for file in result.files),
        error=error_of(message.failure) if message.HasField("failure") else None,
    )


def evaluation_view(message: job_pb2.Evaluation) -> EvaluationView:
    """An evaluation."""
    outcomes: dict[str, Outcome] = {}
    step_keys: dict[str, str] = {}
    for metric in message.metrics:
        word = unused(metric_label(metric.spec.metric), step_keys)
        step_keys[word] = metric.step_key
        match metric.WhichOneof("outcome"):
            case "result":
                outcomes[word] = scores(metric.result.scores)
            case "failure":
                outcomes[word] = error_of(metric.failure)
    return EvaluationView(message.name, job_state(message.state), outcomes, len(message.metrics), step_keys)


def metric_label(message: metric_pb2.MetricSpec) -> str:
    """`MetricSpec.label`, also of metrics that this release does not know."""
    word = message.WhichOneof("metric") or ""
    return Plugin(name=message.plugin.name).word if word == "plugin" else word


def unused(word: str, taken: Mapping[str, object]) -> str:
    """`mig`, or `mig_2` where there is one already (with other parameters)."""
    names = (word if i == 1 else f"{word}_{i}" for i in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def metric_view(message: metric_pb2.Metric) -> MetricView:
    """A metric of the catalog."""
    return MetricView(
        name=message.name,
        description=message.description,
        source=message.source,
        needs=enum_word(metric_pb2.MetricNeeds.DESCRIPTOR, message.needs) or "",
        score_keys=tuple(message.score_keys),
        contract_version=message.contract_version,
        is_available=message.available,
        parameters=MessageToDict(message.parameters),
    )


def study_view(message: study_pb2.Study, events: tuple[EventView, ...] = ()) -> StudyView:
    """A study."""
    cells = {cell.cell: _cell_counts(cell) for cell in message.cells}
    return StudyView(
        name=message.name,
        study=parse_name(message.name, STUDIES)[1] if message.name else "",
        state=enum_word(study_pb2.StudyState.DESCRIPTOR, message.state) or "unknown",
        plan=message.plan_digest,
        done=message.progress.step,
        total=message.progress.total,
        eta_s=message.progress.eta.ToNanoseconds() / 1e9 if message.progress.HasField("eta") else None,
        steps=_summed(cells),
        cells=cells,
        failures=tuple(_failed_step(failure) for failure in message.sample_failures),
        events=events,
    )


def watched_study(message: aggregator_pb2.WatchStudyResponse) -> StudyView:
    """One message of a study's stream."""
    states = job_pb2.JobState.DESCRIPTOR
    events = (
        EventView(e.model, e.step, e.step_key, enum_word(states, e.state) or "", e.failure.message)
        for e in message.events
    )
    return study_view(message.study, tuple(events))


def cost_view(message: study_pb2.StudyCost) -> CostView:
    """What a study takes."""
    return CostView(
        models=message.models,
        representations=message.representations,
        evaluations=message.evaluations,
        committed_steps=message.committed_steps,
        training_steps=message.training_steps,
        compute_time_s=message.compute_time.ToNanoseconds() / 1e9,
        storage_bytes=message.storage_bytes,
    )


def model_view(message: study_pb2.Model) -> ModelView:
    """A model of a study."""
    states = {"train": str(job_state(message.state))}
    step_keys = {"train": message.step_key}
    for representation in message.representations:
        word = unused(representation.spec.representation.WhichOneof("representation") or "", states)
        states[word], step_keys[word] = str(job_state(representation.state)), representation.step_key
        for metric in representation.metrics:
            path = unused(f"{word}/{metric_label(metric.spec.metric)}", states)
            states[path], step_keys[path] = str(job_state(metric.state)), metric.step_key
    return ModelView(
        name=message.name,
        number=message.number,
        cell=message.cell,
        step_key=message.step_key,
        state=states["train"],
        states=states,
        step_keys=step_keys,
        spec=MessageToDict(message.spec, preserving_proto_field_name=True),
    )


def job_state(number: int) -> JobState:
    """A state; QUEUED for one that is not known."""
    return JobState(enum_word(job_pb2.JobState.DESCRIPTOR, number) or "queued")


def scores(messages: Any) -> dict[str, float]:
    """Scores by key; NaN where there is no finite number."""
    return {score.key: score.value if score.HasField("value") else _non_finite(score.reason) for score in messages}


def error_of(failure: job_pb2.Failure) -> DisentanglementError:
    """The exception that a failure stands for."""
    if failure.reason == "SPEC_ERROR":
        return SpecError([Violation("spec", "a valid one", failure.message)])
    name = "".join(word.capitalize() for word in failure.reason.split("_"))
    return error_from_plain({"type": name, "message": failure.message, "step": failure.step, "retry_after_s": 5.0})


def _non_finite(reason: str) -> float:
    word = reason.partition(" ")[0]
    return float(word) if word in ("inf", "-inf") else float("nan")


def _cell_counts(cell: study_pb2.Cell) -> dict[Step, StepCounts]:
    return {"train": _counts(cell.train), "postprocess": _counts(cell.postprocess), "evaluate": _counts(cell.evaluate)}


def _counts(counts: study_pb2.StepCounts) -> StepCounts:
    return StepCounts(counts.total, counts.succeeded, counts.running, counts.failed)


def _summed(cells: Mapping[str, Mapping[Step, StepCounts]]) -> dict[Step, StepCounts]:
    def total(step: Step) -> StepCounts:
        counts = [cell[step] for cell in cells.values()]
        return StepCounts(
            sum(c.total for c in counts),
            sum(c.committed for c in counts),
            sum(c.running for c in counts),
            sum(c.failed for c in counts),
        )

    return {"train": total("train"), "postprocess": total("postprocess"), "evaluate": total("evaluate")}


def _failed_step(failure: study_pb2.ModelFailure) -> FailedStep:
    return FailedStep(failure.model, failure.step, failure.step_key, failure.failure.reason, failure.failure.message)
