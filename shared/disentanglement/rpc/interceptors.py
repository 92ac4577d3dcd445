"""What every method of ours has in common: parsing, statuses, a deadline, and an answer while the server drains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from disentanglement.errors import DeadlineExceeded, SpecError, Unavailable
from disentanglement.rpc.status import abort, aborting
from disentanglement.rpc.tokens import Continuation

OUR_PACKAGE = "/disentanglement.v1."
LONGEST_UNARY_S = 120.0
"""For a call without a deadline of its own; streams may last."""

Context = grpc.aio.ServicerContext[Any, Any]


class DrainInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Answers UNAVAILABLE to new calls of ours once `draining` is set; health and reflection go on."""

    def __init__(self, draining: asyncio.Event) -> None:
        self._draining = draining

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        """The handler, or one that only refuses."""
        if self._draining.is_set() and details.method.startswith(OUR_PACKAGE):
            return grpc.stream_stream_rpc_method_handler(_refuse_while_draining)
        return await continuation(details)


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Turns unreadable messages and our exceptions into statuses, and gives unary calls a deadline."""

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        """The handler with all of that around it."""
        handler = await continuation(details)
        if handler is None or not details.method.startswith(OUR_PACKAGE) or handler.request_deserializer is None:
            return handler
        return _guarded(handler)


def _guarded(handler: Any) -> Any:
    parse, serialize = handler.request_deserializer, handler.response_serializer
    if handler.request_streaming:
        body = handler.stream_unary

        async def stream_unary(requests: AsyncIterator[bytes], context: Context) -> Any:
            async with aborting(context):
                return await body(_parsed_stream(parse, requests), context)

        return grpc.stream_unary_rpc_method_handler(stream_unary, None, serialize)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(_guarded_stream(handler.unary_stream, parse), None, serialize)
    return grpc.unary_unary_rpc_method_handler(_guarded_unary(handler.unary_unary, parse), None, serialize)


def _guarded_unary(body: Callable[[Any, Context], Awaitable[Any]], parse: Callable[[bytes], Any]) -> Any:
    async def unary_unary(data: bytes, context: Context) -> Any:
        async with aborting(context):
            request = _parsed(parse, data)
            try:
                async with asyncio.timeout(LONGEST_UNARY_S if context.time_remaining() is None else None):
                    return await body(request, context)
            except TimeoutError:
                raise DeadlineExceeded(f"no answer within {LONGEST_UNARY_S:.0f} s") from None

    return unary_unary


def _guarded_stream(body: Callable[[Any, Context], AsyncIterator[Any]], parse: Callable[[bytes], Any]) -> Any:
    async def unary_stream(data: bytes, context: Context) -> AsyncIterator[Any]:
        async with aborting(context):
            async for response in body(_parsed(parse, data), context):
                yield response

    return unary_stream


async def _parsed_stream(parse: Callable[[bytes], Any], requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for data in requests:
        yield _parsed(parse, data)


def _parsed(parse: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return parse(data)
    except (DecodeError, ValueError):
        raise SpecError.of("request", "a message of this method", f"{len(data)} bytes that are none") from None


async def _refuse_while_draining(requests: object, context: Context) -> NoReturn:
    await abort(context, Unavailable("this server is draining; try again"))
