"""The evaluator with one worker: callers take turns, slow metrics tell how far they are and stop when told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from service_processes import ServiceProcess, start

from disentanglement.v1 import evaluator_service_pb2 as pb
from disentanglement.v1 import evaluator_service_pb2_grpc as pb_grpc
from disentanglement.v1 import job_pb2, metric_pb2

pytestmark = pytest.mark.timeout(300)
PARENT = "projects/default"
DCI, MIG = metric_pb2.MetricSpec(dci=metric_pb2.Dci()), metric_pb2.MetricSpec(mig=metric_pb2.Mig())


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("evaluator")
    env = {"DISENTANGLEMENT_STORE": str(folder / "store"), "DISENTANGLEMENT_EVALUATOR_WORKERS": "1"}
    service = start("evaluator", folder, env)
    try:
        yield service
    finally:
        service.stop()


def stub(evaluator: ServiceProcess) -> pb_grpc.EvaluatorServiceStub:
    """A client with a connection of its own."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    return pb_grpc.EvaluatorServiceStub(grpc.insecure_channel(evaluator.address, options=own))


def array(values: np.ndarray, dtype: metric_pb2.Dtype.ValueType) -> metric_pb2.Array:
    return metric_pb2.Array(dtype=dtype, shape=values.shape, data=values.tobytes())


def asked(
    metric: metric_pb2.MetricSpec, *, seed: int, num_points: int = 3000, wait_s: int = 0
) -> pb.EvaluateMetricsRequest:
    """`dci` of so many points takes seconds, and `mig` milliseconds."""
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 20, (num_points, 3))
    codes = (factors @ rng.normal(size=(3, 8)) + rng.normal(size=(num_points, 8))).astype("<f4")
    request = pb.EvaluateMetricsRequest(
        parent=PARENT,
        codes=metric_pb2.InlineCodes(
            codes=array(codes, metric_pb2.DTYPE_FLOAT32), factors=array(factors.astype("<i8"), metric_pb2.DTYPE_INT64)
        ),
        metrics=[metric],
        random_seed=seed,
    )
    request.wait.seconds = wait_s
    return request


def state_of(client: pb_grpc.EvaluatorServiceStub, name: str) -> job_pb2.JobState.ValueType:
    return client.GetEvaluation(pb.GetEvaluationRequest(name=name)).evaluation.state


def test_a_quick_metric_is_answered_behind_another_callers_hundred_and_cancelling_ends_them(
    evaluator: ServiceProcess,
) -> None:
    first, second = stub(evaluator), stub(evaluator)
    names = [first.EvaluateMetrics(asked(DCI, seed=seed)).evaluation.name for seed in range(100)]
    answer = second.EvaluateMetrics(asked(MIG, seed=0, wait_s=60)).evaluation
    assert answer.state == job_pb2.JOB_STATE_SUCCEEDED
    states = [state_of(first, name) for name in names]
    assert sum(state == job_pb2.JOB_STATE_QUEUED for state in states) > 50

    running = next((name for name, state in zip(names, states, strict=True) if state == job_pb2.JOB_STATE_RUNNING))
    for message in first.WatchEvaluation(pb.WatchEvaluationRequest(name=running)):
        (metric,) = message.evaluation.metrics
        if metric.progress.step or metric.state == job_pb2.JOB_STATE_SUCCEEDED:
            break
    assert metric.progress.total == 1000 or metric.state == job_pb2.JOB_STATE_SUCCEEDED

    for name in reversed(names):
        cancelled = first.CancelEvaluation(pb.CancelEvaluationRequest(name=name)).evaluation
        assert cancelled.state in (job_pb2.JOB_STATE_CANCELLED, job_pb2.JOB_STATE_SUCCEEDED)
    again = second.EvaluateMetrics(asked(MIG, seed=1, wait_s=60)).evaluation
    assert again.state == job_pb2.JOB_STATE_SUCCEEDED  # a worker that was ended is replaced


def test_equal_requests_at_one_time_get_the_one_answer(evaluator: ServiceProcess) -> None:
    clients = [stub(evaluator) for _ in range(6)]
    request = asked(DCI, seed=7, num_points=400, wait_s=120)
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = [answer.evaluation for answer in pool.map(lambda client: client.EvaluateMetrics(request), clients)]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].state == job_pb2.JOB_STATE_SUCCEEDED
