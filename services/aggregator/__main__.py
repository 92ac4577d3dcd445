"""`python -m disentanglement.services.aggregator serve`; also `control` and `launch`, for a cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from functools import cache

import grpc

from disentanglement.errors import Unavailable
from disentanglement.rpc.command import main
from disentanglement.rpc.relay import RelayHandler, relay_channel
from disentanglement.rpc.remote import RemoteSteps
from disentanglement.rpc.retries import SERVICES as ALL_SERVICES
from disentanglement.rpc.server import Service
from disentanglement.rpc.settings import ServiceSettings
from disentanglement.rpc.study_drivers import StudyDriver
from disentanglement.rpc.study_runs import StopItem, StudyRuns
from disentanglement.services.aggregator.cluster import ClusterDriver
from disentanglement.services.aggregator.controlling import COMMANDS
from disentanglement.services.aggregator.servicer import AggregatorServicer
from disentanglement.services.aggregator.settings import SERVICES, AggregatorSettings
from disentanglement.steps.driver import RunItem
from disentanglement.storage.settings import open_store
from disentanglement.v1 import aggregator_service_pb2 as pb
from disentanglement.v1 import aggregator_service_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)


def build(env: Mapping[str, str]) -> Service:
    """The parts of the service, put together."""
    shared, settings = ServiceSettings.from_env(env), AggregatorSettings.from_env(env)
    store = open_store(shared.store, env)
    credentials = {
        step: settings.security.credentials(target, settings.token) for step, target in settings.targets.items()
    }
    channels = {step: relay_channel(target, credentials[step]) for step, target in settings.targets.items()}

    @cache
    def steps_of_project(project: str) -> tuple[RunItem, StopItem]:
        steps = RemoteSteps(channels, project=project, token=settings.token)
        return steps.run, steps.cancel

    driver: StudyDriver = (
        ClusterDriver.connected(store, env)
        if settings.in_cluster
        else StudyRuns(store, steps_of_project, capacity=settings.workers)
    )
    servicer = AggregatorServicer(store=store, driver=driver, max_models=settings.max_models)
    relayed = {f"disentanglement.v1.{SERVICES[step].capitalize()}Service": channels[step] for step in channels}
    names = [service.full_name for service in pb.DESCRIPTOR.services_by_name.values()]
    resuming: list[asyncio.Task[None]] = []

    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_AggregatorServiceServicer_to_server(servicer, server)
        server.add_generic_rpc_handlers((RelayHandler(relayed, token=settings.token),))

    async def resume() -> None:
        try:
            await driver.resume(shared.projects)
        except Unavailable as error:
            log.warning("unfinished studies wait until somebody asks", extra={"cause": str(error)})

    async def start() -> None:
        resuming.append(asyncio.create_task(resume()))

    async def drain() -> None:
        for task in resuming:
            task.cancel()
        await asyncio.gather(*resuming, return_exceptions=True)
        await driver.drain()
        await asyncio.gather(*(channel.close(None) for channel in channels.values()))

    others = [service.full_name for service in ALL_SERVICES if service.full_name in relayed]
    return Service(add, names, start=start, drain=drain, reflected=others)


if __name__ == "__main__":
    sys.exit(main("aggregator", build, None, sys.argv[1:], os.environ, others=COMMANDS))
