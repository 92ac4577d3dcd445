"""EvaluatorService: translates calls; what is scored, and how, is decided by evaluations, executor and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc

from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.rpc import uploads
from disentanglement.rpc.callers import caller_of
from disentanglement.rpc.convert import from_proto
from disentanglement.rpc.cursors import changes, check_cursor
from disentanglement.rpc.listing import page
from disentanglement.rpc.metric_catalog import describe, known_metrics
from disentanglement.rpc.names import EVALUATIONS, parse_name, project_of
from disentanglement.rpc.pages import offset_of, page_size, token_after
from disentanglement.rpc.requests import claim
from disentanglement.rpc.resources import Resources, state_filter
from disentanglement.rpc.sources import read_source
from disentanglement.rpc.waiting import wait_s
from disentanglement.specs import EvaluateSpec, MetricSpec, canonical, canonical_json, parse_spec
from disentanglement.steps.admission import admit_evaluations
from disentanglement.steps.evaluations import Evaluations
from disentanglement.storage.store import Store
from disentanglement.v1 import evaluator_service_pb2 as pb
from disentanglement.v1 import evaluator_service_pb2_grpc as pb_grpc
from disentanglement.v1 import job_pb2

Context = grpc.aio.ServicerContext[Any, Any]
MOST_METRICS, MOST_NAMES = 100, 1000


class EvaluatorServicer(pb_grpc.EvaluatorServiceServicer):
    """An evaluation groups metrics of one source; each metric is one step."""

    def __init__(self, *, store: Store, evaluations: Evaluations, max_upload_bytes: int) -> None:
        self._store = store
        self._evaluations = evaluations
        self._max_upload_bytes = max_upload_bytes
        self._resources = Resources(store)

    async def ListMetrics(self, request: pb.ListMetricsRequest, context: Context) -> pb.ListMetricsResponse:
        size, start, words = page_size(request.page_size), offset_of("metrics", request.page_token), known_metrics()
        stop = start + size
        return pb.ListMetricsResponse(
            metrics=[describe(word) for word in words[start:stop]],
            next_page_token=token_after("metrics", str(stop)) if stop < len(words) else "",
        )

    async def EvaluateMetrics(self, request: pb.EvaluateMetricsRequest, context: Context) -> pb.EvaluateMetricsResponse:
        project, timeout_s, asked = project_of(request.parent), wait_s(request.wait), evaluate_specs(request)
        source = await asyncio.to_thread(read_source, self._store, project, request)
        specs = await asyncio.to_thread(admit_evaluations, asked)
        await claim(self._store, project, request)
        key = await asyncio.to_thread(source.register, self._store)
        evaluation = await self._evaluations.create(
            project, key, specs, uploaded=source.uploaded, caller=caller_of(context), now=datetime.now(UTC)
        )
        if timeout_s and not evaluation.state.is_final:
            evaluation = await self._evaluations.wait(project, evaluation.record.evaluation, timeout_s)
        return pb.EvaluateMetricsResponse(evaluation=await self._resources.evaluation(evaluation))

    async def GetEvaluation(self, request: pb.GetEvaluationRequest, context: Context) -> pb.GetEvaluationResponse:
        evaluation = await self._evaluations.get(*parse_name(request.name, EVALUATIONS))
        return pb.GetEvaluationResponse(evaluation=await self._resources.evaluation(evaluation))

    async def BatchGetEvaluations(
        self, request: pb.BatchGetEvaluationsRequest, context: Context
    ) -> pb.BatchGetEvaluationsResponse:
        project = project_of(request.parent)
        if len(request.names) > MOST_NAMES:
            raise SpecError.of("names", f"at most {MOST_NAMES} names", len(request.names))
        names = [parse_name(name, EVALUATIONS, field=f"names.{i}") for i, name in enumerate(request.names)]
        for i, (owner, _) in enumerate(names):
            if owner != project:
                raise SpecError.of(f"names.{i}", f"an evaluation of {request.parent}", request.names[i])
        found = [await self._evaluations.get(*name) for name in names]
        messages = [await self._resources.evaluation(evaluation) for evaluation in found]
        return pb.BatchGetEvaluationsResponse(evaluations=messages)

    async def ListEvaluations(self, request: pb.ListEvaluationsRequest, context: Context) -> pb.ListEvaluationsResponse:
        project, state = project_of(request.parent), state_filter(request.state)
        evaluations, token = await page(
            request,
            f"{request.parent}/{EVALUATIONS}",
            lambda: self._evaluations.ids(project),
            lambda name: self._evaluations.get(project, name),
            wanted=lambda evaluation: state in (None, evaluation.state),
        )
        messages = [await self._resources.evaluation(evaluation) for evaluation in evaluations]
        return pb.ListEvaluationsResponse(evaluations=messages, next_page_token=token)

    async def WatchEvaluation(
        self, request: pb.WatchEvaluationRequest, context: Context
    ) -> AsyncIterator[pb.WatchEvaluationResponse]:
        project, evaluation = parse_name(request.name, EVALUATIONS)
        check_cursor(request.name, request.cursor)
        async for cursor, message in changes(request.name, request.cursor, self._watched(project, evaluation)):
            yield pb.WatchEvaluationResponse(cursor=cursor, evaluation=message)

    async def CancelEvaluation(
        self, request: pb.CancelEvaluationRequest, context: Context
    ) -> pb.CancelEvaluationResponse:
        evaluation = await self._evaluations.cancel(*parse_name(request.name, EVALUATIONS))
        return pb.CancelEvaluationResponse(evaluation=await self._resources.evaluation(evaluation))

    async def UploadArray(
        self, request_iterator: AsyncIterator[pb.UploadArrayRequest], context: Context
    ) -> pb.UploadArrayResponse:
        stored = await uploads.receive(
            self._store, request_iterator, max_bytes=self._max_upload_bytes, now=datetime.now(UTC)
        )
        return pb.UploadArrayResponse(uploaded_array=stored)

    async def EvaluateUdr(self, request: pb.EvaluateUdrRequest, context: Context) -> pb.EvaluateUdrResponse:
        raise NotBuiltYet("EvaluateUdr is not built yet")

    async def Validate(self, request: pb.ValidateRequest, context: Context) -> pb.ValidateResponse:
        raise NotBuiltYet("Validate is not built yet")

    async def _watched(self, project: str, evaluation: str) -> AsyncIterator[job_pb2.Evaluation]:
        async for changed in self._evaluations.watch(project, evaluation):
            yield await self._resources.evaluation(changed)


def evaluate_specs(request: pb.EvaluateMetricsRequest) -> list[EvaluateSpec]:
    """One spec per metric, in order.

    Raises:
        SpecError: no metric, a malformed one, or the same one twice.
    """
    if not 1 <= len(request.metrics) <= MOST_METRICS:
        raise SpecError.of("metrics", f"1 to {MOST_METRICS} metrics", len(request.metrics))
    metrics = [from_proto(metric, MetricSpec, field=f"metrics.{i}") for i, metric in enumerate(request.metrics)]
    texts = [canonical_json(canonical(metric)) for metric in metrics]
    for i, text in enumerate(texts):
        if text in texts[:i]:
            raise SpecError.of(f"metrics.{i}", "every metric once", text)
    common = {"random_seed": request.random_seed, "standard_error": request.standard_error}
    return [parse_spec(EvaluateSpec, {"metric": metric, **common}) for metric in metrics]
