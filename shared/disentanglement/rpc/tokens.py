"""Who may call: one shared token, compared in constant time, asked for before anything of a request is read."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

from disentanglement.errors import Unauthenticated
from disentanglement.rpc.status import abort

HEADER = "authorization"
SCHEME = "Bearer "
OPEN_SERVICES = ("/grpc.health.v1.Health/",)

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


def bearer(token: str | None) -> tuple[tuple[str, str], ...]:
    """The metadata that a client sends with a token; none without one."""
    return ((HEADER, f"{SCHEME}{token}"),) if token else ()


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs alone
    """Answers UNAUTHENTICATED to every call without the token; health checks need none."""

    def __init__(self, token: str) -> None:
        self._wanted = f"{SCHEME}{token}".encode()

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        """The handler, or one that only refuses."""
        if details.method.startswith(OPEN_SERVICES) or self._is_right(details):
            return await continuation(details)
        return grpc.stream_stream_rpc_method_handler(_refuse)  # raw bytes: whatever was sent is not parsed

    def _is_right(self, details: grpc.HandlerCallDetails) -> bool:
        given = next((value for key, value in details.invocation_metadata or () if key == HEADER), "")
        return hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._wanted)


async def _refuse(requests: object, context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
    await abort(context, Unauthenticated(f"this server wants the metadata `{HEADER}: {SCHEME}<token>`"))
