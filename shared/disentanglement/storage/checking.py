"""Verifies every byte that readers trust: the files that manifests of steps, codes and data sets name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from disentanglement.errors import ArtifactNotFound, CorruptArtifact
from disentanglement.storage import prefixes
from disentanglement.storage.codes import CodesManifest, evict_codes, find_codes
from disentanglement.storage.commit import find_manifest, withdraw
from disentanglement.storage.data_sets import find_data_set, images_key, images_measured, is_card
from disentanglement.storage.keys import CodesManifestKey, DatasetKey, Key, ManifestKey
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Measured, Store, check, measure_object

Progress = Callable[[int, int], None]
"""(manifests verified, manifests in all)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with what readers trust; `key` is the manifest's."""

    key: Key
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """How many manifests and files were verified, and what is wrong with them."""

    manifests: int
    files: int
    findings: tuple[Finding, ...]


def silent(done: int, total: int) -> None:
    """Nobody watches."""


def check_store(store: Store, *, progress: Progress = silent) -> Report:
    """Read everything that a manifest names and compare sizes and digests."""
    files = 0
    findings: list[Finding] = []
    manifests = list(_manifests(store))
    for position, key in enumerate(manifests):
        progress(position, len(manifests))
        try:
            for file, wanted in _named(store, key).items():
                files += 1
                check(file, wanted, measure_object(store, file))
        except (ArtifactNotFound, CorruptArtifact) as error:
            findings.append(Finding(key, str(error)))
    return Report(len(manifests), files, tuple(findings))


def repair(store: Store, report: Report) -> list[Key]:
    """Remove the manifests that `check_store` found damaged; the keys of those removed.

    Such steps run again, and such codes, which go with their files, are extracted again. Data sets are left: importing
    one again is for a person to do.
    """
    removed: list[Key] = []
    for key in (finding.key for finding in report.findings):
        match key:
            case ManifestKey():
                withdraw(store, key.step, key.step_key)
            case CodesManifestKey():
                evict_codes(store, key)
            case _:
                continue
        removed.append(key)
    return removed


def _manifests(store: Store) -> Iterator[Key]:
    for prefix in (prefixes.data_sets(), prefixes.manifests(), prefixes.codes()):
        for info in list(store.list(prefix)):
            if isinstance(info.key, ManifestKey | CodesManifestKey) or is_card(info.key):
                yield info.key


def _named(store: Store, key: Key) -> Mapping[Key, Measured]:
    """The files that a manifest names; `CorruptArtifact` where it is none, or that of another."""
    match key:
        case ManifestKey():
            return _files(find_manifest(store, key.step, key.step_key))
        case CodesManifestKey():
            return _files(find_codes(store, key))
        case DatasetKey():
            card = find_data_set(store, key.name, key.digest)
            return {images_key(card): images_measured(card)} if card else {}
        case _:
            raise AssertionError("only manifests are listed here")


def _files(manifest: Manifest | CodesManifest | None) -> dict[Key, Measured]:
    return {manifest.file_key(name): record.measured for name, record in manifest.files.items()} if manifest else {}
