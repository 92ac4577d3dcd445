"""The weights that a training starts from, where its spec names a committed model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from disentanglement.errors import SpecError
from disentanglement.models.networks.architectures import architecture
from disentanglement.models.networks.layers import ImageShape
from disentanglement.models.networks.weights import tensors_from_bytes
from disentanglement.models.training.training import Training
from disentanglement.specs import StepKey, TrainSpec
from disentanglement.steps.warm_start import FIELD, initial_model
from disentanglement.storage.commit import find_manifest
from disentanglement.storage.store import Store, get_checked

WEIGHTS = "weights.safetensors"


def initial_weights(spec: TrainSpec, store: Store, image_shape: ImageShape) -> dict[str, Tensor]:
    """The networks' weights of the model in `init_from`, by name; nothing where the training starts afresh.

    Each has the shape that this spec's networks want. What a training learns beside its networks (a discriminator, a
    supervised loss's variables) is not kept with a model, and begins as a function of the seed; so do moments, at zero,
    and steps, at 0.

    Raises:
        StepNotCommitted: that model is not trained yet, or not any more.
        CorruptArtifact: it is, but its weights are not as recorded.
        SpecError: its networks are others, naming the variable and both shapes.
    """
    if not spec.init_from:
        return {}
    manifest = initial_model(store, spec)
    weights = tensors_from_bytes(get_checked(store, manifest.file_key(WEIGHTS), manifest.files[WEIGHTS].measured))
    return of_networks(spec, image_shape, weights)


def of_networks(spec: TrainSpec, image_shape: ImageShape, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weight of every variable of the spec's networks. Raises `SpecError` where one has none of its shape."""
    variables = list(architecture(spec.architecture, image_shape).variables())
    for variable in variables:
        found = weights.get(variable.name)
        if found is None or tuple(found.shape) != variable.shape:
            have = "none" if found is None else f"one of shape {list(found.shape)}"
            wanted = f"a model with {variable.name} of shape {list(variable.shape)}, as architecture has it"
            raise SpecError.of(FIELD, wanted, f"{have} in {spec.init_from}")
    return {variable.name: weights[variable.name] for variable in variables}


def start_from(training: Training, weights: Mapping[str, Tensor]) -> None:
    """Lets a fresh training begin with these weights; where there are none, it stays as it is."""
    own = training.weights()  # shares memory with the training
    for name, tensor in weights.items():
        own[name].copy_(tensor)


def initial_provenance(spec: TrainSpec, store: Store) -> dict[str, object]:
    """What a commit says of the model that its training started from: its key, and the digest of its numbers."""
    if not spec.init_from:
        return {}
    manifest = find_manifest(store, "train", StepKey.parse(spec.init_from))
    digest = None if manifest is None else manifest.content_digest  # withdrawn since, while we went on from checkpoints
    return {"initial_model": {"step_key": spec.init_from, "content_digest": digest}}
