"""Bindings as the reference's configuration writes them: Python literals, and `@` before functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Bindings = dict[str, Any]
"""By the names of the reference's configurables."""


class Reference(str):
    """A name that the reference writes without quotes, e.g. `@conv_encoder`."""


def rendered(bindings: Mapping[str, Any]) -> dict[str, str]:
    """Strings quoted, references and numbers as they are."""
    return {name: value if isinstance(value, Reference) else repr(value) for name, value in bindings.items()}
