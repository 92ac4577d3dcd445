"""Who calls: servers let callers take turns. Nothing but the order of work depends on it."""

from __future__ import annotations

from typing import Any

import grpc

CALLER_HEADER = "disentanglement-caller"
"""Set by who relays calls, since all of those come through one connection."""

MAX_LENGTH = 200


def caller_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The connection that a call came through, as its relay names it or as this server sees it."""
    for name, value in context.invocation_metadata() or ():
        if name == CALLER_HEADER:
            return str(value)[:MAX_LENGTH]
    return str(context.peer())
