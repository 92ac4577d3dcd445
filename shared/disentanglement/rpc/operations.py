"""What a client does, without saying how it waits: generators that yield calls and are sent the answers.

`Client` and `AsyncClient` differ only in how they carry out a `Call`, a `Pause` and a `Watch`.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from google.protobuf.message import Message
from numpy.typing import ArrayLike, NDArray

from disentanglement.errors import DeadlineExceeded, SpecError
from disentanglement.rpc import views
from disentanglement.rpc.arrays import MAX_INLINE_BYTES, array_to_proto, dtype_to_proto
from disentanglement.rpc.chunks import CHUNK_BYTES
from disentanglement.rpc.convert import enum_number, enum_words, to_proto
from disentanglement.rpc.names import REPRESENTATIONS, STUDIES, TRAINING_JOBS, name_of
from disentanglement.specs import MetricSpec, RepresentationSpec, StepKey, StudySpec, TrainSpec, parse_spec
from disentanglement.specs.base import Spec
from disentanglement.specs.canonical import KEY_PATTERN
from disentanglement.studies.metric_lists import parse_study, parse_study_yaml
from disentanglement.v1 import aggregator_service_pb2 as aggregator
from disentanglement.v1 import evaluator_service_pb2 as evaluator
from disentanglement.v1 import job_pb2, metric_pb2, model_pb2, study_pb2
from disentanglement.v1 import postprocessor_service_pb2 as postprocessor
from disentanglement.v1 import trainer_service_pb2 as trainer

Metric = str | Mapping[str, Any] | MetricSpec
"""A metric by its word, as in YAML (`{"mig": {"num_bins": 10}}`), or as a spec."""

Train = TrainSpec | Mapping[str, Any]
Study = StudySpec | Mapping[str, Any] | Path | str
"""A study as a spec, as plain data, as a file, or as YAML text."""

Result = TypeVar("Result")
Response = TypeVar("Response", bound=Message)
View = TypeVar("View")
Work = TypeVar("Work", views.JobView, views.EvaluationView)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 3.0
LONGEST_WAIT_S = 50.0
TRAINER, POSTPROCESSOR, EVALUATOR, AGGREGATOR = (
    f"/disentanglement.v1.{name}Service/" for name in ("Trainer", "Postprocessor", "Evaluator", "Aggregator")
)


@dataclass(frozen=True)
class Call(Generic[Response]):
    """One call with one answer; several `requests` make it a client stream."""

    method: str
    requests: Iterable[Message]
    response: type[Response]
    is_upload: bool = False
    waits_s: float = 0.0
    """How long the server may take on purpose, beyond the usual deadline."""


@dataclass(frozen=True)
class Pause:
    """Nothing to do for a while."""

    seconds: float


@dataclass(frozen=True)
class Stream(Generic[Response]):
    """One call with many answers."""

    method: str
    request: Message
    response: type[Response]


@dataclass(frozen=True)
class Watch(Generic[View]):
    """A stream of views that is taken up again after the last cursor where it breaks."""

    stream: Callable[[str], Stream[Any]]
    view: Callable[[Any], View]
    is_final: Callable[[View], bool]


Steps = Generator[Call[Any] | Pause, Any, Result]


def call(method: str, request: Message, response: type[Response], *, waits_s: float = 0.0) -> Call[Response]:
    """A call with one request."""
    return Call(method, (request,), response, waits_s=waits_s)


@dataclass(frozen=True)
class Operations:
    """Everything that clients of one project do."""

    project: str = "default"
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    @property
    def parent(self) -> str:
        """`projects/{project}`."""
        return f"projects/{self.project}"

    # ------------------------------------------------------------------------------------------------------ studies

    def submit(self, study: Study) -> Steps[views.StudyView]:
        """Begins a study."""
        response = yield self._create_study(study, validate_only=False)
        return views.study_view(response.study)

    def validate(self, study: Study) -> Steps[views.CostView]:
        """Checks a study and says what it takes."""
        response = yield self._create_study(study, validate_only=True)
        return views.cost_view(response.cost)

    def status(self, study: str) -> Steps[views.StudyView]:
        """A study as it stands."""
        request = aggregator.GetStudyRequest(name=self.study_name(study))
        response = yield call(f"{AGGREGATOR}GetStudy", request, aggregator.GetStudyResponse)
        return views.study_view(response.study)

    def cancel(self, study: str) -> Steps[views.StudyView]:
        """Stops a study for good."""
        request = aggregator.CancelStudyRequest(name=self.study_name(study))
        response = yield call(f"{AGGREGATOR}CancelStudy", request, aggregator.CancelStudyResponse)
        return views.study_view(response.study)

    def retry(self, study: str, models: Sequence[int]) -> Steps[int]:
        """Lets failed steps be tried again; how many there were."""
        request = aggregator.RetryFailedModelsRequest(name=self.study_name(study), models=models)
        response = yield call(f"{AGGREGATOR}RetryFailedModels", request, aggregator.RetryFailedModelsResponse)
        return int(response.retried_steps)

    def studies(self) -> Steps[list[views.StudyView]]:
        """Every study of the project."""
        request = aggregator.ListStudiesRequest(parent=self.parent, page_size=1000)
        pages = yield from _pages(f"{AGGREGATOR}ListStudies", request, aggregator.ListStudiesResponse)
        return [views.study_view(study) for page in pages for study in page.studies]

    def models(self, study: str) -> Steps[list[views.ModelView]]:
        """Every model of a study."""
        request = aggregator.ListModelsRequest(parent=self.study_name(study), page_size=200)
        pages = yield from _pages(f"{AGGREGATOR}ListModels", request, aggregator.ListModelsResponse)
        return [views.model_view(model) for page in pages for model in page.models]

    def watch(self, study: str) -> Watch[views.StudyView]:
        """A study now, and after every change, until it is settled."""
        name = self.study_name(study)

        def stream(cursor: str) -> Stream[aggregator.WatchStudyResponse]:
            request = aggregator.WatchStudyRequest(name=name, cursor=cursor)
            return Stream(f"{AGGREGATOR}WatchStudy", request, aggregator.WatchStudyResponse)

        return Watch(stream, views.watched_study, lambda view: view.is_final)

    def export(self, study: str, format: str) -> Stream[aggregator.ExportResultsResponse]:
        """A study's table as one file."""
        formats = aggregator.ExportFormat.DESCRIPTOR
        if format not in enum_words(formats):
            raise SpecError.of("format", f"one of {', '.join(enum_words(formats))}", format)
        number = aggregator.ExportFormat.ValueType(enum_number(formats, format))
        request = aggregator.ExportResultsRequest(name=self.study_name(study), format=number)
        return Stream(f"{AGGREGATOR}ExportResults", request, aggregator.ExportResultsResponse)

    def download(self, reference: str, file: str) -> Stream[aggregator.DownloadArtifactResponse]:
        """One file of a committed step, by its key or a resource's name."""
        request = aggregator.DownloadArtifactRequest(parent=self.parent, file=file)
        if KEY_PATTERN.fullmatch(reference):
            request.step.step_key = reference
        else:
            request.name = self._resource_name(reference)
        return Stream(f"{AGGREGATOR}DownloadArtifact", request, aggregator.DownloadArtifactResponse)

    def study_name(self, study: str) -> str:
        """The resource name of a study."""
        return study if "/" in study else name_of(self.project, STUDIES, study)

    # ------------------------------------------------------------------------------------------------------ training

    def train(self, spec: Train, wait_s: float) -> Steps[views.JobView]:
        """Asks for one trained model, and waits for it as long as that."""
        parsed = spec if isinstance(spec, TrainSpec) else parse_spec(TrainSpec, spec)
        request = trainer.CreateTrainingJobRequest(
            parent=self.parent, spec=to_proto(parsed, job_pb2.TrainSpec), request_id=_request_id()
        )
        response = yield call(f"{TRAINER}CreateTrainingJob", request, trainer.CreateTrainingJobResponse)
        view = views.job_view(response.training_job)
        return (yield from self._until_final(view, lambda: self.training_job(view.name), wait_s))

    def training_job(self, name: str) -> Steps[views.JobView]:
        """A training job, by its name or its step key."""
        request = trainer.GetTrainingJobRequest(name=self._member(name, TRAINING_JOBS))
        response = yield call(f"{TRAINER}GetTrainingJob", request, trainer.GetTrainingJobResponse)
        return views.job_view(response.training_job)

    def cancel_training(self, name: str) -> Steps[views.JobView]:
        """Stops a training job for good."""
        request = trainer.CancelTrainingJobRequest(name=self._member(name, TRAINING_JOBS))
        response = yield call(f"{TRAINER}CancelTrainingJob", request, trainer.CancelTrainingJobResponse)
        return views.job_view(response.training_job)

    def watch_training(self, name: str) -> Watch[views.JobView]:
        """A training job now, and after every change, until it is settled."""
        full = self._member(name, TRAINING_JOBS)

        def stream(cursor: str) -> Stream[trainer.WatchTrainingJobResponse]:
            request = trainer.WatchTrainingJobRequest(name=full, cursor=cursor)
            return Stream(f"{TRAINER}WatchTrainingJob", request, trainer.WatchTrainingJobResponse)

        return Watch(stream, lambda message: views.job_view(message.training_job), lambda view: view.state.is_final)

    # ------------------------------------------------------------------------------------------------ representations

    def extract(
        self, model: str, representation: str | Mapping[str, Any] | RepresentationSpec, wait_s: float
    ) -> Steps[views.JobView]:
        """Asks for one representation of a model, and waits for it as long as that."""
        request = postprocessor.ExtractRepresentationRequest(
            parent=self.parent,
            model=self._model(model),
            representation=to_proto(_parsed(RepresentationSpec, representation), model_pb2.RepresentationSpec),
            request_id=_request_id(),
        )
        at_once = _set_wait(request, wait_s)
        method = f"{POSTPROCESSOR}ExtractRepresentation"
        response = yield call(method, request, postprocessor.ExtractRepresentationResponse, waits_s=at_once)
        view = views.job_view(response.representation)
        return (yield from self._until_final(view, lambda: self.representation(view.name), wait_s - at_once))

    def representation(self, name: str) -> Steps[views.JobView]:
        """A representation, by its name or its step key."""
        request = postprocessor.GetRepresentationRequest(name=self._member(name, REPRESENTATIONS))
        response = yield call(f"{POSTPROCESSOR}GetRepresentation", request, postprocessor.GetRepresentationResponse)
        return views.job_view(response.representation)

    # ---------------------------------------------------------------------------------------------------- evaluations

    def metrics(self) -> Steps[list[views.MetricView]]:
        """The metrics that the protocol knows."""
        request = evaluator.ListMetricsRequest(page_size=1000)
        pages = yield from _pages(f"{EVALUATOR}ListMetrics", request, evaluator.ListMetricsResponse)
        return [views.metric_view(metric) for page in pages for metric in page.metrics]

    def evaluate(
        self, representation: str, metrics: Sequence[Metric], seed: int, wait_s: float
    ) -> Steps[views.EvaluationView]:
        """Scores a representation, by its step key, its name, or `STUDY:42/mean`."""
        reference = representation
        if ":" in reference:
            model, _, word = reference.partition("/")
            reference = (yield from self.extract(model, word or "mean", wait_s)).step_key
        request = self._evaluate_request(metrics, seed)
        request.representation.CopyFrom(self._representation(reference))
        return (yield from self._evaluated(request, wait_s))

    def evaluation(self, name: str) -> Steps[views.EvaluationView]:
        """An evaluation by its name."""
        request = evaluator.GetEvaluationRequest(name=name)
        response = yield call(f"{EVALUATOR}GetEvaluation", request, evaluator.GetEvaluationResponse)
        return views.evaluation_view(response.evaluation)

    def cancel_evaluation(self, name: str) -> Steps[views.EvaluationView]:
        """Stops an evaluation for good."""
        request = evaluator.CancelEvaluationRequest(name=name)
        response = yield call(f"{EVALUATOR}CancelEvaluation", request, evaluator.CancelEvaluationResponse)
        return views.evaluation_view(response.evaluation)

    def score(
        self, arrays: Mapping[str, ArrayLike | None], metrics: Sequence[Metric], seed: int, timeout_s: float
    ) -> Steps[dict[str, views.Outcome]]:
        """Scores codes of one's own; large arrays are uploaded first."""
        given = {name: wire_array(name, array) for name, array in arrays.items() if array is not None}
        request = self._evaluate_request(metrics, seed)
        if sum(array.nbytes for array in given.values()) <= MAX_INLINE_BYTES:
            for name, array in given.items():
                getattr(request.codes, name).CopyFrom(array_to_proto(array, field=name))
        else:
            for name, array in given.items():
                setattr(request.uploaded, f"{name}_sha256", (yield from self.upload(array)))
        view = yield from self._evaluated(request, timeout_s)
        if not view.state.is_final:
            raise DeadlineExceeded(f"{view.name} is not finished after {timeout_s:g} s; ask again to go on waiting")
        return view.outcomes

    def upload(self, array: NDArray[Any]) -> Steps[str]:
        """Stores an array on the server; its sha256."""
        data = memoryview(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        header = evaluator.UploadArrayHeader(
            parent=self.parent,
            dtype=dtype_to_proto(array.dtype),
            shape=array.shape,
            sha256=hashlib.sha256(data).hexdigest(),
        )

        requests = _header_and_chunks(header, data)
        response = yield Call(f"{EVALUATOR}UploadArray", requests, evaluator.UploadArrayResponse, is_upload=True)
        return str(response.uploaded_array.sha256)

    # --------------------------------------------------------------------------------------------------------- parts

    def _create_study(self, study: Study, *, validate_only: bool) -> Call[aggregator.CreateStudyResponse]:
        request = aggregator.CreateStudyRequest(
            parent=self.parent,
            spec=to_proto(read_study(study), study_pb2.StudySpec),
            validate_only=validate_only,
            request_id=_request_id(),
        )
        return call(f"{AGGREGATOR}CreateStudy", request, aggregator.CreateStudyResponse)

    def _evaluate_request(self, metrics: Sequence[Metric], seed: int) -> evaluator.EvaluateMetricsRequest:
        specs = [_parsed(MetricSpec, metric, f"metrics.{i}") for i, metric in enumerate(metrics)]
        return evaluator.EvaluateMetricsRequest(
            parent=self.parent,
            metrics=[to_proto(spec, metric_pb2.MetricSpec) for spec in specs],
            random_seed=seed,
            request_id=_request_id(),
        )

    def _evaluated(self, request: evaluator.EvaluateMetricsRequest, wait_s: float) -> Steps[views.EvaluationView]:
        at_once = _set_wait(request, wait_s)
        method = f"{EVALUATOR}EvaluateMetrics"
        response = yield call(method, request, evaluator.EvaluateMetricsResponse, waits_s=at_once)
        view = views.evaluation_view(response.evaluation)
        return (yield from self._until_final(view, lambda: self.evaluation(view.name), wait_s - at_once))

    def _until_final(
        self, view: Work, look: Callable[[], Steps[Work]], wait_s: float, pause_s: float = FIRST_PAUSE_S
    ) -> Steps[Work]:
        until = self.clock() + wait_s
        while not view.state.is_final and (left_s := until - self.clock()) > 0:
            yield Pause(min(pause_s, left_s))
            pause_s = min(1.5 * pause_s, LONGEST_PAUSE_S)
            view = yield from look()
        return view

    def _model(self, reference: str) -> job_pb2.ModelRef:
        if KEY_PATTERN.fullmatch(reference):
            return job_pb2.ModelRef(step=job_pb2.StepRef(step_key=reference))
        return job_pb2.ModelRef(name=self._resource_name(reference))

    def _representation(self, reference: str) -> job_pb2.RepresentationRef:
        if KEY_PATTERN.fullmatch(reference):
            return job_pb2.RepresentationRef(step=job_pb2.StepRef(step_key=reference))
        return job_pb2.RepresentationRef(name=reference)

    def _resource_name(self, reference: str) -> str:
        """`STUDY:42` as the name of a model; names stay as they are."""
        study, colon, number = reference.partition(":")
        return f"{self.study_name(study)}/models/{number}" if colon else reference

    def _member(self, reference: str, collection: str) -> str:
        return reference if "/" in reference else name_of(self.project, collection, StepKey.parse(reference))


def read_study(study: Study) -> StudySpec:
    """A study as a spec, from whatever describes it; raises SpecError naming fields."""
    if isinstance(study, Path):
        return parse_study_yaml(study.read_text())
    if isinstance(study, str):
        if study.strip().endswith((".yaml", ".yml")):
            raise SpecError.of("study", "YAML text, or a file as pathlib.Path", repr(study))
        return parse_study_yaml(study)
    return study if isinstance(study, StudySpec) else parse_study(study)


def wire_array(name: str, array: ArrayLike) -> NDArray[Any]:
    """An array with a type that the wire knows: codes keep float32 and float64, factors keep integers."""
    found: NDArray[Any] = np.asarray(array)
    if name.endswith("codes"):
        if found.dtype.kind not in "fiu":
            raise SpecError.of(f"{name}.dtype", "real numbers", found.dtype)
        return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)
    if found.dtype.kind not in "iub":
        raise SpecError.of(f"{name}.dtype", "integers, one for each value of a factor", found.dtype)
    return found.astype(np.int64, copy=False)


def _pages(method: str, request: Any, response: type[Message]) -> Steps[list[Any]]:
    pages: list[Any] = []
    while True:
        page = yield call(method, request, response)
        pages.append(page)
        if not page.next_page_token:
            return pages
        request.page_token = page.next_page_token


AnySpec = TypeVar("AnySpec", bound=Spec)


def _parsed(kind: type[AnySpec], given: object, field: str = "") -> AnySpec:
    return given if isinstance(given, kind) else parse_spec(kind, given, field=field)


def _set_wait(request: Any, wait_s: float) -> float:
    at_once = max(0.0, min(wait_s, LONGEST_WAIT_S))
    request.wait.FromNanoseconds(round(at_once * 1e9))
    return at_once


def _header_and_chunks(header: evaluator.UploadArrayHeader, data: memoryview) -> Iterator[evaluator.UploadArrayRequest]:
    yield evaluator.UploadArrayRequest(header=header)
    for start in range(0, len(data), CHUNK_BYTES):
        yield evaluator.UploadArrayRequest(chunk=bytes(data[start : start + CHUNK_BYTES]))


def _request_id() -> str:
    return str(uuid.uuid4())
