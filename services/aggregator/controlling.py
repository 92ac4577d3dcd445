"""`control` and `launch`: the cluster's controller, and one study without a custom resource."""

from __future__ import annotations

import argparse
import asyncio
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import grpc

from disentanglement.cluster.settings import ENVIRONMENT
from disentanglement.errors import ArtifactNotFound, SpecError
from disentanglement.rpc.command import Command
from disentanglement.rpc.server import Listening, Service, serve

CONTROL_HELP = """\
Work off the Study resources of some namespaces until SIGTERM: expand each into its plan, make Jobs for what is not
done, write down what has failed for good, tell the progress in the resource's status (kubectl get studies).

One replica works at a time, the one that holds the Lease disentanglement-controller; the others wait, and one of them
goes on within seconds when it ends. It may be killed at any moment: all that it knows it reads again from the cluster
and the store. What a Study asks for is taken from the cluster alone: kubectl apply -f k8s/studies/quick-start.yaml."""

LAUNCH_HELP = """\
Work off the study in FILE with nothing but the right to make Jobs in this namespace, and exit:
  0   every model has its scores
  1   some models have failed for good, or the study can't be worked off as it is written
  75  asked to stop before (SIGTERM): run it again, it goes on

FILE is a Study as kubectl apply takes it, or a study file; mount it from a ConfigMap. Run it as a Job whose pod knows
its own name (POD_NAME): the workers' Jobs belong to that Job and go when it is deleted."""


def _add_control_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--health-listen", default="", metavar="HOST:PORT", help="answer gRPC health checks there (default: nowhere)"
    )


def _control(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    from disentanglement.cluster.assembly import ControllerProcess  # the services that need no cluster import none

    process = ControllerProcess(env)

    async def start() -> None:
        process.start()

    async def drain() -> None:
        await asyncio.to_thread(process.stop)

    def add(server: grpc.aio.Server) -> None:
        """Health is all that is served."""

    service = Service(add, [], start=start, drain=drain)
    asyncio.run(serve(service, Listening(health_address=options.health_listen, has_reflection=False)))
    return 0


def _add_launch_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the Study, or study file (YAML)")


def _launch(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    from disentanglement.cluster.assembly import launch_file

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return launch_file(options.file, env, stop)
    except OSError as error:
        raise SpecError.of("FILE", "a readable file", error) from error
    except ArtifactNotFound as error:
        raise SpecError.of("POD_NAME", "the name of this pod", error) from error


COMMANDS = (
    Command(
        "control",
        "work off the Studies of a cluster",
        CONTROL_HELP,
        ENVIRONMENT,
        add_options=_add_control_options,
        run=_control,
    ),
    Command(
        "launch",
        "work off one study without a custom resource",
        LAUNCH_HELP,
        ENVIRONMENT,
        add_options=_add_launch_options,
        run=_launch,
    ),
)
