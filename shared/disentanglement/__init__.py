"""Disentangle: train many small VAEs, extract their representations, score and compare them.

`train` and `load` give models that encode and decode (extra `train`), `score` takes arrays, and `Client` talks to the
services (extra `client`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from disentanglement.metrics.scoring import score_arrays as score
    from disentanglement.rpc.async_client import AsyncClient
    from disentanglement.rpc.client import Client
    from disentanglement.steps.interactive import load, train

__all__ = ["AsyncClient", "Client", "load", "score", "train"]

_WHERE = {
    "AsyncClient": ("disentanglement.rpc.async_client", "AsyncClient"),
    "Client": ("disentanglement.rpc.client", "Client"),
    "load": ("disentanglement.steps.interactive", "load"),
    "score": ("disentanglement.metrics.scoring", "score_arrays"),
    "train": ("disentanglement.steps.interactive", "train"),
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are used: scoring needs neither torch nor gRPC."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
