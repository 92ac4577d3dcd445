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
    begun = begin(spec, upstream, context)
    if isinstance(begun, StepResult):
        return begun
    try:
        with threadpool_limits(THREADS_PER_STEP):  # of NumPy's and scikit-learn's libraries; PyTorch has its own count
            computed = compute(begun.attempt)
    except BaseException as error:
        begun.fail(error)
        raise
    return begun.finish(computed)


@dataclass(frozen=True, slots=True)
class Begun:
    """A step that is being computed. It ends with `finish` or with `fail`."""

    spec: StepSpec
    upstream: Sequence[StepKey]
    context: StepContext
    attempt: Attempt
    standing: Manifest | None
    """What is committed already, where the step is computed again to compare."""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.monotonic)

    def finish(self, computed: Computed) -> StepResult:
        """Commits what was computed, or compares it with what stands."""
        self.context.keep_log(self.attempt, None)
        manifest = self._manifest(computed)
        if self.standing is not None:
            violation = compare(self.standing, manifest)
            self.attempt.drop()
            return StepResult(manifest.attempt, manifest.content_digest, True, violation is not None)
        outcome = commit(self.context.store, manifest)
        return StepResult(
            outcome.manifest.attempt, outcome.manifest.content_digest, outcome.is_ours, outcome.violation is not None
        )

    def fail(self, error: BaseException) -> None:
        """Keeps the log with what ended the step."""
        self.context.keep_log(self.attempt, error)

    def _manifest(self, computed: Computed) -> Manifest:
        provenance = {
            **computed.provenance,
            **surroundings(self.context.device),
            "started_at": self.started.isoformat(),
            "finished_at": datetime.now(UTC).isoformat(),
            "wall_time_s": round(time.monotonic() - self.clock, 3),
        }
        return self.attempt.manifest(
            spec=canonical(self.spec),
            contract=contract_version(*step_of(self.spec)),
            upstream=self.upstream,
            tensors=computed.tensors,
            results=computed.results,
            provenance=provenance,
        )


def begin(spec: StepSpec, upstream: Sequence[StepKey], context: StepContext) -> StepResult | Begun:
    """The committed step, or a new attempt at it.

    Raises:
        CorruptArtifact: the step is committed, but its files are not as recorded.
    """
    step, _ = step_of(spec)
    key = step_key(spec, upstream)
    standing = committed(context.store, step, key)
    if standing is not None and not context.recompute:
        return StepResult(standing.attempt, standing.content_digest, computed=False)
    return Begun(spec, upstream, context, Attempt(context.store, step, key), standing)
