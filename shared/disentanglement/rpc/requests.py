"""Request ids: the same id with the same body is the same request, with another body a mistake."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from disentanglement.errors import SpecError
from disentanglement.storage.keys import RequestKey
from disentanglement.storage.manifests import Record
from disentanglement.storage.store import Store

LONGEST_ID = 200


class RequestRecord(Record):
    """What a request id was first used for."""

    method: str
    body_sha256: str


async def claim(store: Store, project: str, request: Any) -> None:
    """Remembers the `request_id` of a valid request; answers themselves repeat, as resources are named by content.

    Raises:
        SpecError: the id was used for another body before, or is too long.
    """
    if not request.request_id:
        return
    if len(request.request_id) > LONGEST_ID:
        raise SpecError.of("request_id", f"at most {LONGEST_ID} characters", f"{len(request.request_id)} characters")
    await asyncio.to_thread(_claim, store, project, request)


def _claim(store: Store, project: str, request: Any) -> None:
    method = request.DESCRIPTOR.name
    body = type(request)()
    body.CopyFrom(request)
    body.request_id = ""
    digest = hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()
    key = RequestKey.of(project, method, request.request_id)
    if store.put(key, RequestRecord(method=method, body_sha256=digest).to_bytes(), if_absent=True):
        return
    if RequestRecord.from_bytes(key, store.get(key)).body_sha256 != digest:
        raise SpecError.of(
            "request_id", "a new id for another request", f"{request.request_id!r}, which was used before"
        )
