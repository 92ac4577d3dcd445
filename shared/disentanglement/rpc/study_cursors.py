"""Places in the stream of a study's events. They are counted by the process that drives it: after a restart an old
place means the present."""

from __future__ import annotations

import hashlib
import re
import secrets

from disentanglement.errors import SpecError

PATTERN = re.compile(r"(?P<study>[0-9a-f]{16})-(?P<epoch>[0-9a-f]{8})-(?P<position>[0-9]{1,12}|last)", re.ASCII)


class StudyCursors:
    """Cursors of this process."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)

    def write(self, name: str, position: int) -> str:
        """After so many events of a study."""
        return f"{_digest(name)}-{self._epoch}-{position}"

    def last(self, name: str) -> str:
        """After everything, of a study that is not driven."""
        return f"{_digest(name)}-{self._epoch}-last"

    def read(self, name: str, cursor: str) -> int | None:
        """How many events were seen; None for the present.

        Raises:
            SpecError: a cursor of another study, or none at all.
        """
        if not cursor:
            return None
        match = PATTERN.fullmatch(cursor)
        if match is None or match["study"] != _digest(name):
            raise SpecError.of("cursor", f"a cursor of {name}", repr(cursor[:80]))
        if match["epoch"] != self._epoch or match["position"] == "last":
            return None
        return int(match["position"])


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]
