"""What a client that knows nothing but the protos sees: reflection, scoring in one call, health, statuses."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from service_processes import Stack

from disentanglement.v1 import aggregator_service_pb2 as aggregator
from disentanglement.v1 import aggregator_service_pb2_grpc as aggregator_grpc
from disentanglement.v1 import evaluator_service_pb2 as evaluator
from disentanglement.v1 import evaluator_service_pb2_grpc as evaluator_grpc
from disentanglement.v1 import metric_pb2
from disentanglement.v1 import postprocessor_service_pb2 as postprocessor
from disentanglement.v1 import postprocessor_service_pb2_grpc as postprocessor_grpc
from disentanglement.v1 import trainer_service_pb2 as trainer
from disentanglement.v1 import trainer_service_pb2_grpc as trainer_grpc

PARENT = "projects/default"


def array(values: np.ndarray, dtype: metric_pb2.Dtype.ValueType) -> metric_pb2.Array:
    return metric_pb2.Array(dtype=dtype, shape=values.shape, data=values.tobytes())


def request_for(codes: np.ndarray, factors: np.ndarray, **others: object) -> evaluator.EvaluateMetricsRequest:
    request = evaluator.EvaluateMetricsRequest(
        parent=PARENT,
        codes=metric_pb2.InlineCodes(
            codes=array(codes.astype("<f4"), metric_pb2.DTYPE_FLOAT32),
            factors=array(factors.astype("<i8"), metric_pb2.DTYPE_INT64),
        ),
        metrics=[metric_pb2.MetricSpec(mig=metric_pb2.Mig())],
        **others,  # type: ignore[arg-type]
    )
    request.wait.seconds = 60
    return request


def test_reflection_of_the_aggregator_lists_all_services(stack: Stack) -> None:
    with grpc.insecure_channel(stack.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (answer,) = stub.ServerReflectionInfo(asked, timeout=20)
    names = {service.name for service in answer.list_services_response.service}
    ours = {f"disentanglement.v1.{name}Service" for name in ("Trainer", "Postprocessor", "Evaluator", "Aggregator")}
    assert names == {*ours, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def test_a_client_written_from_the_protos_reads_five_scores_of_10000_codes_in_one_call(stack: Stack) -> None:
    factors = np.array(list(itertools.product(range(10), repeat=4)))
    codes = np.random.default_rng(0).normal(size=(10_000, 10)) + 3 * factors[:, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]]
    request = request_for(codes, factors)
    request.metrics.add().sap_score.continuous_factors = True
    request.metrics.add().factor_vae_score.num_train = 500
    request.metrics[-1].factor_vae_score.num_eval = 200
    with grpc.insecure_channel(stack.address) as channel:
        response = evaluator_grpc.EvaluatorServiceStub(channel).EvaluateMetrics(request, timeout=100)
    scores = {s.key: s.value for metric in response.evaluation.metrics for s in metric.result.scores}
    assert len(scores) == 5
    assert scores["num_active_dims"] == 10
    assert scores["train_accuracy"] > 0.9
    assert 0 <= scores["discrete_mig"] < 0.2  # every factor has two or three equal codes


@pytest.mark.parametrize("name", ["trainer", "postprocessor", "evaluator", "aggregator"])
def test_health_answers_for_the_server_and_its_service(stack: Stack, name: str) -> None:
    with grpc.insecure_channel(stack.services[name].address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", f"disentanglement.v1.{name.capitalize()}Service"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_answers_at_once_while_a_step_runs(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(uuid.uuid4().int)
    request = request_for(rng.normal(size=(3000, 8)), rng.integers(0, 4, (3000, 3)))
    request.metrics[0].dci.SetInParent()
    with grpc.insecure_channel(stack.services["evaluator"].address) as channel:
        running = evaluator_grpc.EvaluatorServiceStub(channel).EvaluateMetrics.future(request, timeout=100)
        health, waits_s = health_pb2_grpc.HealthStub(channel), []
        while not running.done():
            started = time.monotonic()
            health.Check(health_pb2.HealthCheckRequest(), timeout=20)
            waits_s.append(time.monotonic() - started)
        assert running.result().evaluation.metrics[0].result.scores
    with capsys.disabled():
        print(f"\nhealth while dci runs: {summary(waits_s)}")
    assert np.median(waits_s) < 0.1
    assert np.quantile(waits_s, 0.95) < 0.5


def test_health_answers_at_once_and_progress_has_a_speed_while_training_runs(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    create = trainer.CreateTrainingJobRequest(parent=PARENT)
    create.spec.dataset.name = "dummy_data"
    create.spec.objective.beta_vae.beta = 4
    create.spec.training_steps, create.spec.random_seed = 100_000, 77
    with grpc.insecure_channel(stack.services["trainer"].address) as channel:
        stub, health = trainer_grpc.TrainerServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        job = stub.CreateTrainingJob(create, timeout=20).training_job
        watching = stub.WatchTrainingJob(trainer.WatchTrainingJobRequest(name=job.name), timeout=100)
        seen = next(message.training_job for message in watching if message.training_job.progress.rate)
        waits_s: list[float] = []
        while len(waits_s) < 300:
            started = time.monotonic()
            health.Check(health_pb2.HealthCheckRequest(), timeout=20)
            waits_s.append(time.monotonic() - started)
        watching.cancel()  # type: ignore[no-untyped-call]
        stub.CancelTrainingJob(trainer.CancelTrainingJobRequest(name=job.name), timeout=60)
    with capsys.disabled():
        print(f"\nhealth while training runs: {summary(waits_s)}")
    left = seen.progress.total - seen.progress.step
    assert seen.progress.eta.seconds == pytest.approx(left / seen.progress.rate, abs=1.5)
    assert np.median(waits_s) < 0.1
    assert np.quantile(waits_s, 0.95) < 0.5


def summary(waits_s: list[float]) -> str:
    median, most, longest = (1e3 * np.quantile(waits_s, share) for share in (0.5, 0.99, 1.0))
    return f"{len(waits_s)} checks, median {median:.1f} ms, 99% {most:.1f} ms, longest {longest:.1f} ms"


def test_a_request_id_with_another_body_is_refused_and_with_the_same_one_answered_again(stack: Stack) -> None:
    rng = np.random.default_rng(1)
    codes, factors = rng.normal(size=(60, 3)), rng.integers(0, 3, (60, 2))
    request = request_for(codes, factors, request_id=str(uuid.uuid4()))
    with grpc.insecure_channel(stack.address) as channel:
        stub = evaluator_grpc.EvaluatorServiceStub(channel)
        first, second = (stub.EvaluateMetrics(request, timeout=100) for _ in range(2))
        assert first == second
        request.random_seed = 5
        with pytest.raises(grpc.RpcError) as refused:
            stub.EvaluateMetrics(request, timeout=100)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields_of(refused.value) == ["request_id"]


def test_what_is_not_built_yet_is_named(stack: Stack) -> None:
    create = trainer.CreateTrainingJobRequest(parent=PARENT)
    create.spec.dataset.name = "dummy_data"
    create.spec.objective.beta_vae.beta = 4
    create.spec.dataset.options.add().plugin.name = "mine:Option"
    with grpc.insecure_channel(stack.address) as channel:
        evaluators = evaluator_grpc.EvaluatorServiceStub(channel)
        trainers = trainer_grpc.TrainerServiceStub(channel)
        calls: dict[str, Callable[[], Any]] = {
            "Visualize": lambda: postprocessor_grpc.PostprocessorServiceStub(channel).Visualize(
                postprocessor.VisualizeRequest(parent=PARENT), timeout=20
            ),
            "EvaluateUdr": lambda: evaluators.EvaluateUdr(evaluator.EvaluateUdrRequest(), timeout=20),
            "Validate": lambda: evaluators.Validate(evaluator.ValidateRequest(), timeout=20),
            "CreateReasoningJob": lambda: trainers.CreateReasoningJob(trainer.CreateReasoningJobRequest(), timeout=20),
            "dataset.options.plugin": lambda: trainers.CreateTrainingJob(create, timeout=20),
        }
        for name, call in calls.items():
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED, name
            assert name in (refused.value.details() or "")


def test_a_part_of_a_published_study_is_counted_under_a_name_of_its_own(stack: Stack) -> None:
    request = aggregator.CreateStudyRequest(parent=PARENT, published="unsupervised_study_v1", validate_only=True)
    request.selection.models = "0,50"
    request.changes.update({"dataset": "dummy_data", "training_steps": 2})
    request.metrics.add().mig.SetInParent()
    with grpc.insecure_channel(stack.address) as channel:
        stub = aggregator_grpc.AggregatorServiceStub(channel)
        study = stub.CreateStudy(request, timeout=60).study
        assert study.spec.name.startswith("unsupervised_study_v1_models_0_50_")
        assert study.spec.selection.models == "0,50"
        request.selection.models = "12600"
        with pytest.raises(grpc.RpcError) as refused:
            stub.CreateStudy(request, timeout=60)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields_of(refused.value) == ["selection.models"]


def test_details_of_a_status_come_through_the_relay(stack: Stack) -> None:
    with grpc.insecure_channel(stack.address) as channel:
        stub = trainer_grpc.TrainerServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetTrainingJob(trainer.GetTrainingJobRequest(name="nonsense"), timeout=20)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields_of(refused.value) == ["name"]
    info = ErrorInfo()
    call: Any = refused.value
    details = rpc_status.from_call(call).details
    assert any(detail.Unpack(info) for detail in details)
    assert info.reason == "SPEC_ERROR"


def fields_of(error: Any) -> list[str]:
    found = []
    for detail in rpc_status.from_call(error).details:
        request = BadRequest()
        if detail.Unpack(request):
            found += [violation.field for violation in request.field_violations]
    return found
