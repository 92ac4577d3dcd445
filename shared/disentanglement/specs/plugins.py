"""The plugins that specs name: finding them, filling in the digests of their sources, and whose code may run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from disentanglement.errors import SpecError
from disentanglement.specs.base import Plugin, Spec
from disentanglement.specs.sources import check_call, find_source, installed_entry_points

VARIABLE = "DISENTANGLEMENT_PLUGINS"
ANYTHING = "*"

AnySpec = TypeVar("AnySpec", bound=Spec)


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whose code may run: what installed packages offer as entry points, and the modules that an administrator lists.

    By itself this trusts entry points alone.
    """

    listed: frozenset[str] = frozenset()
    """Modules, packages with all in them, or whole names of plugins; `*` is everything that can be imported."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """From DISENTANGLEMENT_PLUGINS, e.g. `my_model,my_package.losses`; empty: entry points alone."""
        return cls(frozenset(filter(None, (name.strip() for name in env.get(VARIABLE, "").split(",")))))

    def check(self, specs: Iterable[Spec]) -> None:
        """Raises `SpecError` for the first plugin of some specs whose code may not run."""
        for field, plugin in plugins_of(specs):
            if not self._covers(plugin.name):
                wanted = f"an installed entry point, or a module that {VARIABLE} lists where it is to run"
                raise SpecError.of(f"{field}.name", wanted, plugin.name)

    def _covers(self, name: str) -> bool:
        module = name.partition(":")[0]
        parts = module.split(".")
        packages = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        if not self.listed.isdisjoint((ANYTHING, name, *packages)):
            return True
        return any(name in (point.name, point.value) for point in installed_entry_points().values())


INSTALLED = Trusted()
"""What installed packages offer, and nothing else."""

EVERYTHING = Trusted(frozenset({ANYTHING}))
"""Of somebody who runs their own code on their own machine."""


def plugins_of(specs: Iterable[Spec]) -> Iterator[tuple[str, Plugin]]:
    """Every plugin in some specs with its path (`objective.plugin`); parts that specs share are looked at once."""
    seen: set[int] = set()
    for spec in specs:
        yield from _plugins_of(spec, "", seen)


def source_digests(specs: Iterable[Spec], trusted: Trusted) -> dict[str, str]:
    """Digests of the sources of the plugins that have none yet, by the plugin's name. Imports nothing.

    Raises:
        SpecError: code that may not run here, whose source is not here, or that does not take the parameters it is
            given, as far as its text tells.
    """
    specs = list(specs)
    trusted.check(specs)
    unknown = {(field, str(plugin)): plugin for field, plugin in plugins_of(specs) if not plugin.source_digest}
    for (field, _), plugin in unknown.items():
        check_call(plugin, field)
    fields = {plugin.name: field for (field, _), plugin in unknown.items()}
    return {name: find_source(name, field).digest for name, field in fields.items()}


def with_digests(spec: AnySpec, digests: Mapping[str, str]) -> AnySpec:
    """The spec with the digest of each plugin filled in that has none yet and is among `digests`."""
    if not digests:
        return spec
    if isinstance(spec, Plugin):
        digest = spec.source_digest or digests.get(spec.name, "")
        return spec if digest == spec.source_digest else spec.model_copy(update={"source_digest": digest})
    changes = {name: with_digests(member, digests) for name, member in spec if isinstance(member, Spec)}
    changed = {name: member for name, member in changes.items() if member is not getattr(spec, name)}
    return spec.model_copy(update=changed) if changed else spec


def check_runnable(specs: Iterable[Spec], trusted: Trusted) -> None:
    """What a worker asks before it runs anybody's code.

    Raises:
        SpecError: code that may not run here, or a plugin without a digest: it would be in no key.
    """
    specs = list(specs)
    trusted.check(specs)
    for field, plugin in plugins_of(specs):
        if not plugin.source_digest:
            wanted = "the digest of the source, filled in at submission"
            raise SpecError.of(f"{field}.source_digest", wanted, f"none for {plugin.name}")


def _plugins_of(spec: Spec, path: str, seen: set[int]) -> Iterator[tuple[str, Plugin]]:
    for name, member in spec:
        parts = member if isinstance(member, tuple) else (member,)
        for part in parts:
            if not isinstance(part, Spec) or id(part) in seen:
                continue
            seen.add(id(part))
            field = f"{path}.{name}" if path else name
            if isinstance(part, Plugin):
                yield field, part
            yield from _plugins_of(part, field, seen)
