"""Where a watcher was: a cursor names the resource and the state that was seen last.

It is made of what was sent, so it keeps its meaning over a restart: what has changed since is sent, once.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import TypeVar

from google.protobuf.message import Message

from disentanglement.errors import SpecError

LENGTH = 16
AnyMessage = TypeVar("AnyMessage", bound=Message)


def cursor_of(name: str, message: Message) -> str:
    """The cursor after a message about the resource of that name."""
    return f"{_short(name.encode())}-{_short(message.SerializeToString(deterministic=True))}"


def check_cursor(name: str, cursor: str) -> None:
    """SpecError for a cursor of another resource, or none at all."""
    resource, _, seen = cursor.partition("-")
    if cursor and (resource != _short(name.encode()) or len(seen) != LENGTH):
        raise SpecError.of("cursor", f"a cursor of {name}", repr(cursor[:80]))


async def changes(name: str, cursor: str, messages: AsyncIterator[AnyMessage]) -> AsyncIterator[tuple[str, AnyMessage]]:
    """Messages with their cursors, without those that say the same as the one before."""
    seen = cursor
    async for message in messages:
        now = cursor_of(name, message)
        if now != seen:
            seen = now
            yield now, message


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:LENGTH]
