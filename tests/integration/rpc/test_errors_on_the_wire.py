"""Errors over a real connection: what a servicer raises is what the client raises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from disentanglement.errors import CodesMissing, DisentanglementError, ResourceExhausted, SpecError, Violation
from disentanglement.rpc.retries import channel_options
from disentanglement.rpc.status import OTHERS, aborting, from_rpc_error
from disentanglement.v1 import trainer_service_pb2 as pb
from disentanglement.v1 import trainer_service_pb2_grpc as pb_grpc

MANY = SpecError([Violation(f"spec.fïeld_{i}", "a known field; " * 5, "ünknown" * 10) for i in range(2000)])
RAISED: dict[str, Exception] = {
    "many": MANY,
    "codes": CodesMissing("the codes were evicted: extract them again"),
    "full": ResourceExhausted("the queue is full", retry_after_s=1.5),
    "bug": KeyError("password=hunter2"),
}


class Trainer(pb_grpc.TrainerServiceServicer):
    """Raises what the name of the job says."""

    async def GetTrainingJob(  # noqa: N802  (the name of the rpc)
        self, request: pb.GetTrainingJobRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetTrainingJobResponse:
        async with aborting(context):
            raise RAISED[request.name]
        raise AssertionError


@pytest.fixture
async def trainer() -> AsyncIterator[Any]:
    server = grpc.aio.server()
    pb_grpc.add_TrainerServiceServicer_to_server(Trainer(), server)  # type: ignore[abstract]  # one method will do
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=channel_options()) as channel:
        yield pb_grpc.TrainerServiceStub(channel)
    await server.stop(None)


async def failure(trainer: Any, name: str) -> tuple[grpc.StatusCode, DisentanglementError]:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=name), timeout=10)
    return failed.value.code(), from_rpc_error(failed.value)


async def test_a_status_with_more_violations_than_fit_arrives_with_the_first_of_them(trainer: Any) -> None:
    code, error = await failure(trainer, "many")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(error, SpecError)
    assert error.violations[0] == MANY.violations[0]
    assert error.violations[-1].field == OTHERS


@pytest.mark.parametrize("name", ["codes", "full"])
async def test_an_error_crosses_the_wire_whole(trainer: Any, name: str) -> None:
    _, error = await failure(trainer, name)
    assert type(error) is type(RAISED[name])
    assert (str(error), vars(error)) == (str(RAISED[name]), vars(RAISED[name]))


async def test_a_bug_is_internal_and_says_nothing_of_itself(trainer: Any) -> None:
    code, error = await failure(trainer, "bug")
    assert code is grpc.StatusCode.INTERNAL
    assert "hunter2" not in str(error)
