"""The command `disentangle`."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the command; exits with a documented code (`exit_codes.py`)."""
    from disentanglement.cli.app import app

    sys.path.append("")  # a plugin may be a file in the working directory; last, so that it hides nothing
    app(prog_name="disentangle")
