"""`python -m disentanglement.rpc.probe` against a real health service."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from disentanglement.rpc.probe import main

STATUS = health_pb2.HealthCheckResponse


@pytest.fixture
def server() -> Iterator[tuple[str, Any]]:
    """The address of a health service, and what sets its answer."""
    started = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, started)
    port = started.add_insecure_port("127.0.0.1:0")
    started.start()
    yield f"127.0.0.1:{port}", servicer
    started.stop(None).wait()


@pytest.mark.parametrize(("status", "code"), [(STATUS.SERVING, 0), (STATUS.NOT_SERVING, 1)])
def test_the_exit_code_says_whether_it_serves(status: int, code: int, server: tuple[str, Any]) -> None:
    address, servicer = server
    servicer.set("", status)
    assert main([address]) == code


def test_nobody_there_is_no_health() -> None:
    assert main(["127.0.0.1:1", "--timeout", "2"]) == 1


def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    silent = grpc.server(ThreadPoolExecutor(1))
    silent.add_generic_rpc_handlers((_Silence(),))
    port = silent.add_insecure_port("127.0.0.1:0")
    silent.start()
    began = time.monotonic()
    assert main([f"127.0.0.1:{port}", "--timeout", "0.3"]) == 1
    assert time.monotonic() - began < 10
    silent.stop(None)


def test_a_probe_loads_nothing_but_the_health_client() -> None:
    program = (
        "import sys, disentanglement.rpc.probe\n"
        "heavy = {'numpy', 'pandas', 'pydantic', 'torch', 'typer', 'minio'} & sys.modules.keys()\n"
        "raise SystemExit(f'loaded {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


class _Silence(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """Answers after the patience of any probe."""
        return grpc.unary_unary_rpc_method_handler(lambda request, context: _after_the_call(context))


def _after_the_call(context: grpc.ServicerContext) -> bytes:
    ended = Event()
    context.add_callback(ended.set)
    ended.wait(20)
    return b""
