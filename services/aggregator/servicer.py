"""AggregatorService: translates calls; studies are expanded, driven and tabulated elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc

from disentanglement.errors import ArtifactConflict, ResourceExhausted, SpecError
from disentanglement.rpc import artifacts, tables
from disentanglement.rpc.asked_studies import asked_study
from disentanglement.rpc.chunks import CHUNK_BYTES
from disentanglement.rpc.convert import to_proto
from disentanglement.rpc.listing import page
from disentanglement.rpc.names import STUDIES, parse_name, project_of
from disentanglement.rpc.pages import offset_of, page_size, token_after
from disentanglement.rpc.requests import claim
from disentanglement.rpc.resources import state_filter
from disentanglement.rpc.study_costs import study_cost
from disentanglement.rpc.study_cursors import StudyCursors
from disentanglement.rpc.study_drivers import StudyDriver
from disentanglement.rpc.study_messages import ModelMessages, WatchedRun, events_between, study_message
from disentanglement.rpc.study_runs import Plans
from disentanglement.rpc.study_status import StudyStatus, load_status
from disentanglement.specs import StudySpec
from disentanglement.steps.admission import admit_study
from disentanglement.steps.ledger import StudyLedger
from disentanglement.storage.store import Store
from disentanglement.studies.pending import steps_of
from disentanglement.studies.plan import Plan, training_specs
from disentanglement.studies.records import StudyRecord, cancel_study, list_studies, load_plan, load_study, submit_study
from disentanglement.v1 import aggregator_service_pb2 as pb
from disentanglement.v1 import aggregator_service_pb2_grpc as pb_grpc
from disentanglement.v1 import study_pb2

Context = grpc.aio.ServicerContext[Any, Any]

MOST_MODELS_PER_PAGE = 100
LOOK_EVERY_S = 5.0


class AggregatorServicer(pb_grpc.AggregatorServiceServicer):
    """One study per name."""

    def __init__(self, *, store: Store, driver: StudyDriver, max_models: int) -> None:
        self._store = store
        self._plans = Plans(store)
        self._driver = driver
        self._max_models = max_models
        self._cursors = StudyCursors()

    async def CreateStudy(self, request: pb.CreateStudyRequest, context: Context) -> pb.CreateStudyResponse:
        project = project_of(request.parent)
        spec = asked_study(request)
        self._driver.check(project, spec.name)
        plan = await asyncio.to_thread(self._admit, spec, project)
        cost = await asyncio.to_thread(study_cost, self._store, StudyLedger(self._store, project, spec.name), plan)
        if request.validate_only:
            study = study_pb2.Study(spec=to_proto(spec, study_pb2.StudySpec), plan_digest=plan.digest)
            return pb.CreateStudyResponse(study=study, cost=cost)
        await claim(self._store, project, request)
        await asyncio.to_thread(self._submit, spec, plan, project)
        await self._driver.begin(project, spec.name)
        return pb.CreateStudyResponse(study=await self._study(project, spec.name), cost=cost)

    async def GetStudy(self, request: pb.GetStudyRequest, context: Context) -> pb.GetStudyResponse:
        return pb.GetStudyResponse(study=await self._study(*parse_name(request.name, STUDIES)))

    async def ListStudies(self, request: pb.ListStudiesRequest, context: Context) -> pb.ListStudiesResponse:
        project = project_of(request.parent)

        async def names() -> list[str]:
            return await asyncio.to_thread(lambda: [record.study for record in list_studies(self._store, project)])

        async def load(name: str) -> study_pb2.Study:
            return study_message(await self._status(project, name), is_brief=True)

        studies, token = await page(request, f"{request.parent}/{STUDIES}", names, load)
        return pb.ListStudiesResponse(studies=studies, next_page_token=token)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        project, study = parse_name(request.parent, STUDIES, field="parent")
        state = state_filter(request.state)
        size = min(page_size(request.page_size), MOST_MODELS_PER_PAGE)
        start = offset_of(request.parent, request.page_token)
        status = await self._status(project, study)
        models = [
            model
            for model in status.plan.models
            if request.cell in ("", model.train.cell)
            and (state is None or any(status.state_of(item) is state for item in steps_of(model)))
        ]
        stop = start + size
        messages = ModelMessages(self._store, status)
        return pb.ListModelsResponse(
            models=[await messages.model(model) for model in models[start:stop]],
            next_page_token=token_after(request.parent, str(stop)) if stop < len(models) else "",
        )

    async def CancelStudy(self, request: pb.CancelStudyRequest, context: Context) -> pb.CancelStudyResponse:
        project, study = parse_name(request.name, STUDIES)
        status = await self._status(project, study)
        if not status.is_final:
            await asyncio.to_thread(cancel_study, self._store, project, study)
            await self._driver.stop(project, study, for_good=True)
        return pb.CancelStudyResponse(study=await self._study(project, study))

    async def RetryFailedModels(
        self, request: pb.RetryFailedModelsRequest, context: Context
    ) -> pb.RetryFailedModelsResponse:
        project, study = parse_name(request.name, STUDIES)
        status = await self._status(project, study)
        known = {item.number for item in status.items}
        if unknown := sorted(set(request.models) - known):
            raise SpecError.of("models", f"numbers of models, 0 to {max(known)}", unknown[0])
        chosen = [
            item.id for item in status.items if item.id in status.failed and item.number in (request.models or known)
        ]
        if chosen:
            await self._driver.retry(project, study, chosen, are_all=len(chosen) == len(status.failed))
        return pb.RetryFailedModelsResponse(study=await self._study(project, study), retried_steps=len(chosen))

    async def WatchStudy(self, request: pb.WatchStudyRequest, context: Context) -> AsyncIterator[pb.WatchStudyResponse]:
        project, study = parse_name(request.name, STUDIES)
        seen = self._cursors.read(request.name, request.cursor)
        events: list[study_pb2.StudyEvent] = []
        before: StudyStatus | None = None
        sent: study_pb2.Study | None = None
        while True:
            run = self._driver.find(project, study)
            if run is not None:
                record = await asyncio.to_thread(load_study, self._store, project, study)
                watched = WatchedRun(record, run, run.position if seen is None else seen)
                async for position, message, events in watched.messages():
                    seen = position
                    cursor = self._cursors.write(request.name, position)
                    yield pb.WatchStudyResponse(cursor=cursor, study=message, events=events)
                events = watched.remaining_events()
            began = time.monotonic()
            status, last = await self._status(project, study), self._cursors.last(request.name)
            events += events_between(before, status, datetime.now(UTC)) if before is not None else []
            message = study_message(status)
            is_new = message != sent if sent is not None else last != request.cursor or not status.is_final
            if is_new or events:
                yield pb.WatchStudyResponse(cursor=last, study=message, events=events)
            before, sent = status, message
            if status.is_final:
                return
            if (error := self._driver.error_of(project, study)) is not None:
                raise error
            events = []
            await asyncio.sleep(max(LOOK_EVERY_S, 5 * (time.monotonic() - began)))  # large studies: less often

    async def QueryResults(self, request: pb.QueryResultsRequest, context: Context) -> pb.QueryResultsResponse:
        record, plan = await self._record(request.name)
        size, start = page_size(request.page_size), offset_of(request.name, request.page_token)
        table = await asyncio.to_thread(tables.filtered, self._store, record, plan, request.filter)
        changes, stop = tables.grid_changes(record), start + size
        rows = [tables.row_message(record, changes, row) for row in table[start:stop].to_dict("records")]
        token = token_after(request.name, str(stop)) if stop < len(table) else ""
        return pb.QueryResultsResponse(rows=rows, next_page_token=token)

    async def ExportResults(
        self, request: pb.ExportResultsRequest, context: Context
    ) -> AsyncIterator[pb.ExportResultsResponse]:
        format = tables.export_format(request.format)
        record, plan = await self._record(request.name)
        data = await asyncio.to_thread(tables.exported, self._store, record, plan, format, request.filter)
        for start in range(0, len(data), CHUNK_BYTES):
            yield pb.ExportResultsResponse(chunk=data[start : start + CHUNK_BYTES])

    async def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, context: Context
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        async for piece in artifacts.pieces(self._store, request):
            yield piece

    def _admit(self, spec: StudySpec, project: str) -> Plan:
        if (count := len(training_specs(spec))) > self._max_models:
            raise ResourceExhausted(f"{count} models; this server takes {self._max_models} in one study at most")
        return admit_study(self._store, spec, project=project)

    def _submit(self, spec: StudySpec, plan: Plan, project: str) -> StudyRecord:
        try:
            return submit_study(self._store, spec, plan, project=project, now=datetime.now(UTC))
        except ArtifactConflict as error:
            raise SpecError.of("spec.name", "the name of no other study", f"{spec.name} ({error})") from None

    async def _status(self, project: str, study: str) -> StudyStatus:
        return await load_status(self._plans, self._driver, project, study)

    async def _study(self, project: str, study: str) -> study_pb2.Study:
        return study_message(await self._status(project, study))

    async def _record(self, name: str) -> tuple[StudyRecord, Plan]:
        project, study = parse_name(name, STUDIES)
        record = await asyncio.to_thread(load_study, self._store, project, study)
        return record, await asyncio.to_thread(load_plan, self._store, record.plan)
