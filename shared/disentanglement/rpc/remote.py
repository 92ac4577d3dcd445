"""Runs single steps through the other services by gRPC, for the driver of a study."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message

from disentanglement.errors import Cancelled, DisentanglementError, Unavailable
from disentanglement.jobs.states import JobState
from disentanglement.rpc.convert import to_proto
from disentanglement.rpc.names import TRAINING_JOBS, name_of
from disentanglement.rpc.status import from_rpc_error
from disentanglement.rpc.tokens import bearer
from disentanglement.rpc.views import error_of, job_state
from disentanglement.specs import EvaluateSpec, PostprocessSpec, Step, TrainSpec
from disentanglement.steps.messages import StepResult
from disentanglement.steps.progress import Progress, Report
from disentanglement.studies.pending import WorkItem
from disentanglement.v1 import evaluator_service_pb2 as evaluator
from disentanglement.v1 import evaluator_service_pb2_grpc as evaluator_grpc
from disentanglement.v1 import job_pb2, metric_pb2, model_pb2
from disentanglement.v1 import postprocessor_service_pb2 as postprocessor
from disentanglement.v1 import postprocessor_service_pb2_grpc as postprocessor_grpc
from disentanglement.v1 import trainer_service_pb2 as trainer
from disentanglement.v1 import trainer_service_pb2_grpc as trainer_grpc

CALL_S = 30.0
WATCH_S = 3600.0
LOOK_S = 2.0
"""How long a call waits for a short step before it is asked again."""


class RemoteSteps:
    """Steps of one project, run by the services behind `channels` (by step)."""

    def __init__(self, channels: Mapping[Step, grpc.aio.Channel], *, project: str, token: str = "") -> None:
        self._trainer: Any = trainer_grpc.TrainerServiceStub(channels["train"])
        self._postprocessor: Any = postprocessor_grpc.PostprocessorServiceStub(channels["postprocess"])
        self._evaluator: Any = evaluator_grpc.EvaluatorServiceStub(channels["evaluate"])
        self._project = project
        self._parent = f"projects/{project}"
        self._metadata = bearer(token)

    async def run(self, item: WorkItem, report: Report) -> StepResult:
        """Has a step computed, and follows it to its end. Stopping to listen does not stop the step.

        Raises:
            Unavailable: the service does not answer; asked again, it goes on.
            DisentanglementError: what the step failed with.
        """
        try:
            match item.spec:
                case TrainSpec():
                    return await self._train(item, item.spec, report)
                case PostprocessSpec():
                    return await self._extract(item, item.spec, report)
                case EvaluateSpec():
                    return await self._evaluate(item, item.spec)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def cancel(self, item: WorkItem) -> None:
        """Asks for a training to stop for good; short steps end by themselves."""
        if item.step != "train":
            return
        name = name_of(self._project, TRAINING_JOBS, item.key)
        try:
            await self._call(self._trainer.CancelTrainingJob, trainer.CancelTrainingJobRequest(name=name))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def _train(self, item: WorkItem, spec: TrainSpec, report: Report) -> StepResult:
        request = trainer.CreateTrainingJobRequest(parent=self._parent, spec=to_proto(spec, job_pb2.TrainSpec))
        job = (await self._call(self._trainer.CreateTrainingJob, request)).training_job
        if not job_state(job.state).is_final:
            job = await self._watched(job.name, report)
        return _settled(job.state, job, job.result.content_digest)

    async def _watched(self, name: str, report: Report) -> job_pb2.TrainingJob:
        messages: AsyncIterator[trainer.WatchTrainingJobResponse] = self._trainer.WatchTrainingJob(
            trainer.WatchTrainingJobRequest(name=name), timeout=WATCH_S, metadata=self._metadata
        )
        async for message in messages:
            job = message.training_job
            if job_state(job.state).is_final:
                return job
            if job.HasField("progress"):
                report(Progress(job.progress.step, job.progress.total, "steps"))
        raise Unavailable(f"the stream of {name} ended early")

    async def _extract(self, item: WorkItem, spec: PostprocessSpec, report: Report) -> StepResult:
        request = postprocessor.ExtractRepresentationRequest(
            parent=self._parent,
            model=job_pb2.ModelRef(step=job_pb2.StepRef(step_key=str(item.upstream[0]))),
            representation=to_proto(spec.representation, model_pb2.RepresentationSpec),
        )
        request.wait.FromNanoseconds(round(LOOK_S * 1e9))
        while True:
            found = (await self._call(self._postprocessor.ExtractRepresentation, request)).representation
            if job_state(found.state).is_final:
                return _settled(found.state, found, found.result.codes_digest)
            if found.HasField("progress"):
                report(Progress(found.progress.step, found.progress.total, "images"))

    async def _evaluate(self, item: WorkItem, spec: EvaluateSpec) -> StepResult:
        request = evaluator.EvaluateMetricsRequest(
            parent=self._parent,
            representation=job_pb2.RepresentationRef(step=job_pb2.StepRef(step_key=str(item.upstream[0]))),
            metrics=[to_proto(spec.metric, metric_pb2.MetricSpec)],
            random_seed=spec.random_seed,
            standard_error=spec.standard_error,
        )
        request.wait.FromNanoseconds(round(5 * LOOK_S * 1e9))
        while True:
            evaluation = (await self._call(self._evaluator.EvaluateMetrics, request)).evaluation
            (metric,) = evaluation.metrics
            if job_state(metric.state).is_final:
                return _settled(metric.state, metric, metric.result.content_digest)

    async def _call(self, method: Any, request: Message) -> Any:
        return await method(request, timeout=CALL_S, metadata=self._metadata)


def _settled(state: int, message: Any, content_digest: str) -> StepResult:
    match job_state(state):
        case JobState.SUCCEEDED:
            return StepResult(attempt="", content_digest=content_digest, computed=True)
        case JobState.CANCELLED:
            raise Cancelled("somebody cancelled this step")
        case _:
            _raise(error_of(message.failure))


def _raise(error: DisentanglementError) -> NoReturn:
    raise error
