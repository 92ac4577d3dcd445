"""Arrays that arrive in chunks: written to a temporary file, checked, and only then stored."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from disentanglement.errors import ResourceExhausted, SpecError
from disentanglement.rpc.arrays import checked_shape, dtype_from_proto, dtype_to_proto
from disentanglement.rpc.names import name_of, project_of
from disentanglement.steps.uploads import Upload, UploadRecord, remember_upload
from disentanglement.storage.store import Store
from disentanglement.v1 import evaluator_service_pb2 as pb
from disentanglement.v1 import metric_pb2


@dataclass(frozen=True)
class Header:
    """A valid header."""

    project: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    sha256: str

    @property
    def num_bytes(self) -> int:
        """Size of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize


async def receive(
    store: Store, requests: AsyncIterator[pb.UploadArrayRequest], *, max_bytes: int, now: datetime
) -> metric_pb2.UploadedArray:
    """Stores the array that a client sends.

    Raises:
        SpecError: no header first, or size or digest differ from it; nothing was stored.
        ResourceExhausted: larger than `max_bytes`.
    """
    first = await anext(aiter(requests), pb.UploadArrayRequest())
    header = read_header(first, max_bytes)
    with tempfile.TemporaryDirectory(prefix="disentanglement-upload-") as folder:
        upload = Upload(Path(folder) / "array.npy", header.dtype, header.shape)
        with upload.path.open("wb") as stream:
            upload.write_header(stream)
            await _receive_elements(requests, header, stream)
        record = await asyncio.to_thread(remember_upload, store, header.project, header.sha256, upload, now)
    return uploaded_array(header.project, header.sha256, record)


def read_header(request: pb.UploadArrayRequest, max_bytes: int) -> Header:
    """The header, which must be the first message."""
    if request.WhichOneof("content") != "header":
        raise SpecError.of("header", "the header as the first message", request.WhichOneof("content") or "nothing")
    message = request.header
    header = Header(
        project=project_of(message.parent, field="header.parent"),
        dtype=dtype_from_proto(message.dtype, field="header.dtype"),
        shape=checked_shape(message.shape, field="header.shape"),
        sha256=message.sha256,
    )
    if re.fullmatch(r"[0-9a-f]{64}", header.sha256, re.ASCII) is None:
        raise SpecError.of("header.sha256", "64 hexadecimal digits", repr(header.sha256[:80]))
    if header.num_bytes > max_bytes:
        raise ResourceExhausted(f"header.shape: {header.num_bytes} bytes; this server takes {max_bytes} at most")
    return header


def uploaded_array(project: str, sha256: str, record: UploadRecord) -> metric_pb2.UploadedArray:
    """What a client is told of its array."""
    message = metric_pb2.UploadedArray(
        name=name_of(project, "uploads", sha256),
        dtype=dtype_to_proto(np.dtype(record.dtype)),
        shape=record.shape,
        size_bytes=record.size,
        sha256=sha256,
    )
    message.create_time.FromDatetime(record.created)
    return message


async def _receive_elements(requests: AsyncIterator[pb.UploadArrayRequest], header: Header, stream: BinaryIO) -> None:
    sha256, size = hashlib.sha256(), 0
    async for request in requests:
        if request.WhichOneof("content") != "chunk":
            raise SpecError.of("chunk", "bytes after the header", request.WhichOneof("content") or "nothing")
        size += len(request.chunk)
        if size > header.num_bytes:
            break
        sha256.update(request.chunk)
        stream.write(request.chunk)
    if size != header.num_bytes:
        wanted = f"{header.num_bytes} bytes for shape {list(header.shape)} of {header.dtype.name}"
        raise SpecError.of("chunk", wanted, f"{size} bytes" if size < header.num_bytes else "more")
    if sha256.hexdigest() != header.sha256:
        raise SpecError.of("header.sha256", f"the digest of what was sent, {sha256.hexdigest()}", header.sha256)
