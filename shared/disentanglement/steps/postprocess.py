"""The postprocess step: a trained model's codes, shared by all of its representations, and a commit that names them."""

from __future__ import annotations

from disentanglement.errors import NotBuiltYet, StepNotCommitted
from disentanglement.specs import PostprocessSpec, StepKey, TrainSpec, parse_spec
from disentanglement.steps.context import StepContext
from disentanglement.steps.messages import StepResult
from disentanglement.steps.once import Computed, compute_once
from disentanglement.steps.representations import ExtractedCodes
from disentanglement.storage.codes import find_codes
from disentanglement.storage.commit import Attempt, committed
from disentanglement.storage.keys import CodesManifestKey
from disentanglement.storage.manifests import Manifest

BUILT = ("mean", "sampled")


def postprocess(spec: PostprocessSpec, train_key: StepKey, context: StepContext) -> StepResult:
    """Makes sure that the model's codes are in the store, extracting them if they are not, then commits.

    Raises:
        StepNotCommitted: the model is not trained yet.
        NotBuiltYet: a representation that this release does not extract.
    """
    if spec.representation.word not in BUILT:
        raise NotBuiltYet(f"representation.{spec.representation.word}")
    trained = committed(context.store, "train", train_key)
    if trained is None:
        raise StepNotCommitted(f"the model {train_key} is not trained yet")
    made = _codes(codes_key(trained), trained, context)
    return compute_once(spec, [train_key], context, lambda attempt: _computed(attempt, made, trained))


def codes_key(trained: Manifest) -> CodesManifestKey:
    """Where the codes of a trained model belong."""
    spec = parse_spec(TrainSpec, trained.spec)
    return CodesManifestKey(trained.key.step_key, spec.dataset.digest)


def _codes(key: CodesManifestKey, trained: Manifest, context: StepContext) -> ExtractedCodes:
    standing = find_codes(context.store, key)
    if standing is not None and not context.recompute:
        return ExtractedCodes(standing.content_digest)
    from disentanglement.steps.extract import extract_codes  # needs torch

    return extract_codes(key, trained, context)


def _computed(attempt: Attempt, codes: ExtractedCodes, trained: Manifest) -> Computed:
    made = {"codes": codes.digest, **({"computation": codes.computation} if codes.computation else {})}
    return Computed(tensors={"codes": codes.digest}, provenance={**made, **lineage(trained)})


def lineage(trained: Manifest) -> dict[str, object]:
    """What a later step hands on of the training: data and spec."""
    return {"data": trained.provenance.get("data"), "train_spec": trained.spec}
