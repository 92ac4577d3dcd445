"""PostprocessorService: translates calls; what is extracted, and how, is decided by the executor and the steps."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from disentanglement.errors import NotBuiltYet, SpecError, StepNotCommitted
from disentanglement.rpc.convert import from_proto
from disentanglement.rpc.listing import page
from disentanglement.rpc.names import REPRESENTATIONS, parse_step_name, project_of
from disentanglement.rpc.references import train_key_of
from disentanglement.rpc.requests import claim
from disentanglement.rpc.resources import Resources, state_filter
from disentanglement.rpc.waiting import wait_s
from disentanglement.specs import PostprocessSpec, RepresentationSpec, StepKey
from disentanglement.steps.executor import Executor, Job
from disentanglement.steps.support import require
from disentanglement.storage.commit import committed
from disentanglement.storage.store import Store
from disentanglement.studies.pending import WorkItem
from disentanglement.v1 import postprocessor_service_pb2 as pb
from disentanglement.v1 import postprocessor_service_pb2_grpc as pb_grpc

Context = grpc.aio.ServicerContext[Any, Any]


class PostprocessorServicer(pb_grpc.PostprocessorServiceServicer):
    """One representation per step key."""

    def __init__(self, *, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._resources = Resources(store)

    async def ExtractRepresentation(
        self, request: pb.ExtractRepresentationRequest, context: Context
    ) -> pb.ExtractRepresentationResponse:
        project, timeout_s = project_of(request.parent), wait_s(request.wait)
        if not request.HasField("representation"):
            raise SpecError.of("representation", "a value (the field is required)", "nothing")
        representation = from_proto(request.representation, RepresentationSpec, field="representation")
        item = await asyncio.to_thread(self._item, request, representation)
        await claim(self._store, project, request)
        job = await self._executor.submit(item, project=project)
        if not job.state.is_final and timeout_s:
            job = await self._executor.wait(project, "postprocess", item.key, timeout_s)
        return pb.ExtractRepresentationResponse(representation=await self._resources.representation(job))

    async def GetRepresentation(
        self, request: pb.GetRepresentationRequest, context: Context
    ) -> pb.GetRepresentationResponse:
        job = await self._get(*parse_step_name(request.name, REPRESENTATIONS))
        return pb.GetRepresentationResponse(representation=await self._resources.representation(job))

    async def ListRepresentations(
        self, request: pb.ListRepresentationsRequest, context: Context
    ) -> pb.ListRepresentationsResponse:
        project, state = project_of(request.parent), state_filter(request.state)

        async def names() -> list[str]:
            return [str(key) for key in await self._executor.jobs(project, "postprocess")]

        jobs, token = await page(
            request,
            f"{request.parent}/{REPRESENTATIONS}",
            names,
            lambda name: self._get(project, StepKey.parse(name)),
            wanted=lambda job: state in (None, job.state),
        )
        messages = [await self._resources.representation(job) for job in jobs]
        return pb.ListRepresentationsResponse(representations=messages, next_page_token=token)

    async def Visualize(self, request: pb.VisualizeRequest, context: Context) -> pb.VisualizeResponse:
        raise NotBuiltYet("Visualize is not built yet")

    def _item(self, request: pb.ExtractRepresentationRequest, representation: RepresentationSpec) -> WorkItem:
        spec = PostprocessSpec(representation=representation)
        require([spec])
        train_key = train_key_of(self._store, request.model)
        if committed(self._store, "train", train_key) is None:
            raise StepNotCommitted(f"the model {train_key} is not trained yet")
        return WorkItem(0, spec, (train_key,))

    async def _get(self, project: str, key: StepKey) -> Job:
        return await self._executor.get(project, "postprocess", key)
