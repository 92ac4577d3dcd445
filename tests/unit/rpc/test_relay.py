"""What the relay adds to the calls that it passes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from disentanglement.rpc import relay
from disentanglement.rpc.relay import RelayHandler, relay_channel

SERVICE = "disentanglement.v1.TrainerService"


class Silent(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """A service that says how long it may take, and with more than a while answers nothing."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        async def answer(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            if details.method.endswith("Job") and "Watch" not in details.method:
                await asyncio.Event().wait()
            yield str(context.time_remaining()).encode()

        return grpc.stream_stream_rpc_method_handler(answer)


async def relayed(method: str, timeout: float | None = None) -> bytes:
    """The first message through a relay in front of the silent service."""
    backend, front = grpc.aio.server(), grpc.aio.server()
    backend.add_generic_rpc_handlers((Silent(),))
    backend_port, front_port = (server.add_insecure_port("127.0.0.1:0") for server in (backend, front))
    channel = relay_channel(f"127.0.0.1:{backend_port}")
    front.add_generic_rpc_handlers((RelayHandler({SERVICE: channel}),))
    await backend.start()
    await front.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{front_port}") as client:
            call = client.unary_stream(f"/{SERVICE}/{method}", None, None)(b"", timeout=timeout)
            async for message in call:
                return bytes(message)
            raise AssertionError("no message")
    finally:
        await channel.close(None)
        await asyncio.gather(front.stop(None), backend.stop(None))


async def test_a_service_that_does_not_answer_is_given_up_for_a_client_without_a_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "LONGEST_UNARY_S", 0.2)
    async with asyncio.timeout(20):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await relayed("GetTrainingJob")
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_without_a_deadline_may_last() -> None:
    assert await relayed("WatchTrainingJob") == b"None"


async def test_the_deadline_of_a_client_is_passed_on() -> None:
    assert 0 < float(await relayed("WatchTrainingJob", timeout=50)) <= 51
