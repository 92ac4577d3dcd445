"""`disentangle data`: which data sets there are, and how they come into the store."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from disentanglement.cli.console import print_json, say, size
from disentanglement.cli.options import JsonOption, StoreOption
from disentanglement.cli.settings import Place

app = typer.Typer(no_args_is_help=True, help="List, render and import data sets.")


class FileOrigin(StrEnum):
    """Where a file may come from."""

    RELEASED = "released"
    RENDERED = "rendered"


DataSet = Annotated[str, typer.Argument(metavar="NAME", help="A name of `disentangle data list`")]


@app.command("list")
def list_data(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the data sets of this release, and which the store holds."""
    from disentanglement.cli import data_sets
    from disentanglement.cli.tables import print_records

    rows = data_sets.rows(Place.of(store).open())
    if not as_json:
        rows = [
            {**row, "digest": (row["digest"] or "")[:12], "default": "yes" if row["default"] else ""} for row in rows
        ]
    print_records(rows, as_json=as_json, nothing="")


@app.command()
def info(
    name: DataSet,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Write a PNG: a line for each latent factor, from its first value to its last"),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the card of an imported data set: origin, digest, factors and their values,
    licence, citation.

    Example: disentangle data info shapes3d --picture shapes3d.png
    """
    from disentanglement.cli import data_sets

    opened = Place.of(store).open()
    card = data_sets.card_in_store(opened, name)
    if picture is not None:
        picture.write_bytes(data_sets.picture_of(opened, card))
        say(f"{picture}: {', '.join(card.factor_space.latent_names)} from above")
    if as_json:
        print_json(card.model_dump(mode="json"))
        return
    height, width, channels = card.observation_shape
    comparable = "" if card.is_comparable else " (scores are not comparable with published ones)"
    typer.echo(f"{card.name}: {card.num_images:,} images, {height} x {width} x {channels}, {size(card.images_bytes)}")
    typer.echo(f"origin    {card.origin}{comparable}; {card.origin_note}")
    typer.echo(f"digest    {card.digest}")
    for factor in card.factors:
        noise = "" if factor.is_latent else " (observed noise)"
        values = ", ".join(f"{value:.3g}" for value in factor.values[:8]) + (", ..." if len(factor.values) > 8 else "")
        typer.echo(f"factor    {factor.name}: {factor.size} values{noise} {values}".rstrip())
    for title, text in (("source", card.source), ("licence", card.licence), ("cite", card.citation)):
        if text:
            typer.echo(f"{title:10}{text}")


@app.command("import")
def import_data(
    name: DataSet,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="The released file or folder; without it, the data are rendered here if they can be"
        ),
    ] = None,
    origin: Annotated[
        FileOrigin | None,
        typer.Option("--origin", help="Where FILE comes from, if it can't be told from it", show_default=False),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a data set into the store, once: from the released file, or rendered here
    where there is none.

    Its card says `released` or `rendered`, and its digest is part of every spec:
    the two never mix.

    Examples:

      disentangle data import dsprites_full dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz

      disentangle data import dsprites_full
    """
    from disentanglement.cli import data_sets
    from disentanglement.cli.progress_bar import bar
    from disentanglement.datasets.card import Origin

    opened = Place.of(store).open()
    with bar(f"{'reading' if file else 'making'} {name}") as update:
        said = None if origin is None else Origin(origin)
        card, is_new = data_sets.obtain(opened, name, released=file, report=update, said=said)
    if as_json:
        print_json({"data_set": name, "origin": str(card.origin), "digest": card.digest, "is_new": is_new})
        return
    say(f"{name}: {card.origin}, {'imported' if is_new else 'in the store already'}, digest {card.digest}")


@app.command()
def render(
    name: DataSet,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npz file to write")],
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file")] = False,
) -> None:
    """Render a data set into a file with the arrays of the released one (to use it
    here, `data import` is enough).

    Example: disentangle data render dsprites_full -o dsprites.npz
    """
    from disentanglement.cli import data_sets
    from disentanglement.cli.progress_bar import bar
    from disentanglement.datasets.dsprites_file import write_released
    from disentanglement.errors import SpecError

    if name != "dsprites_full":
        raise SpecError.of("NAME", "dsprites_full, the only one whose released file has a known form here", name)
    if output.exists() and not force:
        raise SpecError.of("--output", "a new file, or --force", f"{output}, which exists")
    with tempfile.TemporaryDirectory(prefix="disentanglement-") as directory:
        with bar(f"rendering {name}") as update:
            images = data_sets.fill(name, Path(directory) / "images.npy", released=None, report=update)
        with bar(f"writing {output}") as update:
            partial = output.with_name(f"{output.name}.part")
            write_released(
                partial,
                images.view("uint8"),
                lambda done, total: update(done / total, f"{done:,} of {total:,} images"),
            )
            partial.replace(output)
    say(f"{output}: {size(output.stat().st_size)}")
