"""Who is let in, how a server ends, and how it begins again."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from service_processes import ServiceProcess, listing, start

from disentanglement import Client
from disentanglement.cli.remote_study import Server
from disentanglement.errors import StepNotCommitted, Unauthenticated, Unavailable
from disentanglement.jobs.states import JobState
from disentanglement.rpc.relay import relay_channel
from disentanglement.rpc.remote import RemoteSteps
from disentanglement.rpc.security import Security
from disentanglement.specs import STEPS, EvaluateSpec, MetricSpec, StepKey
from disentanglement.specs.metrics import Mig
from disentanglement.studies.pending import WorkItem
from disentanglement.v1 import evaluator_service_pb2 as evaluator
from disentanglement.v1 import evaluator_service_pb2_grpc as evaluator_grpc
from disentanglement.v1 import metric_pb2

TOKEN = "correct horse battery staple"
METHOD = "/disentanglement.v1.EvaluatorService/ListMetrics"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[ServiceProcess]:
    """An evaluator on every address, with token and TLS, and health on a port of its own."""
    folder = tmp_path_factory.mktemp("guarded")
    cert, key = certificate
    options = ["--listen", "0.0.0.0:0", "--tls-cert", str(cert), "--tls-key", str(key)]
    options += ["--health-listen", "127.0.0.1:0", "--no-reflection"]
    env = {"DISENTANGLEMENT_STORE": str(folder / "store"), "DISENTANGLEMENT_TOKEN": TOKEN}
    service = start("evaluator", folder, env, options)
    yield service
    assert service.stop() == 0
    assert TOKEN not in service.log.read_text()


def at_loopback(address: str) -> str:
    return f"127.0.0.1:{address.rpartition(':')[2]}"


def test_a_client_with_token_and_certificate_is_let_in(guarded: ServiceProcess, certificate: tuple[Path, Path]) -> None:
    with Client(at_loopback(guarded.address), TOKEN, tls_ca=certificate[0]) as client:
        assert "mig" in {metric.name for metric in client.metrics()}


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_the_token_a_call_is_refused_before_its_message_is_read(
    guarded: ServiceProcess, certificate: tuple[Path, Path], token: str | None
) -> None:
    with Client(at_loopback(guarded.address), token, tls_ca=certificate[0]) as client:
        with pytest.raises(Unauthenticated):
            client.metrics()
        with pytest.raises(grpc.RpcError) as refused:
            client._channel.unary_unary(METHOD, None, None)(b"\xff\xff", timeout=20)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_without_tls_a_call_does_not_get_through(guarded: ServiceProcess) -> None:
    with Client(at_loopback(guarded.address), TOKEN, timeout_s=3) as client, pytest.raises(Unavailable):
        client.metrics()


@pytest.fixture
def encrypted_aggregator(
    guarded: ServiceProcess, certificate: tuple[Path, Path], tmp_path: Path
) -> Iterator[ServiceProcess]:
    """Serves TLS, and calls the guarded evaluator by TLS."""
    cert, key = certificate
    env = {
        "DISENTANGLEMENT_STORE": str(tmp_path / "store"),
        "DISENTANGLEMENT_TOKEN": TOKEN,
        "DISENTANGLEMENT_EVALUATOR": at_loopback(guarded.address),
        "DISENTANGLEMENT_TLS_CA": str(cert),
    }
    service = start("aggregator", tmp_path, env, ["--tls-cert", str(cert), "--tls-key", str(key)])
    yield service
    assert service.stop() == 0
    assert TOKEN not in service.log.read_text()


def test_the_aggregator_relays_from_tls_to_tls(
    encrypted_aggregator: ServiceProcess, certificate: tuple[Path, Path]
) -> None:
    rng = np.random.default_rng(5)
    with Client(encrypted_aggregator.address, TOKEN, tls_ca=certificate[0]) as client:
        scored = client.score(rng.normal(size=(100, 3)), rng.integers(0, 3, (100, 2)), metrics=["mig"], timeout_s=60)
    assert isinstance(scored["mig"], dict)


def test_the_command_reaches_an_encrypted_aggregator(
    encrypted_aggregator: ServiceProcess, certificate: tuple[Path, Path]
) -> None:
    assert Server(encrypted_aggregator.address, TOKEN, "default", str(certificate[0])).rows() == []


def test_the_driver_of_studies_calls_by_tls(guarded: ServiceProcess, certificate: tuple[Path, Path]) -> None:
    target = at_loopback(guarded.address)
    item = WorkItem(0, EvaluateSpec(metric=MetricSpec(mig=Mig())), (StepKey.parse(f"x.beta_vae.{'a' * 52}"),))

    async def run() -> None:
        channel = relay_channel(target, Security(certificate[0]).credentials(target, TOKEN))
        steps = RemoteSteps(dict.fromkeys(STEPS, channel), project="default", token=TOKEN)
        try:
            await steps.run(item, lambda progress: None)
        finally:
            await channel.close(None)

    with pytest.raises(StepNotCommitted):  # the evaluator's own answer
        asyncio.run(run())


def test_health_on_its_own_port_needs_neither_token_nor_tls_and_serves_nothing_else(guarded: ServiceProcess) -> None:
    with grpc.insecure_channel(guarded.addresses["health"]) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary(METHOD, None, None)(b"", timeout=20)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_beyond_loopback_a_server_refuses_to_start_without_a_token(tmp_path: Path) -> None:
    env = {"DISENTANGLEMENT_STORE": str(tmp_path)}
    with pytest.raises(AssertionError, match="DISENTANGLEMENT_TOKEN: wanted a token"):
        start("evaluator", tmp_path, env, ["--listen", "0.0.0.0:0"])


def test_a_taken_port_ends_with_try_again(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AssertionError, match=f"cannot listen on {address}"):
            start("evaluator", tmp_path, {"DISENTANGLEMENT_STORE": str(tmp_path)}, ["--listen", address])


def test_a_drained_server_exits_0_and_the_next_one_finishes_its_work(tmp_path: Path) -> None:
    env = {"DISENTANGLEMENT_STORE": str(tmp_path / "store"), "DISENTANGLEMENT_EVALUATOR_WORKERS": "1"}
    first = start("evaluator", tmp_path, env)
    with grpc.insecure_channel(first.address) as channel:
        stub = evaluator_grpc.EvaluatorServiceStub(channel)
        name = stub.EvaluateMetrics(slow_request(), timeout=30).evaluation.name
        watching = stub.WatchEvaluation(evaluator.WatchEvaluationRequest(name=name), timeout=100)
        running = next(m for m in watching if m.evaluation.state == 2)  # JOB_STATE_RUNNING
        assert first.stop(signal.SIGTERM) == 0
        with pytest.raises(grpc.RpcError) as ended:
            list(watching)
        assert ended.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

    second = start("evaluator", tmp_path, env)
    with Client(second.address) as client:
        found = client._operations.evaluation(name)
        assert client._run(found).state in (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED)
        stub = evaluator_grpc.EvaluatorServiceStub(client._channel)
        resumed = stub.WatchEvaluation(evaluator.WatchEvaluationRequest(name=name, cursor=running.cursor), timeout=100)
        assert list(resumed)[-1].evaluation.metrics[0].result.scores  # nobody asked again
    assert second.stop() == 0


def test_a_killed_server_leaves_nothing_half_written(tmp_path: Path) -> None:
    env = {"DISENTANGLEMENT_STORE": str(tmp_path / "store"), "DISENTANGLEMENT_EVALUATOR_WORKERS": "1"}
    first = start("evaluator", tmp_path, env)
    with grpc.insecure_channel(first.address) as channel:
        evaluator_grpc.EvaluatorServiceStub(channel).EvaluateMetrics(slow_request(), timeout=30)
        first.process.kill()
        first.process.wait()
    assert not [name for name in listing(tmp_path / "store") if name.startswith("manifests/evaluate")]
    second = start("evaluator", tmp_path, env)
    with grpc.insecure_channel(second.address) as channel:
        request = slow_request()
        request.wait.seconds = 60
        answer = evaluator_grpc.EvaluatorServiceStub(channel).EvaluateMetrics(request, timeout=100)
        assert answer.evaluation.metrics[0].result.scores
    assert second.stop() == 0


def slow_request() -> evaluator.EvaluateMetricsRequest:
    """dci of 1500 points: some seconds."""
    rng = np.random.default_rng(3)
    codes, factors = rng.normal(size=(1500, 6)).astype("<f4"), rng.integers(0, 4, (1500, 2)).astype("<i8")
    request = evaluator.EvaluateMetricsRequest(
        parent="projects/default", metrics=[metric_pb2.MetricSpec(dci=metric_pb2.Dci())]
    )
    for name, array, dtype in (
        ("codes", codes, metric_pb2.DTYPE_FLOAT32),
        ("factors", factors, metric_pb2.DTYPE_INT64),
    ):
        message = metric_pb2.Array(dtype=dtype, shape=array.shape, data=array.tobytes())
        getattr(request.codes, name).CopyFrom(message)
    return request
