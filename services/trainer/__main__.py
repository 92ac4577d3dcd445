"""`python -m disentanglement.services.trainer serve|run`."""

from __future__ import annotations

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
        return _service(TrainerServicer(store=store, jobs=in_cluster(store, env)), start=_nothing, drain=_nothing)
    parts = executing("train", store, workers=settings.workers, queue=settings.queue, env=env)
    servicer = TrainerServicer(store=store, jobs=parts.executor)
    return _service(servicer, start=lambda: parts.start(shared.projects), drain=parts.drain)


def in_cluster(store: Store, env: Mapping[str, str]) -> ClusterTraining:
    """Trainings as Study resources of the cluster that this process runs in."""
    from disentanglement.cluster.kubernetes_jobs import connect

    return ClusterTraining(store, ClusterStudies(connect(env, field_manager="disentanglement-trainer")))


def _service(
    servicer: TrainerServicer, *, start: Callable[[], Awaitable[None]], drain: Callable[[], Awaitable[None]]
) -> Service:
    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_TrainerServiceServicer_to_server(servicer, server)

    names = [service.full_name for service in pb.DESCRIPTOR.services_by_name.values()]
    return Service(add, names, start=start, drain=drain)


async def _nothing() -> None:
    """What goes on elsewhere needs neither a start nor an end."""


if __name__ == "__main__":
    sys.exit(main("trainer", build, "train", sys.argv[1:], os.environ))
