"""One address for all services: calls of the others are passed on byte for byte, whatever their messages are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from disentanglement.rpc.callers import CALLER_HEADER, caller_of
from disentanglement.rpc.interceptors import LONGEST_UNARY_S
from disentanglement.rpc.retries import SERVICES
from disentanglement.rpc.server import MAX_MESSAGE_BYTES
from disentanglement.rpc.tokens import HEADER, bearer

Context = grpc.aio.ServicerContext[Any, Any]

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),  # a service that was restarted is found again at once
    ("grpc.enable_retries", 0),  # the client that called decides
)
STREAMS = frozenset(
    f"/{service.full_name}/{method.name}"
    for service in SERVICES
    for method in service.methods
    if method.client_streaming or method.server_streaming
)
"""Methods that may last; the others are given up after `LONGEST_UNARY_S` where the client sets no deadline."""

_NOT_PASSED_ON = ("user-agent", HEADER, CALLER_HEADER)


def relay_channel(target: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """A channel that calls may be relayed through; encrypted with `credentials`."""
    if credentials is not None:
        return grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
    return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)


class RelayHandler(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """Handles every method of the services in `channels` (full name to channel)."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel], *, token: str = "") -> None:
        self._channels = channels
        self._token = token

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """A handler of raw bytes; on the wire all four kinds of calls are streams."""
        channel = self._channels.get(details.method.strip("/").partition("/")[0])
        if channel is None:
            return None
        call = channel.stream_stream(details.method, None, None)  # None: bytes as they are
        longest_s = None if details.method in STREAMS else LONGEST_UNARY_S

        async def relay(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            async for response in _relayed(call, requests, context, self._token, longest_s):
                yield response

        return grpc.stream_stream_rpc_method_handler(relay)


async def _relayed(
    method: Any, requests: AsyncIterator[bytes], context: Context, token: str, longest_s: float | None
) -> AsyncIterator[bytes]:
    metadata = [pair for pair in context.invocation_metadata() or () if _is_passed_on(pair[0])]
    left_s: Any = context.time_remaining()  # None where the client sets none, whatever the stubs say
    timeout_s = longest_s if left_s is None else left_s
    caller = (CALLER_HEADER, caller_of(context))
    call = method(requests, timeout=timeout_s, metadata=(*metadata, caller, *bearer(token)))
    try:
        await context.send_initial_metadata(_pairs(await call.initial_metadata()))
        async for response in call:
            yield response
        context.set_trailing_metadata(_pairs(await call.trailing_metadata()))
    except grpc.aio.AioRpcError as error:
        await context.abort(error.code(), error.details() or "", _pairs(error.trailing_metadata()))
    finally:
        call.cancel()  # nothing happens where it has ended


def _pairs(metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
    return tuple((str(name), value) for name, value in metadata)


def _is_passed_on(name: str) -> bool:
    return name not in _NOT_PASSED_ON and not name.startswith(("grpc-", ":"))
