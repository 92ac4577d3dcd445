"""Committed models for use elsewhere: files of several formats, with a card that says where the model comes from."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from disentanglement.datasets.card import DataCard
from disentanglement.errors import SpecError, StepNotCommitted
from disentanglement.models.export import FORMATS, EventFiles, export_model
from disentanglement.models.export.event_files import times_of
from disentanglement.models.model import Model
from disentanglement.specs import StepKey, TrainSpec, parse_spec
from disentanglement.specs.plugins import INSTALLED, Trusted, check_runnable
from disentanglement.steps.history import History
from disentanglement.steps.train import HISTORY, WEIGHTS
from disentanglement.storage.checkpoints import latest_checkpoint
from disentanglement.storage.commit import committed
from disentanglement.storage.data_sets import find_data_set
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Store, get_checked

TENSORBOARD = "tensorboard"
ALL_FORMATS = (*FORMATS, TENSORBOARD)
POLL_S = 5.0


def export(
    store: Store, key: StepKey, folder: str | Path, formats: Iterable[str], *, trusted: Trusted = INSTALLED
) -> list[Path]:
    """Writes a committed model into a folder, which is made where it is missing; the files.

    `formats` are some of `safetensors` (weights and a loader that needs torch and safetensors alone), `torch`
    (`torch.export` programs), `onnx` and `tensorboard` (the training's history). `model_card.json` is always written,
    last. `trusted` says whose code may run, where a plugin makes the networks.

    Raises:
        SpecError: a format that there is none of, or a plugin whose code may not run here.
        StepNotCommitted: the model is not trained yet.
        CorruptArtifact: its files are not as recorded.
        NotBuiltYet: a library of the extra `export` is missing, or a plugin's networks in a format that can't have any.
    """
    wanted = list(formats)
    if unknown := [name for name in wanted if name not in ALL_FORMATS]:
        raise SpecError.of("format", f"some of {', '.join(ALL_FORMATS)}", ", ".join(unknown))
    manifest = trained(store, key)
    card = data_card(store, manifest)
    spec = parse_spec(TrainSpec, manifest.spec)
    check_runnable([spec.architecture, spec.reconstruction], trusted)
    model = Model.from_bytes(spec, _file(store, manifest, WEIGHTS), image_shape=card.observation_shape)
    of_the_model = [name for name in wanted if name in FORMATS]
    events = event_files(store, manifest, folder) if TENSORBOARD in wanted else []
    return [*events, *export_model(model, folder, of_the_model, about=about(manifest, card))]


def trained(store: Store, key: StepKey) -> Manifest:
    """The commit of a model. Raises `StepNotCommitted` where there is none."""
    manifest = committed(store, "train", key)
    if manifest is None:
        raise StepNotCommitted(f"the model {key} is not trained yet")
    return manifest


def about(manifest: Manifest, card: DataCard) -> dict[str, Any]:
    """What a model card says of where a model comes from."""
    data = {
        "name": card.name,
        "digest": card.digest,
        "origin": str(card.origin),
        "origin_note": card.origin_note,
        "is_comparable": card.is_comparable,
        "source": card.source,
        "licence": card.licence,
        "citation": card.citation,
    }
    return {
        "step_key": manifest.step_key,
        "content_digest": manifest.content_digest,
        "weights_sha256": manifest.files[WEIGHTS].sha256,
        "contract": manifest.contract,
        "data": {name: value for name, value in data.items() if value != ""},
        "results": manifest.results,
        "non_finite": manifest.non_finite,
        "provenance": manifest.provenance,
    }


def data_card(store: Store, manifest: Manifest) -> DataCard:
    """That of the data set that a model was trained on. Raises `SpecError` where the store has lost it."""
    dataset = parse_spec(TrainSpec, manifest.spec).dataset
    card = find_data_set(store, dataset.name, dataset.digest)
    if card is None:
        raise SpecError.of("dataset.digest", f"the digest of a {dataset.name} that the store holds", dataset.digest)
    return card


def event_files(store: Store, manifest: Manifest, folder: str | Path) -> list[Path]:
    """Writes the history of a committed training as TensorBoard's event files; the files.

    Raises:
        NotBuiltYet: the extra `export` is not installed.
    """
    rows = history_rows(store, manifest.key.step_key, manifest)
    started = datetime.fromisoformat(str(manifest.provenance["started_at"]))
    seconds = float(str(manifest.provenance["wall_time_s"]))
    before = set(Path(folder).glob("events.*"))
    with EventFiles(folder) as events:
        events.add(rows, times_of(rows, started_s=started.timestamp(), seconds=seconds))
    return sorted(set(Path(folder).glob("events.*")) - before)


def follow(
    store: Store,
    key: StepKey,
    folder: str | Path,
    *,
    told: Callable[[int], None] = lambda step: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Writes what a training that is under way has put down with its checkpoints, until it is committed.

    `told` hears the last step after every look.

    Raises:
        NotBuiltYet: the extra `export` is not installed.
    """
    with EventFiles(folder) as events:
        while True:
            manifest = committed(store, "train", key)
            rows = history_rows(store, key, manifest)
            events.add(rows)
            told(int(rows[-1]["step"]) if rows else 0)
            if manifest is not None:
                return
            sleep(POLL_S)


def history_rows(store: Store, key: StepKey, manifest: Manifest | None) -> list[dict[str, Any]]:
    """The history of a training: of its commit, or as far as the last checkpoint has it."""
    if manifest is not None:
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(_file(store, manifest, HISTORY))).to_pylist()
        return rows
    checkpoint = latest_checkpoint(store, "train", key)
    return [] if checkpoint is None else History.from_json(checkpoint.contents["history.json"]).rows


def _file(store: Store, manifest: Manifest, name: str) -> bytes:
    return get_checked(store, manifest.file_key(name), manifest.files[name].measured)
