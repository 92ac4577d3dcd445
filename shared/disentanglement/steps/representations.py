"""What the commit of a representation says of its model and its codes. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from disentanglement.specs import StepKey, TrainSpec, parse_spec
from disentanglement.storage.codes import find_codes
from disentanglement.storage.commit import committed
from disentanglement.storage.keys import CodesManifestKey
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Store
from disentanglement.studies.pending import WorkItem


@dataclass(frozen=True, slots=True)
class ExtractedCodes:
    """The digest of a model's codes, and how they were computed where this step did it."""

    digest: str
    computation: Mapping[str, object] = field(default_factory=dict)


def train_spec_of(extracted: Manifest) -> TrainSpec:
    """The spec of the model that a committed representation was read off."""
    return parse_spec(TrainSpec, extracted.provenance["train_spec"])


def codes_of(extracted: Manifest) -> CodesManifestKey:
    """Where the codes of a committed representation belong."""
    return CodesManifestKey(StepKey.parse(extracted.upstream[0]), train_spec_of(extracted).dataset.digest)


def codes_are_present(store: Store, extracted: Manifest) -> bool:
    """Whether the codes are in the store now; they may be evicted at any time."""
    return find_codes(store, codes_of(extracted)) is not None


def is_complete(store: Store, item: WorkItem) -> bool:
    """Whether there is nothing to do for a step: it is committed and, for a representation, its codes are there."""
    if item.step != "postprocess":
        return committed(store, item.step, item.key) is not None
    extracted = committed(store, "postprocess", item.key)
    return extracted is not None and codes_are_present(store, extracted)
