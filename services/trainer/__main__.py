"""`python -m disentanglement.services.trainer serve|run`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping

import grpc

from disentanglement.cluster.studies import ClusterStudies
from disentanglement.cluster.training import ClusterTraining
from disentanglement.rpc.command import main
from disentanglement.rpc.executing import executing
from disentanglement.rpc.server import Service
from disentanglement.rpc.settings import ServiceSettings
from disentanglement.services.trainer.servicer import TrainerServicer
from disentanglement.services.trainer.settings import TrainerSettings
from disentanglement.storage.settings import open_store
from disentanglement.storage.store import Store
from disentanglement.v1 import trainer_service_pb2 as pb
from disentanglement.v1 import trainer_service_pb2_grpc as pb_grpc


def build(env: Mapping[str, str]) -> Service:
    """The parts of the service, put together."""
    shared, settings = ServiceSettings.from_env(env), TrainerSettings.from_env(env)
    store = open_store(shared.store, env)
    if settings.in_cluster:
        return _in_cluster(store, in_cluster(store, env))
    parts = executing("train", store, workers=settings.workers, queue=settings.queue, env=env)
    servicer = TrainerServicer(store=store, jobs=parts.executor)
    return _service(servicer, start=lambda: parts.start(shared.projects), drain=parts.drain)


def in_cluster(store: Store, env: Mapping[str, str]) -> ClusterTraining:
    """Trainings as Study resources of the cluster that this process runs in."""
    from disentanglement.cluster.kubernetes_jobs import connect

    return ClusterTraining(store, ClusterStudies(connect(env, field_manager="disentanglement-trainer")))


def _in_cluster(store: Store, training: ClusterTraining) -> Service:
    tasks: list[asyncio.Task[None]] = []

    async def start() -> None:
        tasks.append(asyncio.create_task(training.tidy()))

    async def drain() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return _service(TrainerServicer(store=store, jobs=training), start=start, drain=drain)


def _service(
    servicer: TrainerServicer, *, start: Callable[[], Awaitable[None]], drain: Callable[[], Awaitable[None]]
) -> Service:
    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_TrainerServiceServicer_to_server(servicer, server)

    names = [service.full_name for service in pb.DESCRIPTOR.services_by_name.values()]
    return Service(add, names, start=start, drain=drain)


if __name__ == "__main__":
    sys.exit(main("trainer", build, "train", sys.argv[1:], os.environ))
