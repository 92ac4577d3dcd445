"""Computing a step once: answer from the store, else compute in an attempt and commit it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from threadpoolctl import threadpool_limits

from disentanglement.specs import THREADS_PER_STEP, StepKey, StepSpec, canonical, step_key
from disentanglement.specs.canonical import contract_version, step_of
from disentanglement.steps.context import StepContext
from disentanglement.steps.messages import StepResult
from disentanglement.steps.provenance import surroundings
from disentanglement.storage.commit import Attempt, commit, committed, compare
from disentanglement.storage.manifests import Manifest


@dataclass(frozen=True, slots=True)
class Computed:
    """What a step came to: digests of its tensors, its results, and what was true while computing."""

    results: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


Compute = Callable[[Attempt], Computed]


def compute_once(spec: StepSpec, upstream: Sequence[StepKey], context: StepContext, compute: Compute) -> StepResult:
    """The committed step; `compute` is called only where there is none, or to compare (`context.recompute`).

    Raises:
        CorruptArtifact: the step is committed, but its files are not as recorded.
        DisentanglementError: whatever `compute` raises.
    """
    step, _ = step_of(spec)
    key = step_key(spec, upstream)
    standing = committed(context.store, step, key)
    if standing is not None and not context.recompute:
        return StepResult(standing.attempt, standing.content_digest, computed=False)
    attempt = Attempt(context.store, step, key)
    manifest = _manifest(attempt, spec, upstream, context, compute)
    if standing is not None:
        violation = compare(standing, manifest)
        attempt.drop()
        return StepResult(manifest.attempt, manifest.content_digest, True, violation is not None)
    outcome = commit(context.store, manifest)
    return StepResult(
        outcome.manifest.attempt, outcome.manifest.content_digest, outcome.is_ours, outcome.violation is not None
    )


def _manifest(
    attempt: Attempt, spec: StepSpec, upstream: Sequence[StepKey], context: StepContext, compute: Compute
) -> Manifest:
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        with threadpool_limits(THREADS_PER_STEP):  # of NumPy's and scikit-learn's libraries; PyTorch has its own count
            computed = compute(attempt)
    except BaseException as error:
        context.keep_log(attempt, error)
        raise
    context.keep_log(attempt, None)
    provenance = {
        **computed.provenance,
        **surroundings(context.device),
        "started_at": started.isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        "wall_time_s": round(time.monotonic() - clock, 3),
    }
    return attempt.manifest(
        spec=canonical(spec),
        contract=contract_version(*step_of(spec)),
        upstream=upstream,
        tensors=computed.tensors,
        results=computed.results,
        provenance=provenance,
    )
