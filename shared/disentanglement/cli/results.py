"""`disentangle results`: the scores of a study, shown or written to a file."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from disentanglement.cli.console import print_json, say
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

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True, help="Show or export the scores of a study.")


class Format(StrEnum):
    """File formats of an export."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    REFERENCE = "reference"


StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study, or its file")]


@app.command()
def show(
    study: StudyArgument,
    metrics: Annotated[
        str | None, typer.Option("--metrics", help="Only these, e.g. mig,dci", show_default=False)
    ] = None,
    all_keys: Annotated[bool, typer.Option("--all", help="Every key of every metric")] = False,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the scores: one row per model and representation, what varies between
    models in front.

    Example: disentangle results show my_study --metrics mig,dci
    """
    from disentanglement.cli.tables import print_scores, strict_rows

    table = load(study, store, project, server, token, tls_ca)
    if metrics is not None:
        table = table[table["metric"].isin([word.strip() for word in metrics.split(",")])]
    if as_json:
        print_json(strict_rows(table))
    elif table.empty:
        say(f"{study} has no scores yet")
    else:
        print_scores(table, all_keys=all_keys)


@app.command()
def export(
    study: StudyArgument,
    format_: Annotated[Format | None, typer.Option("--format", help="By default, what the file is called")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; by default standard output")
    ] = None,
    store: StoreOption = None,
    project: ProjectOption = DEFAULT_PROJECT,
    server: ServerOption = None,
    token: TokenOption = None,
    tls_ca: TlsCaOption = None,
) -> None:
    """Write all scores with their provenance to a file: one row per model,
    representation, metric and key.

    `reference` is the aggregated JSON of the reference, under its own keys, so that
    existing notebooks work.

    Examples:

      disentangle results export my_study -o scores.parquet

      disentangle results export my_study --format reference -o results.json
    """
    kind = format_ or _by_name(output)
    table = load(study, store, project, server, token, tls_ca) if kind is not Format.REFERENCE else None
    data = _reference(study, store, project, server, token, tls_ca) if table is None else encoded(table, kind)
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return
    _write(output, data)
    rows = "" if table is None else f"{len(table)} rows, "
    say(f"{output}: {rows}{len(data)} bytes")
    if table is not None:
        from disentanglement.cli.tables import note_origin

        note_origin(table)


def load(
    study: str, store: str | None, project: str, server: str | None, token: str | None, tls_ca: str | None = None
) -> pd.DataFrame:
    """The table of a study, from the store or from an aggregator.

    Raises:
        ArtifactNotFound: there is no such study.
    """
    from disentanglement.cli import local_study
    from disentanglement.cli.progress_bar import bar
    from disentanglement.results.tables import study_table

    name = local_study.name_of(study)
    if server is not None:
        return Server(server, token, project, tls_ca).table(name)
    found = local_study.find(Place.of(store, project), name)
    with bar("reading scores", shown=len(found.plan.models) > 500):
        return study_table(found.store, project, found.plan)


def encoded(table: pd.DataFrame, kind: Format) -> bytes:
    """The table as a file: CSV, JSON (an array of rows) or Parquet."""
    import json

    from disentanglement.cli.tables import strict_rows
    from disentanglement.results.tables import to_parquet

    match kind:
        case Format.CSV:
            return table.to_csv(index=False).encode()
        case Format.JSON:
            return (json.dumps(strict_rows(table), allow_nan=False) + "\n").encode()
        case _:
            return to_parquet(table)


def _reference(
    study: str, store: str | None, project: str, server: str | None, token: str | None, tls_ca: str | None = None
) -> bytes:
    from disentanglement.cli import local_study
    from disentanglement.cli.progress_bar import bar
    from disentanglement.results.aggregated import aggregated

    name = local_study.name_of(study)
    if server is not None:
        return Server(server, token, project, tls_ca).export(name, "reference_json")
    found = local_study.find(Place.of(store, project), name)
    with bar("reading manifests", shown=len(found.plan.models) > 50) as update:
        return aggregated(found.store, found.plan, report=lambda share: update(share, "")).encode()


def _by_name(output: Path | None) -> Format:
    suffix = "" if output is None else output.suffix.lstrip(".")
    return Format(suffix) if suffix in (Format.CSV, Format.JSON, Format.PARQUET) else Format.CSV


def _write(output: Path, data: bytes) -> None:
    from disentanglement.errors import SpecError

    try:
        output.write_bytes(data)
    except OSError as error:
        raise SpecError.of("--output", "a file that can be written", f"{output}: {error.strerror}") from error
