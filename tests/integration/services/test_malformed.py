"""A thousand malformed requests: each answers with a status that names what is wrong, and nothing is written."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_processes import Stack, listing

from disentanglement.rpc.retries import SERVICES
from disentanglement.v1 import aggregator_service_pb2 as aggregator
from disentanglement.v1 import evaluator_service_pb2 as evaluator
from disentanglement.v1 import metric_pb2
from disentanglement.v1 import postprocessor_service_pb2 as postprocessor
from disentanglement.v1 import trainer_service_pb2 as trainer

COUNT = 1000
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
PACKAGE = "/disentanglement.v1."
PARENT = "projects/default"
KEY = f"dummy_data.beta_vae.{'a' * 52}"
TEXTS = (
    "",
    "x",
    "projects/",
    "projects/../..",
    "projects/default/studies/x/models/9",
    "\x00",
    "ü" * 50,
    "a" * 5000,
    KEY,
)
NUMBERS = (0, 1, 2**31 - 1, -1, -(2**31), 2**32 - 1, 2**63 - 1)
FLOATS = (0.0, -1.0, float("nan"), float("inf"), 1e308)


def valid_requests() -> list[tuple[str, Message]]:
    """One request for every unary or server-streaming method, none of which would begin anything."""
    create = trainer.CreateTrainingJobRequest(parent=PARENT)
    create.spec.dataset.name = "no_such_data"
    create.spec.objective.beta_vae.beta = 4
    extract = postprocessor.ExtractRepresentationRequest(parent=PARENT)
    extract.model.step.step_key = KEY
    extract.representation.mean.SetInParent()
    codes = np.zeros((4, 2), "<f4")
    one_bin = metric_pb2.MetricSpec(irs=metric_pb2.Irs(num_bins=1))
    evaluate = evaluator.EvaluateMetricsRequest(parent=PARENT, metrics=[one_bin])
    evaluate.codes.codes.CopyFrom(
        metric_pb2.Array(dtype=metric_pb2.DTYPE_FLOAT32, shape=codes.shape, data=codes.tobytes())
    )
    evaluate.codes.factors.CopyFrom(metric_pb2.Array(dtype=metric_pb2.DTYPE_INT8, shape=[4, 1], data=bytes(4)))
    uploaded = evaluator.EvaluateMetricsRequest(parent=PARENT, metrics=[one_bin])
    uploaded.uploaded.codes_sha256 = uploaded.uploaded.factors_sha256 = "0" * 64
    study = aggregator.CreateStudyRequest(parent=PARENT)
    study.spec.name = "never"
    study.spec.model.CopyFrom(create.spec)
    study.spec.grid.sweep.update({"objective.beta_vae.beta": [1, 2]})
    study.spec.representations.add().mean.SetInParent()
    study.spec.metrics.add().mig.num_bins = 20
    download = aggregator.DownloadArtifactRequest(parent=PARENT, file="weights.safetensors")
    download.step.step_key = KEY
    chosen: list[tuple[str, Message]] = [
        ("TrainerService/CreateTrainingJob", create),
        ("TrainerService/GetTrainingJob", trainer.GetTrainingJobRequest(name=f"{PARENT}/trainingJobs/{KEY}")),
        ("TrainerService/WatchTrainingJob", trainer.WatchTrainingJobRequest(name=f"{PARENT}/trainingJobs/{KEY}")),
        ("TrainerService/CancelTrainingJob", trainer.CancelTrainingJobRequest(name=f"{PARENT}/trainingJobs/{KEY}")),
        ("PostprocessorService/ExtractRepresentation", extract),
        ("EvaluatorService/EvaluateMetrics", evaluate),
        ("EvaluatorService/EvaluateMetrics", uploaded),
        ("EvaluatorService/GetEvaluation", evaluator.GetEvaluationRequest(name=f"{PARENT}/evaluations/none")),
        ("EvaluatorService/BatchGetEvaluations", evaluator.BatchGetEvaluationsRequest(parent=PARENT, names=["x"])),
        ("EvaluatorService/WatchEvaluation", evaluator.WatchEvaluationRequest(name="x", cursor="y")),
        ("AggregatorService/CreateStudy", study),
        ("AggregatorService/GetStudy", aggregator.GetStudyRequest(name=f"{PARENT}/studies/none")),
        ("AggregatorService/WatchStudy", aggregator.WatchStudyRequest(name=f"{PARENT}/studies/none", cursor="1")),
        ("AggregatorService/CancelStudy", aggregator.CancelStudyRequest(name=f"{PARENT}/studies/none")),
        ("AggregatorService/QueryResults", aggregator.QueryResultsRequest(name=f"{PARENT}/studies/none")),
        ("AggregatorService/ExportResults", aggregator.ExportResultsRequest(name=f"{PARENT}/studies/none")),
        ("AggregatorService/DownloadArtifact", download),
        ("AggregatorService/ListModels", aggregator.ListModelsRequest(parent=f"{PARENT}/studies/none", page_size=-1)),
        ("TrainerService/ListTrainingJobs", trainer.ListTrainingJobsRequest(parent="nobody", page_token="?")),
    ]
    return chosen


def test_a_thousand_malformed_requests_are_refused_by_name_and_change_nothing(stack: Stack) -> None:
    before = listing(stack.store)
    seen: Counter[grpc.StatusCode] = Counter()
    requests, methods = valid_requests(), every_method()

    with grpc.insecure_channel(stack.address) as channel:

        @settings(max_examples=COUNT, database=None, suppress_health_check=list(HealthCheck))
        @given(rng=st.randoms(use_true_random=False), kind=st.integers(0, 9))
        def refused_by_name(rng: random.Random, kind: int) -> None:
            method, data = malformed(requests, methods, rng, kind)
            code, fields = answer(channel, method, data)
            seen[code] += 1
            assert code in REFUSALS | {grpc.StatusCode.OK}, (method, data, code)
            assert fields or code is not grpc.StatusCode.INVALID_ARGUMENT, (method, data)

        refused_by_name()
    assert listing(stack.store) == before
    assert seen.total() >= COUNT
    assert seen[grpc.StatusCode.INVALID_ARGUMENT] > COUNT // 3
    assert seen[grpc.StatusCode.OK] < COUNT // 10  # some changes leave a request valid
    assert all(service.process.poll() is None for service in stack.services.values())


def every_method() -> list[str]:
    """Full names of the methods that take one message."""
    methods = [f"{PACKAGE}{service.name}/{method.name}" for service in SERVICES for method in service.methods]
    return [method for method in methods if not method.endswith("UploadArray")]


def malformed(
    requests: list[tuple[str, Message]], methods: list[str], rng: random.Random, kind: int
) -> tuple[str, bytes]:
    """Random bytes (kind 0), a damaged message (1) or absurd values, for some method."""
    if kind == 0:
        return rng.choice(methods), b"\xff" + rng.randbytes(rng.randrange(1, 200))
    method, request = rng.choice(requests)
    changed = type(request)()
    changed.CopyFrom(request)
    for _ in range(rng.randrange(1, 4)):
        change(changed, rng)
    data = changed.SerializeToString()
    if kind == 1 and data:
        position = rng.randrange(len(data))
        data = data[:position] + rng.randbytes(rng.randrange(1, 6)) + data[position + 1 :]
    return PACKAGE + method, data


def change(message: Message, rng: random.Random) -> None:
    """Gives a random field, somewhere inside, an absurd value."""
    fields: list[Any] = list(message.DESCRIPTOR.fields)
    field = rng.choice(fields)
    if field.message_type is None:
        set_scalar(message, field, rng)
    elif field.is_repeated:
        if field.message_type.GetOptions().map_entry:
            return
        change(getattr(message, field.name).add(), rng)
    else:
        inner = getattr(message, field.name)
        inner.SetInParent()
        if inner.DESCRIPTOR.fields and rng.random() < 0.8:
            change(inner, rng)


def set_scalar(message: Message, field: FieldDescriptor, rng: random.Random) -> None:
    kinds: dict[int, Callable[[], Any]] = {
        FieldDescriptor.CPPTYPE_STRING: lambda: rng.choice(TEXTS),
        FieldDescriptor.CPPTYPE_BOOL: lambda: rng.random() < 0.5,
        FieldDescriptor.CPPTYPE_DOUBLE: lambda: rng.choice(FLOATS),
        FieldDescriptor.CPPTYPE_ENUM: lambda: rng.choice([0, 1, 99]),
    }
    value = kinds.get(field.cpp_type, lambda: rng.choice(NUMBERS))()
    if field.type == FieldDescriptor.TYPE_BYTES:
        value = rng.randbytes(7)
    try:
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    except ValueError:  # a number beyond the field's range
        return


def answer(channel: grpc.Channel, method: str, data: bytes) -> tuple[grpc.StatusCode, list[str]]:
    """The status of a call with these bytes, and the fields that it names."""
    call = channel.unary_stream(method, None, None)(data, timeout=30)
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code(), list(fields_of(error))
    return grpc.StatusCode.OK, []


def fields_of(error: Any) -> Iterator[str]:
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        request = BadRequest()
        if detail.Unpack(request):
            yield from (violation.field for violation in request.field_violations)
