"""The evaluate step: one metric of one representation, from stored codes. Needs no torch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from disentanglement.errors import Interrupted, StepNotCommitted
from disentanglement.metrics.catalog import evaluate_metric, find_metric
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress as Share
from disentanglement.metrics.sampling.points import GridRepresentation, Samples, SharedRepresentation
from disentanglement.metrics.scoring import scores_of_arrays
from disentanglement.metrics.uncertainty import with_standard_errors
from disentanglement.specs import (
    EvaluateSpec,
    PostprocessSpec,
    RepresentationSpec,
    StepKey,
    TrainSpec,
    canonical_json,
    parse_spec,
)
from disentanglement.specs.plugins import check_runnable
from disentanglement.steps.context import StepContext
from disentanglement.steps.messages import StepResult
from disentanglement.steps.once import Computed, compute_once
from disentanglement.steps.progress import Progress
from disentanglement.steps.uploads import CELL as UPLOADED
from disentanglement.steps.uploads import open_arrays
from disentanglement.storage.cache import Cache
from disentanglement.storage.codes import StoredCodes, open_codes
from disentanglement.storage.commit import committed
from disentanglement.storage.data_sets import open_factors
from disentanglement.storage.keys import CodesManifestKey
from disentanglement.storage.manifests import Manifest

THOUSANDTHS = 1000


def evaluate(spec: EvaluateSpec, representation_key: StepKey, context: StepContext) -> StepResult:
    """Scores a representation, or arrays that somebody sent, unless the score is committed.

    Raises:
        StepNotCommitted: the representation is not extracted yet.
        CodesMissing: its codes were evicted.
        NotBuiltYet: a metric that this release does not compute.
        MetricUndefined: the metric has no value on these codes.
        SpecError: a plugin that is missing, was edited since it was submitted, or may not run here.
        Interrupted: asked to stop.
    """
    find_metric(spec.metric)
    extracted = committed(context.store, "postprocess", representation_key)
    if extracted is None:
        raise StepNotCommitted(f"the representation {representation_key} is not extracted yet")
    return compute_once(spec, [representation_key], context, lambda _: _computed(spec, extracted, context))


def _computed(spec: EvaluateSpec, extracted: Manifest, context: StepContext) -> Computed:
    check_runnable([spec], context.trusted)
    if extracted.key.step_key.cell == UPLOADED:
        return Computed(results=_score_uploaded(spec, extracted.key.step_key, context))
    scores, codes = _score_model(spec, extracted, context)
    handed_on = {name: extracted.provenance.get(name) for name in ("data", "train_spec")}
    provenance = {**handed_on, "postprocess_spec": extracted.spec, "codes": codes.content_digest}
    return Computed(results=scores, provenance=provenance)


def _score_uploaded(spec: EvaluateSpec, key: StepKey, context: StepContext) -> dict[str, float]:
    arrays = open_arrays(context.store, key)
    own = OwnArrays.read(arrays["codes"], arrays["factors"], arrays.get("test_codes"), arrays.get("test_factors"))
    seed, report = spec.random_seed, _reporter(spec, context)
    return scores_of_arrays(spec.metric, own, seed, standard_error=spec.standard_error, progress=report)


def _score_model(spec: EvaluateSpec, extracted: Manifest, context: StepContext) -> tuple[dict[str, float], StoredCodes]:
    train_key = StepKey.parse(extracted.upstream[0])
    trained = parse_spec(TrainSpec, extracted.provenance["train_spec"])
    dataset = trained.dataset
    codes = open_codes(context.store, Cache(context.cache), CodesManifestKey(train_key, dataset.digest))
    factors = open_factors(context.store, dataset.name, dataset.digest)
    chosen = parse_spec(PostprocessSpec, extracted.spec).representation
    samples = _samples_of(canonical_json(chosen.model_dump(mode="json")), codes.content_digest, dataset.digest)

    def representation() -> SharedRepresentation:
        """With the noise as it is at the start."""
        return SharedRepresentation(GridRepresentation(factors, *_tables(chosen, codes, spec.random_seed)), samples)

    result = evaluate_metric(spec.metric, representation(), spec.random_seed, progress=_reporter(spec, context))
    if not spec.standard_error:
        return result.scores(), codes
    return with_standard_errors(spec.metric, result, representation(), spec.random_seed), codes


@lru_cache(maxsize=1)
def _samples_of(representation: str, codes_digest: str, data_digest: str) -> Samples:
    """What this process has drawn of a representation, for the next metric of the same one."""
    return Samples()


def _tables(
    representation: RepresentationSpec, codes: StoredCodes, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, np.random.Generator | None]:
    """Mean alone, or with log-variance and the noise of `sampled`: a function of both steps' seeds."""
    if representation.sampled is None:
        return codes.mean, None, None
    noise = np.random.default_rng([representation.sampled.random_seed, seed])
    return codes.mean, codes.logvar, noise


def _reporter(spec: EvaluateSpec, context: StepContext) -> Share:
    def report(share: float) -> None:
        context.report(Progress(int(share * THOUSANDTHS), THOUSANDTHS, "", spec.metric.label))
        if context.should_stop():
            raise Interrupted(f"stopped while computing {spec.metric.label}: run it again")

    return report
