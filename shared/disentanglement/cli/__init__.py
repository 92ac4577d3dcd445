"""The command `disentangle`."""

from __future__ import annotations


def main() -> None:
    """Entry point of the command; exits with a documented code (`exit_codes.py`)."""
    from disentanglement.cli.app import app

    app(prog_name="disentangle")
