"""A file that arrives in chunks: kept only if its size and digest are right."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

from disentanglement.errors import CorruptArtifact
from disentanglement.v1 import aggregator_service_pb2 as pb


class Download:
    """Writes beside the target and moves into place at the end; `to` may be a folder."""

    def __init__(self, file: str, to: Path) -> None:
        self.path = to / Path(file).name if to.is_dir() else to
        self._partial = self.path.with_name(f"{self.path.name}.part")
        self._sha256, self._size = hashlib.sha256(), 0
        self._wanted = pb.DownloadArtifactResponse().file

    def __enter__(self) -> Self:
        self._stream = self._partial.open("wb")
        return self

    def add(self, message: pb.DownloadArtifactResponse) -> None:
        """The description of the file, or its next bytes."""
        if message.WhichOneof("content") == "file":
            self._wanted = message.file
            return
        self._stream.write(message.chunk)
        self._sha256.update(message.chunk)
        self._size += len(message.chunk)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()
        found = (self._size, self._sha256.hexdigest())
        if error is None and found == (self._wanted.size_bytes, self._wanted.sha256):
            self._partial.replace(self.path)
            return
        self._partial.unlink(missing_ok=True)
        if error is None:
            raise CorruptArtifact(f"{self.path.name}: what arrived is not the file that was described")
