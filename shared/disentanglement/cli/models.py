"""`disentangle models`: what is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from disentanglement.cli.console import print_json, size
from disentanglement.cli.options import DEFAULT_PROJECT, JsonOption, ProjectOption, StoreOption
from disentanglement.cli.settings import Place

if TYPE_CHECKING:
    from disentanglement.specs import StepKey
    from disentanglement.storage.store import Store

app = typer.Typer(no_args_is_help=True, help="List, show and export trained models.")


@app.command("list")
def list_models(
    cell: Annotated[
        str, typer.Option("--cell", help="Only this <data set>.<method>, e.g. dsprites_full.beta_vae")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many")] = 50,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """List trained models. Any beginning of a key that is unique can be used as REF.

    Example: disentangle models list --cell dsprites_full.beta_vae
    """
    from disentanglement.cli.console import say
    from disentanglement.cli.tables import print_records
    from disentanglement.storage.commit import list_committed

    opened = Place.of(store, project).open()
    keys = sorted(list_committed(opened, "train", cell))
    names = _names(opened, project)
    rows = [_row(opened, key, names, whole=as_json) for key in keys[:limit]]
    print_records(rows, as_json=as_json, nothing="no model is trained yet: disentangle train --help")
    if len(keys) > limit:
        say(f"{limit} of {len(keys)} models; see more with --limit or --cell")


@app.command()
def show(
    reference: Annotated[str, typer.Argument(metavar="REF", help="A key's beginning, STUDY:42, or a --name")],
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    as_json: JsonOption = False,
) -> None:
    """Show one model: its spec, results, files and where it was trained.

    Example: disentangle models show demo:2
    """
    from disentanglement.errors import StepNotCommitted
    from disentanglement.storage.commit import committed
    from disentanglement.studies.references import resolve

    opened = Place.of(store, project).open()
    key = resolve(opened, project, reference, "train")
    manifest = committed(opened, "train", key)
    if manifest is None:
        raise StepNotCommitted(f"the model {key} is not trained yet")
    if as_json:
        print_json(manifest.model_dump(mode="json"))
        return
    typer.echo(f"{key}")
    _section("spec", manifest.spec)
    _section("results", manifest.scores())
    _section("provenance", manifest.provenance)
    _section("files", {name: size(record.size) for name, record in manifest.files.items()})


def _row(store: Store, key: StepKey, names: dict[str, str], *, whole: bool) -> dict[str, Any]:
    from disentanglement.specs import TrainSpec, parse_spec
    from disentanglement.storage.keys import ManifestKey
    from disentanglement.storage.manifests import Manifest

    manifest_key = ManifestKey("train", key)
    manifest = Manifest.from_bytes(manifest_key, store.get(manifest_key))
    spec = parse_spec(TrainSpec, manifest.spec)
    _, objective = spec.objective.selected
    parameters = {name: value for name, value in objective if isinstance(value, int | float | str)}
    return {
        "key": str(key) if whole else f"{key.cell}.{key.digest[:8]}",
        "name": names.get(str(key), ""),
        "parameters": parameters if whole else " ".join(f"{name}={value:g}" for name, value in parameters.items()),
        "seed": spec.random_seed,
        "steps": spec.training_steps,
        "loss": manifest.scores().get("loss"),
        "device": manifest.provenance.get("device"),
        "wall_time_s": manifest.provenance.get("wall_time_s"),
    }


def _names(store: Store, project: str) -> dict[str, str]:
    from disentanglement.storage import prefixes
    from disentanglement.storage.keys import NameKey
    from disentanglement.studies.references import NameRecord

    keys = [info.key for info in store.list(prefixes.names(project)) if isinstance(info.key, NameKey)]
    return {NameRecord.from_bytes(key, store.get(key)).step_key: key.name for key in keys}


def _section(title: str, values: Any) -> None:
    from disentanglement.results.tables import flat

    typer.echo(f"\n{title}")
    for path, value in flat(values):
        typer.echo(f"  {path:32} {value}")
