"""The collector: removes what no manifest names, once it is old, and codes that may go.

An attempt must be old before it goes (seven days by default): the checkpoints of a preempted attempt survive a long
queue. Ages are taken from the store's own times; the caller passes the present in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from disentanglement.errors import CorruptArtifact
from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.codes import CodesManifest, evict_codes, find_codes
from disentanglement.storage.commit import find_manifest, list_committed
from disentanglement.storage.data_sets import find_data_set, images_key, is_card
from disentanglement.storage.keys import (
    UPLOADED_CELL,
    ArtifactKey,
    CodesKey,
    CodesManifestKey,
    DatasetKey,
    Key,
    UploadKey,
)
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Leftover, ObjectInfo, Store

KEPT_FOR = timedelta(days=7)
YOUNGEST = timedelta(hours=1)
"""What is younger may be of an attempt that is about to commit, so it stays whatever was asked for."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed, or in a dry run would be."""

    objects: tuple[ObjectInfo, ...]
    leftovers: tuple[Leftover, ...] = ()

    @property
    def freed_bytes(self) -> int:
        """The size of it all."""
        return sum(info.size for info in self.objects) + sum(part.size for part in self.leftovers)


def collect(store: Store, now: datetime, *, older_than: timedelta = KEPT_FOR, dry_run: bool = True) -> Collected:
    """Remove what is older than `older_than` and trusted by nobody.

    That is: files of attempts (checkpoints too), codes and data sets that no manifest names, arrays that nobody had
    scored, probes, unfinished writes. An attempt goes as a whole: as long as one of its files is young, all stay.
    Nothing goes that is younger than an hour.
    """
    before = now - max(older_than, YOUNGEST)
    objects = (*_unnamed(store, before), *_unnamed_uploads(store, before))
    leftovers = tuple(part for part in store.leftovers() if part.modified < before)
    if not dry_run:
        for info in objects:
            store.delete(info.key)
        for part in leftovers:
            store.drop(part)
    return Collected(objects, leftovers)


def collect_codes(
    store: Store,
    now: datetime,
    *,
    older_than: timedelta | None = None,
    larger_than: int | None = None,
    scored: Callable[[StepKey], bool] | None = None,
    dry_run: bool = True,
) -> Collected:
    """Evict codes, the oldest first.

    Those go that are older than `older_than`, those whose model `scored` says has all the scores of its plans, and
    as many of the rest as it takes to hold no more than `larger_than` bytes.
    """
    sizes = dict(_sizes_of_codes(store))
    by_age = sorted(sizes, key=lambda info: info.modified)
    doomed = [info for info in by_age if _may_go(info, now, older_than, scored)]
    kept = sum(size for info, size in sizes.items() if info not in doomed)
    for info in by_age:
        if larger_than is not None and kept > larger_than and info not in doomed:
            doomed.append(info)
            kept -= sizes[info]
    if not dry_run:
        for info in doomed:
            evict_codes(store, _codes(info))
    return Collected(tuple(ObjectInfo(info.key, sizes[info], info.modified) for info in doomed))


def _unnamed(store: Store, before: datetime) -> Iterator[ObjectInfo]:
    """The listings come before the manifests are read: what a commit names meanwhile is not taken for unnamed."""
    for prefix in (prefixes.attempts(), prefixes.codes(), prefixes.data_sets()):
        for infos in _groups(store.list(prefix)):
            if all(info.modified < before for info in infos):
                yield from _unnamed_of(store, infos)
    yield from (info for info in store.list(prefixes.probes()) if info.modified < before)


def _unnamed_uploads(store: Store, before: datetime) -> Iterator[ObjectInfo]:
    """Arrays that were sent and never scored: no pseudo representation names them."""
    old = [info for info in store.list(prefixes.uploads()) if info.modified < before]
    try:
        named = _named_uploads(store) if old else set()
    except CorruptArtifact:  # nothing is known of what it names
        return
    yield from (info for info in old if info.key not in named)


def _named_uploads(store: Store) -> set[Key]:
    named: set[Key] = set()
    for step_key in list_committed(store, "postprocess", UPLOADED_CELL):
        manifest = find_manifest(store, "postprocess", step_key)
        uploaded = manifest.spec.get("uploaded") if manifest else None
        if isinstance(uploaded, dict):
            named.update(UploadKey(str(sha256)) for sha256 in uploaded.values())
    return named


def _groups(infos: Iterable[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    """Files of one attempt (or data set) at a time: a listing is in the order of keys. Manifests are left out."""
    for _, group in groupby(infos, key=lambda info: str(info.key).rpartition("/")[0]):
        if files := [info for info in group if not _is_manifest(info.key)]:
            yield files


def _is_manifest(key: Key) -> bool:
    return isinstance(key, CodesManifestKey) or is_card(key)


def _unnamed_of(store: Store, infos: list[ObjectInfo]) -> list[ObjectInfo]:
    try:
        named = _named(store, infos[0].key)
    except CorruptArtifact:  # nothing is known of what it names: `check` tells, a person decides
        return []
    return [info for info in infos if info.key not in named]


def _named(store: Store, key: Key) -> set[Key]:
    """What is named by the manifest that would name `key`."""
    manifest: Manifest | CodesManifest | None
    match key:
        case ArtifactKey():
            manifest = find_manifest(store, key.step, key.step_key)
        case CodesKey():
            manifest = find_codes(store, CodesManifestKey(key.train_key, key.data_digest, key.draws))
        case DatasetKey():
            card = find_data_set(store, key.name, key.digest)
            return {images_key(card)} if card else set()
        case _:
            raise AssertionError("only files of attempts, codes and data sets are looked at here")
    return {manifest.file_key(name) for name in manifest.files} if manifest else set()


def _sizes_of_codes(store: Store) -> Iterator[tuple[ObjectInfo, int]]:
    for info in list(store.list(prefixes.codes())):
        if isinstance(info.key, CodesManifestKey):
            manifest: CodesManifest | None = find_codes(store, info.key)
            if manifest:
                yield info, info.size + sum(record.size for record in manifest.files.values())


def _may_go(
    info: ObjectInfo, now: datetime, older_than: timedelta | None, scored: Callable[[StepKey], bool] | None
) -> bool:
    is_old = older_than is not None and info.modified < now - older_than
    return is_old or (scored is not None and scored(_codes(info).train_key))


def _codes(info: ObjectInfo) -> CodesManifestKey:
    assert isinstance(info.key, CodesManifestKey), "only manifests of codes are looked at here"
    return info.key
