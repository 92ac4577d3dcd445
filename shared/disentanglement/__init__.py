"""Disentangle: train many small VAEs, extract their representations, score and compare them.

`train` and `load` give models that encode and decode (extra `train`), `score` takes arrays or an encoder, and `Client`
talks to the services (extra `client`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from disentanglement.rpc.async_client import AsyncClient
    from disentanglement.rpc.client import Client
    from disentanglement.steps.interactive import load, train
    from disentanglement.steps.scoring import score

__all__ = ["AsyncClient", "Client", "load", "score", "train"]

_WHERE = {
    "AsyncClient": ("disentanglement.rpc.async_client", "AsyncClient"),
    "Client": ("disentanglement.rpc.client", "Client"),
    "load": ("disentanglement.steps.interactive", "load"),
    "score": ("disentanglement.steps.scoring", "score"),
    "train": ("disentanglement.steps.interactive", "train"),
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are used: scoring needs neither torch nor gRPC."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
