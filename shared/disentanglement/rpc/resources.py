"""Jobs, manifests and errors as the messages that stand for them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from disentanglement.errors import ArtifactNotFound, DisentanglementError, NonFiniteLoss, SpecError
from disentanglement.jobs.states import JobState
from disentanglement.rpc.convert import enum_number, enum_words, to_proto
from disentanglement.rpc.names import EVALUATIONS, REPRESENTATIONS, TRAINING_JOBS, name_of
from disentanglement.specs import EvaluateSpec, PostprocessSpec, TrainSpec, canonical_json, parse_spec, step_key
from disentanglement.steps.evaluations import Evaluation
from disentanglement.steps.executor import Job
from disentanglement.steps.progress import Progress
from disentanglement.steps.representations import codes_of
from disentanglement.steps.uploads import CELL
from disentanglement.storage.codes import MEAN, find_codes
from disentanglement.storage.keys import ManifestKey
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Store
from disentanglement.v1 import dataset_pb2, job_pb2, metric_pb2

JOB_STATES: dict[JobState, job_pb2.JobState.ValueType] = {
    state: job_pb2.JobState.ValueType(enum_number(job_pb2.JobState.DESCRIPTOR, state)) for state in JobState
}
NPY_HEADER_BYTES = 128


class Resources:
    """Reads what a resource's message needs beside its job: the manifest of what is committed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def training_job(self, job: Job) -> job_pb2.TrainingJob:
        """One model being trained."""
        assert isinstance(job.item.spec, TrainSpec)
        message = job_pb2.TrainingJob(
            name=name_of(job.project, TRAINING_JOBS, job.item.key), spec=to_proto(job.item.spec, job_pb2.TrainSpec)
        )
        _set_job(message, job)
        if (manifest := await self._manifest(job)) is not None:
            _set_times(message, manifest)
            message.result.CopyFrom(training_result(manifest))
        return message

    async def representation(self, job: Job) -> job_pb2.Representation:
        """The extraction of codes from one model."""
        assert isinstance(job.item.spec, PostprocessSpec)
        message = job_pb2.Representation(
            name=name_of(job.project, REPRESENTATIONS, job.item.key),
            model=job_pb2.ModelRef(step=job_pb2.StepRef(step_key=str(job.item.upstream[0]))),
            spec=to_proto(job.item.spec, job_pb2.PostprocessSpec),
        )
        _set_job(message, job)
        if (manifest := await self._manifest(job)) is not None:
            _set_times(message, manifest)
            message.result.CopyFrom(await asyncio.to_thread(representation_result, self._store, manifest))
        return message

    async def evaluation(self, evaluation: Evaluation) -> job_pb2.Evaluation:
        """Several metrics of one source, one outcome each."""
        record = evaluation.record
        message = job_pb2.Evaluation(
            name=name_of(record.project, EVALUATIONS, record.evaluation),
            metrics=[await self.metric_evaluation(job) for job in evaluation.jobs],
            state=JOB_STATES[evaluation.state],
        )
        if record.uploaded:
            message.uploaded.CopyFrom(
                metric_pb2.UploadedCodes(**{f"{name}_sha256": sha256 for name, sha256 in record.uploaded.items()})
            )
        else:
            message.representation.step.step_key = record.source
        message.progress.step = sum(job.state.is_final for job in evaluation.jobs)
        message.progress.total = len(evaluation.jobs)
        message.create_time.FromDatetime(record.created)
        return message

    async def metric_evaluation(self, job: Job) -> job_pb2.MetricEvaluation:
        """One metric of an evaluation."""
        assert isinstance(job.item.spec, EvaluateSpec)
        message = job_pb2.MetricEvaluation(
            spec=to_proto(job.item.spec, job_pb2.EvaluateSpec), step_key=str(job.item.key), state=JOB_STATES[job.state]
        )
        if (manifest := await self._manifest(job)) is not None:
            message.result.CopyFrom(metric_result(manifest))
        elif job.state is JobState.FAILED and job.error is not None:
            message.failure.CopyFrom(failure(job.error))
        elif job.progress is not None and not job.state.is_final:
            message.progress.CopyFrom(job_progress(job.progress, job.rate))
        return message

    async def _manifest(self, job: Job) -> Manifest | None:
        if job.state is not JobState.SUCCEEDED:
            return None
        return await asyncio.to_thread(read_manifest, self._store, ManifestKey(job.item.step, job.item.key))


def read_manifest(store: Store, key: ManifestKey) -> Manifest | None:
    """The manifest of a step; None where it is not committed."""
    try:
        return Manifest.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        return None


def training_result(manifest: Manifest) -> job_pb2.TrainingResult:
    """What a committed training holds."""
    return job_pb2.TrainingResult(
        scores=scores(manifest),
        files=files(manifest),
        content_digest=manifest.content_digest,
        provenance=provenance(manifest),
    )


def representation_result(store: Store, manifest: Manifest) -> job_pb2.RepresentationResult:
    """What a committed representation holds, and whether its codes are in the store now."""
    if manifest.key.step_key.cell == CELL:
        return job_pb2.RepresentationResult(provenance=provenance(manifest), codes_present=True)
    codes = find_codes(store, codes_of(manifest))
    num_codes = parse_spec(TrainSpec, manifest.provenance["train_spec"]).architecture.num_latent
    message = job_pb2.RepresentationResult(
        num_codes=num_codes,
        codes_digest=str(manifest.provenance.get("codes", "")),
        codes_present=codes is not None,
        provenance=provenance(manifest),
    )
    if codes is not None:
        message.num_points = (codes.files[MEAN].size - NPY_HEADER_BYTES) // (4 * num_codes)
    return message


def metric_result(manifest: Manifest) -> job_pb2.MetricResult:
    """The committed scores of one metric."""
    return job_pb2.MetricResult(
        scores=scores(manifest), content_digest=manifest.content_digest, provenance=provenance(manifest)
    )


def scores(manifest: Manifest) -> list[metric_pb2.Score]:
    """Every number of a manifest's results."""
    return [score(key, value) for key, value in manifest.scores().items() if isinstance(value, int | float)]


def score(key: str, value: float) -> metric_pb2.Score:
    """One number; where it is not finite, why there is none."""
    if math.isfinite(value):
        return metric_pb2.Score(key=key, value=value)
    return metric_pb2.Score(key=key, reason=f"{value} is not finite")


def files(manifest: Manifest) -> list[job_pb2.ArtifactFile]:
    """The files that a manifest names."""
    return [
        job_pb2.ArtifactFile(file=name, size_bytes=record.size, sha256=record.sha256)
        for name, record in sorted(manifest.files.items())
    ]


def failure(error: DisentanglementError) -> job_pb2.Failure:
    """Why work has no result."""
    step = error.step if isinstance(error, NonFiniteLoss) else None
    return job_pb2.Failure(reason=error.reason, message=str(error)[:4000], retryable=error.retryable, step=step)


def provenance(manifest: Manifest) -> job_pb2.Provenance:
    """What a manifest says of how it came about."""
    known = manifest.provenance
    computation = _mapping(known.get("computation"))
    message = job_pb2.Provenance(
        step_keys=step_keys(manifest),
        contract_version=manifest.contract,
        codes_digest=str(known.get("codes") or ""),
        device=str(known.get("device", "")),
        engine=str(computation.get("engine", "")),
        computation={name: canonical_json(value) for name, value in computation.items()},
        versions={name: str(version) for name, version in _mapping(known.get("versions")).items()},
        **_specs(manifest),
    )
    data = _mapping(known.get("data"))
    message.data_digest = str(data.get("digest", ""))
    message.data_origin = data_origin(str(data.get("origin", "")))
    if isinstance(threads := known.get("threads"), int):
        message.threads = threads
    if isinstance(seconds := known.get("wall_time_s"), int | float):
        message.wall_time.FromNanoseconds(round(seconds * 1e9))
    message.image_digest = str(_mapping(known.get("versions")).get("image", ""))
    return message


def data_origin(word: str) -> dataset_pb2.DataOrigin.ValueType:
    """`released`, `rendered` or `generated` as the enum's value."""
    origins = dataset_pb2.DataOrigin.DESCRIPTOR
    return dataset_pb2.DataOrigin.ValueType(enum_number(origins, word) if word in enum_words(origins) else 0)


def step_keys(manifest: Manifest) -> job_pb2.StepKeys:
    """The keys of a manifest's step and of those before it."""
    keys = {manifest.step: manifest.step_key}
    if manifest.step == "evaluate" and manifest.upstream:
        keys["postprocess"] = manifest.upstream[0]
    if isinstance(trained := manifest.provenance.get("train_spec"), dict):
        keys["train"] = str(step_key(parse_spec(TrainSpec, trained)))
    return job_pb2.StepKeys(**keys)


def state_filter(number: int) -> JobState | None:
    """The state that a list is filtered by; None for all.

    Raises:
        SpecError: a number that the enum does not have.
    """
    if number == 0:
        return None
    words = enum_words(job_pb2.JobState.DESCRIPTOR)
    if number not in job_pb2.JobState.DESCRIPTOR.values_by_number:
        raise SpecError.of("state", f"one of {', '.join(words)}", f"enum value {number}")
    return next(state for state, value in JOB_STATES.items() if value == number)


def job_progress(progress: Progress, rate: float | None) -> job_pb2.Progress:
    """How far running work is, and how long it will still take where its speed is known."""
    message = job_pb2.Progress(step=progress.done, total=progress.total)
    if rate:
        message.rate = rate
        message.eta.FromNanoseconds(round((progress.total - progress.done) / rate * 1e9))
    return message


def _set_job(message: Any, job: Job) -> None:
    message.step_key = str(job.item.key)
    message.state = JOB_STATES[job.state]
    message.create_time.FromDatetime(job.created)
    if job.progress is not None:
        message.progress.CopyFrom(job_progress(job.progress, job.rate))
    if job.ended is not None:
        message.end_time.FromDatetime(job.ended)
    if job.state is JobState.FAILED and job.error is not None:
        message.failure.CopyFrom(failure(job.error))


def _set_times(message: Any, manifest: Manifest) -> None:
    for field, name in ((message.start_time, "started_at"), (message.end_time, "finished_at")):
        if isinstance(text := manifest.provenance.get(name), str):
            field.FromDatetime(datetime.fromisoformat(text))


def _specs(manifest: Manifest) -> dict[str, Any]:
    specs = dict(_spec_sources(manifest))
    if "uploaded" in specs.get("postprocess_spec", {}):
        del specs["postprocess_spec"]
    messages: dict[str, Any] = {}
    if (train := specs.get("train_spec")) is not None:
        messages["train_spec"] = to_proto(parse_spec(TrainSpec, train), job_pb2.TrainSpec)
    if (postprocess := specs.get("postprocess_spec")) is not None:
        messages["postprocess_spec"] = to_proto(parse_spec(PostprocessSpec, postprocess), job_pb2.PostprocessSpec)
    if (evaluate := specs.get("evaluate_spec")) is not None:
        messages["evaluate_spec"] = to_proto(parse_spec(EvaluateSpec, evaluate), job_pb2.EvaluateSpec)
    return messages


def _spec_sources(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in ("train_spec", "postprocess_spec"):
        if isinstance(spec := manifest.provenance.get(name), dict):
            yield name, spec
    yield f"{manifest.step}_spec", manifest.spec


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
