"""One file of a committed step, piece by piece, with its digest checked on the way."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

from disentanglement.errors import ArtifactNotFound, CorruptArtifact, SpecError, StepNotCommitted
from disentanglement.rpc.chunks import CHUNK_BYTES
from disentanglement.rpc.names import (
    REPRESENTATIONS,
    TRAINING_JOBS,
    is_model_name,
    parse_step_key,
    parse_step_name,
    project_of,
)
from disentanglement.rpc.references import planned_model
from disentanglement.rpc.resources import read_manifest
from disentanglement.specs import STEPS, Step, StepKey
from disentanglement.storage.data_sets import find_data_set
from disentanglement.storage.jobs import get_job
from disentanglement.storage.keys import ManifestKey
from disentanglement.storage.manifests import FileRecord, Manifest, file_record
from disentanglement.storage.store import Store, measure
from disentanglement.v1 import aggregator_service_pb2 as pb
from disentanglement.v1 import job_pb2

WITH_EVERY_STEP = ("manifest.json", "data_card.json")
"""What can be had of every step beside its files: the commit itself, and the card of the data that it learned from."""


async def pieces(store: Store, request: pb.DownloadArtifactRequest) -> AsyncIterator[pb.DownloadArtifactResponse]:
    """The description of a file, then its bytes from the request's offset on.

    Raises:
        SpecError, ArtifactNotFound, StepNotCommitted: what is wrong with the request.
        CorruptArtifact: the file is not what was committed; said at its end.
    """
    manifest = await asyncio.to_thread(find_step, store, request)
    record, opened = await asyncio.to_thread(_opened, store, manifest, request.file)
    if request.offset > record.size:
        raise SpecError.of("offset", f"0 to {record.size}", request.offset)
    description = job_pb2.ArtifactFile(file=request.file, size_bytes=record.size, sha256=record.sha256)
    yield pb.DownloadArtifactResponse(file=description)
    stream = await asyncio.to_thread(opened)
    sha256 = hashlib.sha256()
    try:
        async for start, chunk in _chunks(stream):
            sha256.update(chunk)
            if wanted := chunk[max(0, request.offset - start) :]:
                yield pb.DownloadArtifactResponse(chunk=wanted)
    finally:
        await asyncio.to_thread(stream.close)
    if sha256.hexdigest() != record.sha256:
        raise CorruptArtifact(f"{manifest.step_key}: {request.file} has another digest than was committed")


def _opened(store: Store, manifest: Manifest, file: str) -> tuple[FileRecord, Callable[[], Any]]:
    """What a file of a step is, and a way to read it: one that the manifest names, the manifest, or the data card."""
    if (record := manifest.files.get(file)) is not None:
        return record, lambda: store.open(manifest.file_key(file))
    match file:
        case "manifest.json":
            content = manifest.to_bytes()
        case "data_card.json":
            content = _data_card(store, manifest)
        case _:
            there = ", ".join((*sorted(manifest.files), *WITH_EVERY_STEP))
            raise ArtifactNotFound(f"{manifest.step} {manifest.step_key} has no file {file[:100]!r}, but {there}")
    return file_record(measure(content)), lambda: io.BytesIO(content)


def _data_card(store: Store, manifest: Manifest) -> bytes:
    data = manifest.provenance.get("data")
    known = data if isinstance(data, dict) else {}
    card = find_data_set(store, str(known.get("name", "")), str(known.get("digest", "")))
    if card is None:
        raise ArtifactNotFound(f"the data card of {manifest.step} {manifest.step_key} is not in the store")
    return card.to_bytes()


def find_step(store: Store, request: pb.DownloadArtifactRequest) -> Manifest:
    """The manifest of the step that a request names."""
    project_of(request.parent)
    if not request.file:
        raise SpecError.of("file", "the name of a file", "nothing")
    match request.WhichOneof("source"):
        case "name":
            return _committed(store, *_named(store, request.name))
        case "step":
            return _by_key(store, request.step)
        case _:
            raise SpecError.of("source", "exactly one of name, step", "nothing")


def _named(store: Store, name: str) -> tuple[Step, StepKey]:
    if is_model_name(name):
        return "train", planned_model(store, name, field="name").key
    step: Step = "postprocess" if f"/{REPRESENTATIONS}/" in name else "train"
    project, key = parse_step_name(name, REPRESENTATIONS if step == "postprocess" else TRAINING_JOBS)
    get_job(store, project, step, key)  # raises where there is none
    return step, key


def _by_key(store: Store, reference: job_pb2.StepRef) -> Manifest:
    key = parse_step_key(reference.step_key, field="step.step_key")
    for step in STEPS:
        if (manifest := read_manifest(store, ManifestKey(step, key))) is not None:
            if reference.content_digest not in ("", manifest.content_digest):
                raise CorruptArtifact(f"{step} {key} has another content digest than the request expects")
            return manifest
    raise StepNotCommitted(f"no step {key} is committed")


def _committed(store: Store, step: Step, key: StepKey) -> Manifest:
    manifest = read_manifest(store, ManifestKey(step, key))
    if manifest is None:
        raise StepNotCommitted(f"{step} {key} is not committed yet")
    return manifest


async def _chunks(stream: Any) -> AsyncIterator[tuple[int, bytes]]:
    start = 0
    while chunk := await asyncio.to_thread(stream.read, CHUNK_BYTES):
        yield start, chunk
        start += len(chunk)
