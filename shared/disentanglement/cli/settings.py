"""Where the command finds the store, the cache and its own state."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from disentanglement.errors import SpecError

if TYPE_CHECKING:
    from disentanglement.storage.store import Store

STATE_VARIABLE = "DISENTANGLEMENT_STATE"


@dataclass(frozen=True, slots=True)
class Place:
    """The store's address, made absolute where it is a path, so that worker processes may be started anywhere."""

    store_url: str
    project: str

    @classmethod
    def of(cls, store: str | None, project: str = "default", env: Mapping[str, str] | None = None) -> Self:
        """The store given on the command line, else the environment's, else the default one."""
        from disentanglement.storage.settings import default_store

        url = store or default_store(os.environ if env is None else env)
        return cls(url if "://" in url else str(Path(url).expanduser().absolute()), project)

    def open(self) -> Store:
        """The store itself."""
        from disentanglement.storage.settings import open_store

        return open_store(self.store_url)

    def environment(self, *, device: str = "cpu") -> dict[str, str]:
        """The environment of a worker process of this command: it runs whatever code can be imported here."""
        from disentanglement.specs.plugins import ANYTHING, VARIABLE

        where = {"DISENTANGLEMENT_STORE": self.store_url, "DISENTANGLEMENT_DEVICE": device}
        return {**os.environ, **where, VARIABLE: ANYTHING}


def state_directory(env: Mapping[str, str] | None = None) -> Path:
    """Where process ids and logs of local services are: DISENTANGLEMENT_STATE, else ./.disentangle."""
    env = os.environ if env is None else env
    return Path(env.get(STATE_VARIABLE) or ".disentangle").expanduser().absolute()


def device_name(text: str) -> str:
    """`0` is `cuda:0`; `cpu`, `mps`, `cuda` and `cuda:1` stand for themselves.

    Raises:
        SpecError: anything else.
    """
    if text.isdecimal():
        return f"cuda:{text}"
    kind, _, number = text.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise SpecError.of("device", "cpu, mps, cuda, cuda:N or the number of a GPU", repr(text))
    return text
