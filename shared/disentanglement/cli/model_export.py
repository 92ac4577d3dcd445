"""`disentangle models export` and `tensorboard`: trained models for use elsewhere, and the course of their training."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from disentanglement.cli.console import print_json, say, size
from disentanglement.cli.options import (
    DEFAULT_PROJECT,
    JsonOption,
    ProjectOption,
    ServerOption,
    StoreOption,
    TlsCaOption,
    TokenOption,
)
from disentanglement.cli.remote_study import Server
from disentanglement.cli.settings import Place
from disentanglement.errors import SpecError

if TYPE_CHECKING:
    from disentanglement.specs import StepKey
    from disentanglement.storage.store import Store

Reference = Annotated[str, typer.Argument(metavar="REF", help="A model: STUDY:42, a key's beginning, or a --name")]
Folder = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write; made where it is missing")]


def export(
    reference: Reference,
    out: Folder,
    formats: Annotated[
        str, typer.Option("--format", "-f", help="Comma-separated: safetensors, torch, onnx, tensorboard")
    ] = "safetensors",
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a trained model for use without this package, with a model card that says
    what it is and how to use it.

    safetensors: the weights and load_model.py, which builds the networks in plain
    torch.nn and needs torch and safetensors alone.

    torch: torch.export programs, encoder.pt2 and decoder.pt2.

    onnx: encoder.onnx and decoder.onnx, for any number of images.

    tensorboard: the training's curves; see also `disentangle models tensorboard`.

    The encoder takes images in [0, 1], channels last, and returns mean and
    log-variance; the decoder returns raw outputs: the card says how pixels follow.

    onnx and tensorboard need: pip install 'disentanglement\\[export]'

    Examples:

      disentangle models export my_study:42 --out beta_vae

      disentangle models export my_study:42 --format torch,onnx,tensorboard --out beta_vae
    """
    from disentanglement.specs.plugins import EVERYTHING, Trusted

    write = _exporting().export
    wanted = [word.strip() for word in formats.split(",") if word.strip()]
    if server is None:
        opened, key = _find(store, project, reference)
        paths = write(opened, key, out, wanted, trusted=EVERYTHING)
    else:
        with tempfile.TemporaryDirectory() as folder:
            opened, key = _fetch(Server(server, token, project, tls_ca), reference, Path(folder))
            paths = write(opened, key, out, wanted, trusted=Trusted.from_env(os.environ))
    if as_json:
        print_json({"key": str(key), "files": [str(path) for path in paths]})
        return
    for path in paths:
        say(f"{path}  {size(path.stat().st_size)}")
    typer.echo(str(out))


def tensorboard(
    reference: Reference,
    out: Folder,
    follow: Annotated[
        bool, typer.Option("--follow", help="Also while it trains: go on with each checkpoint, until it is committed")
    ] = False,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
) -> None:
    """Write the course of a training as TensorBoard's event files: loss terms, KL per
    latent, images a second. Needs: pip install 'disentanglement\\[export]'

    Examples:

      disentangle models tensorboard my_study:42 --out runs/42 && tensorboard --logdir runs

      disentangle models tensorboard my_study:42 --out runs/42 --follow
    """
    exporting = _exporting()
    opened, key = _find(store, project, reference)
    if follow:
        exporting.follow(opened, key, out, told=lambda step: say(f"step {step:,}"))
    else:
        exporting.event_files(opened, exporting.trained(opened, key), out)
    typer.echo(str(out))


def _exporting() -> ModuleType:
    try:
        from disentanglement.steps import exporting
    except ImportError as error:
        wanted = "the extra `export`: pip install 'disentanglement[export]'"
        raise SpecError.of("models export", wanted, f"an installation without {error.name}") from error
    return exporting


def _find(store: str | None, project: str, reference: str) -> tuple[Store, StepKey]:
    from disentanglement.studies.references import resolve

    opened = Place.of(store, project).open()
    return opened, resolve(opened, project, reference, "train")


def _fetch(server: Server, reference: str, folder: Path) -> tuple[Store, StepKey]:
    """A store of this one model, with what an export reads of it."""
    from disentanglement.datasets.card import DataCard
    from disentanglement.specs import StepKey
    from disentanglement.storage.data_sets import card_key
    from disentanglement.storage.directory_store import DirectoryStore
    from disentanglement.storage.keys import ManifestKey
    from disentanglement.storage.manifests import Manifest

    store = DirectoryStore(folder / "store")
    with server.client() as client:

        def download(file: str) -> bytes:
            return client.download(reference, file, folder).read_bytes()

        text = download("manifest.json")
        named = Manifest.model_validate_json(text)
        card = DataCard.from_bytes(download("data_card.json"))
        store.put(card_key(card.name, card.digest), card.to_bytes())
        for name in named.files:
            store.put(named.file_key(name), download(name))
    key = StepKey.parse(named.step_key)
    store.put(ManifestKey("train", key), text)
    return store, key
