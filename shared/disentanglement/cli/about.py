"""`disentangle schema` and `disentangle version`."""

from __future__ import annotations

import sys

import typer

from disentanglement.cli.console import print_json
from disentanglement.cli.options import JsonOption

schema_app = typer.Typer(no_args_is_help=True, help="Print JSON Schemas, with which editors complete and check files.")


@schema_app.callback()
def schema() -> None:
    """Print JSON Schemas, with which editors complete and check files."""


@schema_app.command("study")
def study_schema() -> None:
    """Print the JSON Schema of study files.

    Put this line at the top of a study file, and editors with a YAML language server complete it:

    # yaml-language-server: $schema=study.schema.json

    Example: disentangle schema study > study.schema.json
    """
    from disentanglement.specs.schema import study_schema_text

    sys.stdout.write(study_schema_text())


@schema_app.command("crd")
def crd_schema() -> None:
    """Print the CustomResourceDefinition of Study, which Kubernetes checks and explains Studies with.

    Example: disentangle schema crd | kubectl apply -f -
    """
    from disentanglement.cluster.crd import definition_text

    sys.stdout.write(definition_text())


def version(as_json: JsonOption = False) -> None:
    """Print the versions of this package and of what it computes with."""
    found = versions()
    if as_json:
        print_json(found)
        return
    for name, number in found.items():
        sys.stdout.write(f"{name} {number or 'not installed'}\n")


def versions() -> dict[str, str | None]:
    """Versions by distribution; None for what is not installed."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    found: dict[str, str | None] = {}
    for name in ("disentanglement", "numpy", "scipy", "scikit-learn", "pandas", "torch", "grpcio"):
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            found[name] = None
    return {**found, "python": platform.python_version()}
