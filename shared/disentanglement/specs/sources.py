"""Where a plugin's source lies, its digest, what it takes, and its import; only `load` runs anybody's code.

A plugin is named by an entry point of the group `disentanglement.plugins`, or as `module:name`. Its digest covers

- of a module that is one file (`my_model.py`): the sha256 of that file;
- of a module inside a package: every `.py` file of the top-level package, as `sha256sum` would list them: the sha256 of
  the lines `<sha256>  <path inside the package>`, sorted by path.

It covers nothing else: neither other packages that the source imports nor files that it reads.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar, cast

from disentanglement.errors import SpecError
from disentanglement.specs.base import Plugin
from disentanglement.specs.signatures import check_parameters, definition, signature_of

GROUP = "disentanglement.plugins"

Made = TypeVar("Made")

NUM_BEFORE = {"encoder": 2, "decoder": 2, "discriminator": 1, "optimizer": 1, "discriminator_optimizer": 1}
"""Arguments that stand before a plugin's parameters, by the field that it fills; none in others."""

WRONG = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError, NotImplementedError)
"""What code raises that was given something unfit; want of memory or of a device may pass, and is none of these."""

_imported: dict[str, str] = {}
"""Digests, by file or folder, of the sources that this process has imported."""


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a plugin: which module, which name in it, and the files that the digest covers."""

    module: str
    name: str
    root: Path
    """The file, or the folder of the package."""
    file: Path
    """The module's own."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What the digest covers, in its order."""
        if self.root.is_file():
            return (self.root,)
        return tuple(sorted(self.root.rglob("*.py"), key=lambda path: path.relative_to(self.root).as_posix()))

    @property
    def digest(self) -> str:
        """As the module's head says."""
        if self.root.is_file():
            return _sha256(self.root.read_bytes())
        lines = (f"{_sha256(path.read_bytes())}  {path.relative_to(self.root).as_posix()}\n" for path in self.files)
        return _sha256("".join(lines).encode())


def find_source(name: str, field: str = "plugin") -> Source:
    """Finds the source of a plugin by its name, without importing it or the packages around it.

    Raises:
        SpecError: there is no such entry point or module here, or it has no Python source.
    """
    module, name_in_module = _module_and_name(name, field)
    if module.partition(".")[0] in sys.stdlib_module_names:  # `subprocess:run` is nobody's own loss
        raise SpecError.of(f"{field}.name", "a module that is not part of Python itself", name)
    importlib.invalidate_caches()
    specs = list(_module_specs(module))
    if len(specs) <= module.count("."):
        wanted = f"a module that can be imported here: install what has {module}, or put it on PYTHONPATH"
        raise SpecError.of(f"{field}.name", wanted, name)
    origin = specs[-1].origin or ""
    if not origin.endswith(".py") or not Path(origin).is_file():
        raise SpecError.of(f"{field}.name", "a module with Python source", f"{name} ({origin or 'a folder'})")
    top = next(spec for spec in specs if spec.origin is not None)  # namespace packages have none
    root = Path(str(top.origin))
    whole = root if top.submodule_search_locations is None else root.parent
    return Source(module, name_in_module, whole, Path(origin))


def check_call(plugin: Plugin, field: str) -> None:
    """Whether a plugin's name and parameters fit its source, as far as the text tells; imports nothing.

    Raises:
        SpecError: there is no such source or no such name in it, or a parameter is unknown, missing or of a wrong type.
    """
    source = find_source(plugin.name, field)
    found = definition(source.module, source.file, source.name, field)
    if found is None:
        return
    if found.module.partition(".")[0] != source.module.partition(".")[0]:
        raise SpecError.of(f"{field}.name", f"a class or function defined in {source.module}", source.name)
    signature = signature_of(found)
    if signature is not None:
        check_parameters(plugin, signature, NUM_BEFORE.get(_place(field), 0), field)


def load(plugin: Plugin, field: str) -> Any:
    """What a plugin's name stands for, imported after its source was compared with what was submitted.

    Raises:
        SpecError: it is missing, can't be imported, or its source is another one than that of the digest.
    """
    source = find_source(plugin.name, field)
    digest = source.digest
    if plugin.source_digest not in ("", digest):
        wanted = f"{plugin.source_digest}, the source that was submitted"
        raise SpecError.of(f"{field}.source_digest", wanted, f"{digest}, the source here ({source.root})")
    imported = _imported.setdefault(str(source.root), digest)
    if imported != digest:
        wanted = f"{imported}, the source that this process imported (a new process reads it again)"
        raise SpecError.of(f"{field}.source_digest", wanted, digest)
    return _imported_name(source, field)


def make(plugin: Plugin, field: str, kind: type[Made], *arguments: object) -> Made:
    """Calls what a plugin's name stands for with these arguments and the plugin's parameters.

    `kind` is the type of what it makes, a protocol or a class.

    Raises:
        SpecError: as `load`; the parameters are not those that it takes, or it fails with them; or it makes something
            else.
    """
    factory = load(plugin, field)
    check_call(plugin, field)
    try:
        inspect.signature(factory).bind(*arguments, **plugin.parameters)
    except TypeError as error:
        raise SpecError.of(f"{field}.parameters", f"what {plugin.name} takes ({error})", plugin.parameters) from None
    try:
        made = factory(*arguments, **plugin.parameters)
    except WRONG as error:
        raise unfit(plugin, field, error) from error
    if missing := lacking(made, kind):
        wanted = f"what makes {kind.__name__} ({', '.join(missing)})"
        raise SpecError.of(f"{field}.name", wanted, f"{plugin.name}, which makes {type(made).__name__}")
    return cast(Made, made)


def unfit(plugin: Plugin, field: str, error: Exception) -> SpecError:
    """What is said where a plugin fails with the parameters that it was given."""
    wanted = f"what {plugin.name} can work with ({type(error).__name__}: {error})"
    return SpecError.of(f"{field}.parameters", wanted, plugin.parameters or "none")


def blamed(plugins: Iterable[tuple[str, Plugin]], error: Exception) -> tuple[str, Plugin] | None:
    """The plugin, with its field, whose file an error passed last; without such a file the first one, if any."""
    by_file = [(find_source(plugin.name, field).file, (field, plugin)) for field, plugin in plugins]
    passed = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    for file in reversed(passed):
        if found := next((own for of_plugin, own in by_file if of_plugin == file), None):
            return found
    return by_file[0][1] if by_file else None


def lacking(made: object, kind: type) -> list[str]:
    """What an object lacks to be of a type: the missing members of a protocol, or being of the class."""
    if not getattr(kind, "_is_protocol", False):
        return [] if isinstance(made, kind) else ["an instance"]
    return sorted(name for name in vars(kind) if not name.startswith("_") and not hasattr(made, name))


def installed_entry_points() -> dict[str, EntryPoint]:
    """Plugins that installed packages offer, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def _place(field: str) -> str:
    """`encoder` of `architecture.encoder.plugin`."""
    return field.removesuffix(".plugin").rpartition(".")[2]


def _module_and_name(name: str, field: str) -> tuple[str, str]:
    module, colon, name_in_module = name.partition(":")
    if not colon:
        installed = installed_entry_points()
        if name not in installed:
            known = ", ".join(installed) or "none is installed"
            raise SpecError.of(f"{field}.name", f"module:name, or an entry point of {GROUP} ({known})", name)
        module, _, name_in_module = installed[name].value.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name_in_module)):
        raise SpecError.of(f"{field}.name", "module:name, e.g. my_model:MyLoss", name)
    return module, name_in_module


def _module_specs(module: str) -> Iterator[ModuleSpec]:
    """Of a module and the packages around it, outermost first, as far as they are found."""
    path: list[str] | None = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        found = _find(".".join(parts[:depth]), path)
        if found is None:
            return
        yield found
        path = None if found.submodule_search_locations is None else list(found.submodule_search_locations)


def _find(module: str, path: list[str] | None) -> ModuleSpec | None:
    if path is None and "." in module:  # inside something that is no package
        return None
    for finder in sys.meta_path:
        found = finder.find_spec(module, path)
        if found is not None:
            return found
    return None


def _imported_name(source: Source, field: str) -> Any:
    try:
        module = importlib.import_module(source.module)
    except Exception as error:  # anybody's code: whatever it raises, this step can't succeed here
        cause = f"{type(error).__name__}: {error}"
        raise SpecError.of(f"{field}.name", "a module that can be imported", f"{source.module} ({cause})") from error
    found = getattr(module, source.name, None)
    if not callable(found) or not _is_of(source, found):
        raise SpecError.of(f"{field}.name", f"a class or function defined in {source.module}", source.name)
    return found


def _is_of(source: Source, found: object) -> bool:
    """Whether it is defined in the same package: who trusts a module does not trust all that it imports."""
    defined_in = str(getattr(found, "__module__", ""))
    return defined_in.partition(".")[0] == source.module.partition(".")[0]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
