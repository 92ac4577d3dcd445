"""The last lines that an attempt at a step wrote, beside its other files."""

from __future__ import annotations

import logging
from datetime import datetime

from disentanglement.errors import ArtifactNotFound, DisentanglementError
from disentanglement.specs import Step, StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.commit import Attempt, find_manifest
from disentanglement.storage.keys import ArtifactKey
from disentanglement.storage.store import Store

logger = logging.getLogger(__name__)

LOG = "log.txt"
KEPT_BYTES = 64 << 10


def put_log(attempt: Attempt, data: bytes) -> None:
    """Writes the last `KEPT_BYTES` of a log; a log that can't be written harms no step."""
    try:
        attempt.put(LOG, data[-KEPT_BYTES:])
    except DisentanglementError as error:
        logger.warning("log not kept", extra={"attempt": attempt.name, "cause": str(error)})


def find_log(store: Store, step: Step, step_key: StepKey) -> bytes | None:
    """The log of the attempt that was committed, else of the newest one; None where none was kept."""
    manifest = find_manifest(store, step, step_key)
    keys = [manifest.file_key(LOG)] if manifest and LOG in manifest.files else _written(store, step, step_key)
    for key in keys:
        try:
            return store.get(key)
        except ArtifactNotFound:  # collected since it was listed
            continue
    return None


def _written(store: Store, step: Step, step_key: StepKey) -> list[ArtifactKey]:
    found: list[tuple[datetime, ArtifactKey]] = []
    for info in store.list(prefixes.attempts(step, step_key)):
        if isinstance(info.key, ArtifactKey) and info.key.name == LOG:
            found.append((info.modified, info.key))
    return [key for _, key in sorted(found, key=lambda entry: entry[0], reverse=True)]
