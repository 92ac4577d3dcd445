"""`disentangle metrics`: what can be scored."""

from __future__ import annotations

from typing import Any

import typer

from disentanglement.cli.console import print_json
from disentanglement.cli.options import JsonOption

app = typer.Typer(help="List metrics with what they need and their parameters.")


@app.callback(invoke_without_command=True)
def metrics(context: typer.Context) -> None:
    """List metrics with what they need and their parameters."""
    if context.invoked_subcommand is None:
        list_metrics()


@app.command("list")
def list_metrics(as_json: JsonOption = False) -> None:
    """List the metrics of this release: what each is computed from, its parameters and
    their defaults.

    A parameter is set with --set, e.g. --set dci.num_train=1000.
    """
    rows = described()
    if as_json:
        print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['metric']:26}{row['description']}")
        typer.echo(f"{'':26}needs {row['needs']}")
        parameters = ", ".join(
            name if value is None else f"{name}={value}" for name, value in row["parameters"].items()
        )
        typer.echo(f"{'':26}{parameters}\n")


def described() -> list[dict[str, Any]]:
    """One row per metric that is built."""
    from disentanglement.metrics.catalog import METRICS
    from disentanglement.specs import MetricSpec

    return [
        {
            "metric": word,
            "description": _first_line(spec_type(MetricSpec, word).__doc__),
            "needs": str(metric.needs),
            "parameters": {name: _default(field) for name, field in spec_type(MetricSpec, word).model_fields.items()},
        }
        for word, metric in METRICS.items()
    ]


def spec_type(kind: Any, word: str) -> Any:
    """The type of one member of a `OneOf`."""
    from typing import get_args

    return next(option for option in get_args(kind.model_fields[word].annotation) if option is not type(None))


def _default(field: Any) -> Any:
    """What a parameter is where it isn't set, as JSON; None where it has to be set."""
    if field.is_required():
        return None
    default = field.get_default(call_default_factory=True)
    return default.model_dump(mode="json", exclude_none=True) if hasattr(default, "model_dump") else default


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
