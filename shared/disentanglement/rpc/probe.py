"""Asks a server whether it serves: `python -m disentanglement.rpc.probe [HOST:PORT]`, exit code 0 or 1.

The health check of the images, and of anybody's scripts. Nothing is imported but the health client.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from disentanglement.rpc.health import is_serving

DEFAULT_ADDRESS = "127.0.0.1:8086"
"""Where images answer health checks: a port of its own, without token or TLS."""


def main(arguments: Sequence[str]) -> int:
    """0 where the server answers in time that it serves, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m disentanglement.rpc.probe", description="Ask a server whether it serves."
    )
    parser.add_argument("address", nargs="?", default=DEFAULT_ADDRESS, metavar="HOST:PORT", help=DEFAULT_ADDRESS)
    parser.add_argument("--timeout", type=float, default=3.0, metavar="SECONDS", help="for the answer (default 3)")
    options = parser.parse_args(arguments)
    return 0 if is_serving(options.address, timeout_s=options.timeout) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
