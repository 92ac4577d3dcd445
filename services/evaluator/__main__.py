"""`python -m disentanglement.services.evaluator serve|run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import grpc

from disentanglement.rpc.command import main
from disentanglement.rpc.executing import executing
from disentanglement.rpc.server import Service
from disentanglement.rpc.settings import ServiceSettings
from disentanglement.services.evaluator.servicer import EvaluatorServicer
from disentanglement.services.evaluator.settings import EvaluatorSettings
from disentanglement.steps.evaluations import Evaluations
from disentanglement.storage.settings import open_store
from disentanglement.v1 import evaluator_service_pb2 as pb
from disentanglement.v1 import evaluator_service_pb2_grpc as pb_grpc

QUICK_PLACES = 1
"""Workers beside those that are set, for quick metrics of callers who have none running."""


def build(env: Mapping[str, str]) -> Service:
    """The parts of the service, put together."""
    shared, settings = ServiceSettings.from_env(env), EvaluatorSettings.from_env(env)
    store = open_store(shared.store, env)
    parts = executing(
        "evaluate", store, workers=settings.workers, queue=settings.queue, env=env, quick_places=QUICK_PLACES
    )
    servicer = EvaluatorServicer(
        store=store,
        evaluations=Evaluations(store, parts.executor),
        max_upload_bytes=settings.max_upload_bytes,
    )

    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_EvaluatorServiceServicer_to_server(servicer, server)

    names = [service.full_name for service in pb.DESCRIPTOR.services_by_name.values()]
    return Service(add, names, start=lambda: parts.start(shared.projects), drain=parts.drain)


if __name__ == "__main__":
    sys.exit(main("evaluator", build, "evaluate", sys.argv[1:], os.environ))
