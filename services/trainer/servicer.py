"""TrainerService: translates calls; what is trained, and how, is decided by the jobs and the steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import grpc

from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.rpc.convert import from_proto
from disentanglement.rpc.cursors import changes, check_cursor
from disentanglement.rpc.listing import page
from disentanglement.rpc.names import TRAINING_JOBS, parse_step_name, project_of
from disentanglement.rpc.requests import claim
from disentanglement.rpc.resources import Resources, state_filter
from disentanglement.specs import Step, StepKey, TrainSpec
from disentanglement.steps.admission import admit_training
from disentanglement.steps.executor import Job
from disentanglement.storage.store import Store
from disentanglement.studies.pending import WorkItem
from disentanglement.v1 import job_pb2
from disentanglement.v1 import trainer_service_pb2 as pb
from disentanglement.v1 import trainer_service_pb2_grpc as pb_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class TrainingJobs(Protocol):
    """Where trainings are asked for: an executor of this process, or a cluster."""

    async def submit(self, item: WorkItem, *, project: str) -> Job:
        """The job of a training; a failed or cancelled one is tried again."""
        ...

    async def get(self, project: str, step: Step, key: StepKey) -> Job:
        """The job as it stands."""
        ...

    async def jobs(self, project: str, step: Step) -> list[StepKey]:
        """Keys of the jobs that a project asked for, in order."""
        ...

    def watch(self, project: str, step: Step, key: StepKey) -> AsyncIterator[Job]:
        """The job now, and as it changes, until its state is final."""
        ...

    async def cancel(self, project: str, step: Step, key: StepKey) -> Job:
        """Stops the job for good."""
        ...


class TrainerServicer(pb_grpc.TrainerServiceServicer):
    """One training job per step key."""

    def __init__(self, *, store: Store, jobs: TrainingJobs) -> None:
        self._store = store
        self._jobs = jobs
        self._resources = Resources(store)

    async def CreateTrainingJob(
        self, request: pb.CreateTrainingJobRequest, context: Context
    ) -> pb.CreateTrainingJobResponse:
        project = project_of(request.parent)
        if not request.HasField("spec"):
            raise SpecError.of("spec", "a value (the field is required)", "nothing")
        asked = from_proto(request.spec, TrainSpec, field="spec")
        spec = await asyncio.to_thread(admit_training, self._store, asked, project=project)
        await claim(self._store, project, request)
        job = await self._jobs.submit(WorkItem(0, spec, ()), project=project)
        return pb.CreateTrainingJobResponse(training_job=await self._resources.training_job(job))

    async def GetTrainingJob(self, request: pb.GetTrainingJobRequest, context: Context) -> pb.GetTrainingJobResponse:
        job = await self._get(*parse_step_name(request.name, TRAINING_JOBS))
        return pb.GetTrainingJobResponse(training_job=await self._resources.training_job(job))

    async def ListTrainingJobs(
        self, request: pb.ListTrainingJobsRequest, context: Context
    ) -> pb.ListTrainingJobsResponse:
        project, state = project_of(request.parent), state_filter(request.state)

        async def names() -> list[str]:
            return [str(key) for key in await self._jobs.jobs(project, "train")]

        jobs, token = await page(
            request,
            f"{request.parent}/{TRAINING_JOBS}",
            names,
            lambda name: self._get(project, StepKey.parse(name)),
            wanted=lambda job: state in (None, job.state),
        )
        messages = [await self._resources.training_job(job) for job in jobs]
        return pb.ListTrainingJobsResponse(training_jobs=messages, next_page_token=token)

    async def CancelTrainingJob(
        self, request: pb.CancelTrainingJobRequest, context: Context
    ) -> pb.CancelTrainingJobResponse:
        project, key = parse_step_name(request.name, TRAINING_JOBS)
        job = await self._jobs.cancel(project, "train", key)
        return pb.CancelTrainingJobResponse(training_job=await self._resources.training_job(job))

    async def WatchTrainingJob(
        self, request: pb.WatchTrainingJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchTrainingJobResponse]:
        project, key = parse_step_name(request.name, TRAINING_JOBS)
        check_cursor(request.name, request.cursor)
        async for cursor, job in changes(request.name, request.cursor, self._watched(project, key)):
            yield pb.WatchTrainingJobResponse(cursor=cursor, training_job=job)

    async def CreateReasoningJob(
        self, request: pb.CreateReasoningJobRequest, context: Context
    ) -> pb.CreateReasoningJobResponse:
        raise NotBuiltYet("CreateReasoningJob is not built yet")

    async def _get(self, project: str, key: StepKey) -> Job:
        return await self._jobs.get(project, "train", key)

    async def _watched(self, project: str, key: StepKey) -> AsyncIterator[job_pb2.TrainingJob]:
        async for job in self._jobs.watch(project, "train", key):
            yield await self._resources.training_job(job)
