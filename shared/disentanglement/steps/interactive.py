"""From Python, without services: train a model here and now, or load a committed one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from disentanglement.errors import StepNotCommitted
from disentanglement.models.model import Model
from disentanglement.specs import StepKey, TrainSpec, parse_spec, step_key
from disentanglement.specs.plugins import EVERYTHING
from disentanglement.steps.admission import admit_training
from disentanglement.steps.context import StepContext
from disentanglement.steps.progress import Report, silent
from disentanglement.steps.train import WEIGHTS
from disentanglement.steps.train import train as train_step
from disentanglement.storage.cache import Cache
from disentanglement.storage.commit import committed
from disentanglement.storage.data_sets import open_data_set
from disentanglement.storage.settings import cache_directory, default_store, open_store
from disentanglement.storage.store import Store, get_checked
from disentanglement.studies.references import resolve

DEFAULT_PROJECT = "default"


def train(
    spec: TrainSpec | Mapping[str, object],
    *,
    store: str | Path | None = None,
    device: str = "cpu",
    report: Report = silent,
) -> Model:
    """Trains the model of a spec, or finds it committed; a run that was stopped goes on.

    `spec` may be a plain dictionary as in YAML. `store` is a path or `s3://` URL, by default DISENTANGLEMENT_STORE.

    Raises:
        SpecError: the spec is wrong, or its data set is not in the store.
        NonFiniteLoss: the loss went wrong, and at which step.
    """
    parsed = spec if isinstance(spec, TrainSpec) else parse_spec(TrainSpec, spec)
    context = _context(store, device, report)
    complete = admit_training(context.store, parsed, trusted=context.trusted)
    train_step(complete, context)
    return load_model(context.store, step_key(complete), cache=context.cache, device=device)


def load(
    reference: str, *, store: str | Path | None = None, project: str = DEFAULT_PROJECT, device: str = "cpu"
) -> Model:
    """A committed model by its key or the beginning of it, `STUDY:42`, or a name given before.

    Raises:
        ArtifactNotFound: nothing is called so.
        SpecError: several models are.
    """
    context = _context(store, device, silent)
    key = resolve(context.store, project, reference, "train")
    return load_model(context.store, key, cache=context.cache, device=device)


def load_model(store: Store, key: StepKey, *, cache: Path, device: str = "cpu") -> Model:
    """A committed model by its key.

    Raises:
        StepNotCommitted: it is not trained yet.
        CorruptArtifact: its weights are not as recorded.
    """
    manifest = committed(store, "train", key)
    if manifest is None:
        raise StepNotCommitted(f"the model {key} is not trained yet")
    spec = parse_spec(TrainSpec, manifest.spec)
    data_set = open_data_set(store, Cache(cache), spec.dataset.name, spec.dataset.digest)
    height, width, channels = data_set.observation_shape
    weights = get_checked(store, manifest.file_key(WEIGHTS), manifest.files[WEIGHTS].measured)
    return Model.from_bytes(spec, weights, image_shape=(height, width, channels), device=device)


def _context(store: str | Path | None, device: str, report: Report) -> StepContext:
    where = str(store) if store is not None else default_store(os.environ)
    return StepContext(open_store(where), cache_directory(), device, report, trusted=EVERYTHING)
