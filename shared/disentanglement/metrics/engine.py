"""Several metrics of one representation in one call: what they have in common is drawn and computed once.

Every score is bit for bit the one that `evaluate_metric` gives. Two metrics share a sample where their seeds, batch
sizes and numbers of points are equal, and then what is computed of it: bins, joint histograms, sorted codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

from disentanglement.errors import DisentanglementError, Interrupted, SpecError
from disentanglement.metrics.catalog import evaluate_metric
from disentanglement.metrics.metric import MetricResult
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.sampling.points import GridRepresentation, Representation, Samples, SharedRepresentation
from disentanglement.metrics.scoring import read_metrics
from disentanglement.specs.metrics import MetricSpec


def evaluate_metrics(
    metrics: Iterable[str | MetricSpec],
    representation: Representation,
    seed: int | Sequence[int] = 0,
    *,
    progress: Progress = silent,
) -> dict[str, MetricResult | DisentanglementError]:
    """Results by label, in order; a metric that has no value has the error instead, and the others have theirs.

    `metrics` are words or specs, `seed` is one for all or one for each. Where the representation is a random one,
    every metric starts from the noise as it is now, whatever was computed before.

    Raises SpecError, before anything is computed, for an unknown metric, one named twice and seeds too many or few.
    What `progress` raises ends it.
    """
    specs = read_metrics(metrics)
    seeds = [seed] * len(specs) if isinstance(seed, int) else list(seed)
    if len(seeds) != len(specs):
        raise SpecError.of("seed", f"one seed, or {len(specs)}, one for each metric", len(seeds))
    samples, results = Samples(), dict[str, MetricResult | DisentanglementError]()
    for position, ((label, spec), own_seed) in enumerate(zip(specs.items(), seeds, strict=True)):
        part = part_of(progress, position / len(specs), (position + 1) / len(specs))
        shared = SharedRepresentation(_afresh(representation), samples)
        try:
            results[label] = evaluate_metric(spec, shared, own_seed, progress=part)
        except Interrupted:
            raise
        except DisentanglementError as error:
            results[label] = error
    return results


def _afresh(representation: Representation) -> Representation:
    """The same with noise of its own, in the same state."""
    if isinstance(representation, GridRepresentation) and representation.noise is not None:
        return replace(representation, noise=deepcopy(representation.noise))
    return representation
