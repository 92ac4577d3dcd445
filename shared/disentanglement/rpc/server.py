"""One gRPC server as all services run it: health, reflection, token, TLS, limits, and a graceful end."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from disentanglement.errors import SpecError, Unavailable
from disentanglement.rpc.interceptors import CallInterceptor, DrainInterceptor
from disentanglement.rpc.security import is_loopback
from disentanglement.rpc.tokens import TokenInterceptor

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "DISENTANGLEMENT_TOKEN"
MAX_MESSAGE_BYTES = 4 << 20
GRACE_S = 2.0
"""For calls that are still open once the work has stopped."""

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # two servers on one port would each get half of the calls
)


@dataclass(frozen=True)
class Listening:
    """Where a server listens and whom it lets in."""

    address: str = "127.0.0.1:0"
    """`host:port`; port 0 lets the kernel choose."""
    token: str = field(default="", repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    is_insecure_allowed: bool = False
    health_address: str = ""
    """A second address for health checks alone, without token or TLS."""
    has_reflection: bool = True
    port_file: Path | None = None
    """Gets the line that is printed once the server listens."""

    def check(self) -> None:
        """Raises SpecError for a combination that must not be served."""
        host = host_of(self.address)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SpecError.of("--tls-cert", "--tls-cert and --tls-key together", "one of them")
        for option, path in (("--tls-cert", self.tls_cert), ("--tls-key", self.tls_key)):
            if path is not None and not path.is_file():
                raise SpecError.of(option, "a file", path)
        if is_loopback(host):
            return
        if not self.token:
            raise SpecError.of(TOKEN_VARIABLE, f"a token, as {host} is no loopback address", "nothing")
        if self.tls_cert is None and not self.is_insecure_allowed:
            wanted = f"--tls-cert and --tls-key, or --insecure-listen said out loud, as {host} is no loopback address"
            raise SpecError.of("--listen", wanted, "neither")

    def credentials(self) -> grpc.ServerCredentials | None:
        """TLS, if a certificate was given."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return grpc.ssl_server_credentials([(self.tls_key.read_bytes(), self.tls_cert.read_bytes())])


@dataclass(frozen=True)
class Service:
    """What a server serves: how to add it, its full names, and what to do before the first and after the last call."""

    add: Callable[[grpc.aio.Server], None]
    names: Sequence[str]
    start: Callable[[], Awaitable[None]]
    drain: Callable[[], Awaitable[None]]
    reflected: Sequence[str] = ()
    """Names of services that are only relayed."""


def add_listen_options(parser: argparse.ArgumentParser) -> None:
    """The command line of `Listening`."""
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0: any free port (default)")
    parser.add_argument("--health-listen", default="", metavar="HOST:PORT", help="health checks alone, without token")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain (PEM)")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="private key (PEM)")
    parser.add_argument("--insecure-listen", action="store_true", help="serve beyond loopback without TLS")
    parser.add_argument("--no-reflection", action="store_true", help="do not describe the services to clients")
    parser.add_argument(
        "--port-file", type=Path, metavar="FILE", help="write the line that says where it listens there"
    )


def listening_from(arguments: argparse.Namespace, env: Mapping[str, str]) -> Listening:
    """The options, with the token from DISENTANGLEMENT_TOKEN.

    Raises:
        SpecError: a combination that must not be served.
    """
    listening = Listening(
        address=arguments.listen,
        token=env.get(TOKEN_VARIABLE, ""),
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
        is_insecure_allowed=arguments.insecure_listen,
        health_address=arguments.health_listen,
        has_reflection=not arguments.no_reflection,
        port_file=arguments.port_file,
    )
    listening.check()
    return listening


async def serve(service: Service, listening: Listening, *, announce: TextIO = sys.stdout) -> None:
    """Serves until SIGTERM or SIGINT, then drains: health first, then new calls, then running work, then the rest.

    Once it listens it prints one line of JSON: `{"listening": "127.0.0.1:50051", "health": "..."}`.

    Raises:
        SpecError: options that must not be served.
        Unavailable: the address cannot be had.
    """
    listening.check()
    draining = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, draining.set)
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]  # not in the stubs
    servers, addresses = _servers(service, listening, checks, draining)
    await service.start()
    for server in servers:
        await server.start()
    for name in ("", *service.names):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    _announce(addresses, listening.port_file, announce)
    log.info("listening", extra=addresses)
    await draining.wait()
    log.info("draining")
    await checks.enter_graceful_shutdown()
    await service.drain()
    await asyncio.gather(*(server.stop(GRACE_S) for server in servers))
    log.info("stopped")


def host_of(address: str) -> str:
    """The host of `host:port`; SpecError where it is none."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise SpecError.of("--listen", "host:port", address)
    return host.removeprefix("[").removesuffix("]")


def _servers(
    service: Service, listening: Listening, checks: Any, draining: asyncio.Event
) -> tuple[list[grpc.aio.Server], dict[str, str]]:
    guards = [TokenInterceptor(listening.token)] if listening.token else []
    main = grpc.aio.server(interceptors=[*guards, DrainInterceptor(draining), CallInterceptor()], options=OPTIONS)
    service.add(main)
    health_pb2_grpc.add_HealthServicer_to_server(checks, main)
    if listening.has_reflection:
        names = (*service.names, *service.reflected, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), main)
    addresses = {"listening": _bind(main, listening.address, listening.credentials())}
    servers = [main]
    if listening.health_address:
        second = grpc.aio.server(options=OPTIONS)
        health_pb2_grpc.add_HealthServicer_to_server(checks, second)
        addresses["health"] = _bind(second, listening.health_address, None)
        servers.append(second)
    return servers, addresses


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    host_of(address)
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise Unavailable(f"cannot listen on {address}: {error}") from error
    return f"{address.rpartition(':')[0]}:{port}"


def _announce(addresses: Mapping[str, str], port_file: Path | None, stream: TextIO) -> None:
    line = json.dumps(dict(addresses))
    if port_file is not None:
        written = port_file.with_name(f"{port_file.name}.new")
        written.write_text(f"{line}\n")
        written.replace(port_file)
    stream.write(f"{line}\n")
    stream.flush()
