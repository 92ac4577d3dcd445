"""`disentangle store`: verify what is stored, remove what nobody names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from disentanglement.cli.console import print_json, say, size
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.options import JsonOption, StoreOption
from disentanglement.cli.settings import Place

app = typer.Typer(no_args_is_help=True, help="Verify the store, and tidy it.")


@app.command()
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Withdraw damaged steps and evict damaged codes: both are made again")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every object that a manifest names, and compare size and digest. Changes
    nothing without --repair.

    Exit code 5 where something is damaged and was not repaired. A withdrawn step runs
    again with the next run of its study; a damaged data set has to be imported again.
    """
    from disentanglement.cli.progress_bar import bar
    from disentanglement.storage import checking

    opened = Place.of(store).open()
    with bar("verifying digests") as update:
        report = checking.check_store(
            opened, progress=lambda done, total: update(done / total, f"{done:,} of {total:,} manifests")
        )
    removed = [str(key) for key in checking.repair(opened, report)] if repair else []
    findings = [{"key": str(finding.key), "problem": finding.problem} for finding in report.findings]
    if as_json:
        print_json({"manifests": report.manifests, "files": report.files, "findings": findings, "removed": removed})
    else:
        for finding in findings:
            say(f"{finding['key']}: {finding['problem']}", style="red")
        for key in removed:
            say(f"{key}: removed, will be made again")
        typer.echo(f"{report.manifests} manifests, {report.files} files, {len(findings)} damaged{_repaired(removed)}")
    if len(findings) > len(removed):
        raise typer.Exit(ExitCode.CORRUPT)


def _repaired(removed: list[str]) -> str:
    return f", {len(removed)} of them removed to be made again" if removed else ""


@app.command()
def collect(
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this, only say what would go")] = False,
    older_than_days: Annotated[
        float,
        typer.Option(
            "--older-than-days",
            min=0.0,
            help="Attempts and uploads younger than this stay (one hour at least: they may be in use)",
        ),
    ] = 7.0,
    codes_older_than_days: Annotated[
        float | None, typer.Option("--codes-older-than-days", min=0.0, help="Also evict codes older than this")
    ] = None,
    codes_larger_than_gib: Annotated[
        float | None, typer.Option("--codes-larger-than-gib", min=0.0, help="Also evict the oldest codes beyond this")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what no manifest names any more; with --delete remove it.

    Codes are derived data: evicted ones are extracted again when somebody needs them.

    Examples:

      disentangle store collect

      disentangle store collect --delete --codes-larger-than-gib 100
    """
    from disentanglement.cli.progress_bar import bar
    from disentanglement.storage import collector

    opened, now = Place.of(store).open(), datetime.now(UTC)
    with bar("looking for what nobody names"):
        found = [collector.collect(opened, now, older_than=timedelta(days=older_than_days), dry_run=not delete)]
        if codes_older_than_days is not None or codes_larger_than_gib is not None:
            age = None if codes_older_than_days is None else timedelta(days=codes_older_than_days)
            limit = None if codes_larger_than_gib is None else int(codes_larger_than_gib * 2**30)
            found.append(collector.collect_codes(opened, now, older_than=age, larger_than=limit, dry_run=not delete))
    names = [str(info.key) for part in found for info in part.objects]
    names += [leftover.name for part in found for leftover in part.leftovers]
    freed = sum(part.freed_bytes for part in found)
    if as_json:
        print_json({"deleted": delete, "objects": names, "bytes": freed})
        return
    for name in names:
        typer.echo(name)
    say(f"{len(names)} objects, {size(freed)} {'removed' if delete else 'would be removed; --delete removes them'}")


@app.command()
def create_bucket(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Make the bucket that DISENTANGLEMENT_STORE or --store names, unless it is there.

    Needs credentials that may make buckets; the services need none such.

    Example:

      disentangle store create-bucket --store 's3://bucket?endpoint=http://127.0.0.1:9000'
    """
    from disentanglement.storage.settings import create_bucket

    where = Place.of(store).store_url
    is_new = create_bucket(where)
    if as_json:
        print_json({"store": where, "created": is_new})
    else:
        typer.echo(f"{where}: {'made' if is_new else 'was there'}")
