"""Modules that a test writes where they can be imported, and forgets after it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disentanglement.specs import sources


class PluginFiles:
    """Files in a folder that modules are imported from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str) -> Path:
        """A file below the folder."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)
        return self.folder / path


@contextmanager
def plugin_files(folder: Path) -> Iterator[PluginFiles]:
    """What is imported meanwhile is forgotten afterwards."""
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(sources, "_imported", {})
        yield PluginFiles(folder)
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
