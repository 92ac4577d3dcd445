"""What a plugin's name takes, read from the text of its source: nothing is imported, and no torch is needed.

What a text leaves open (a decorator, a base class without source, `import *`) passes here; whoever makes the plugin
binds the parameters to what was imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from disentanglement.errors import SpecError
from disentanglement.specs.base import Plugin
from disentanglement.specs.parsing import shown

DYNAMIC = {"exec", "eval", "globals", "setattr", "vars"}
"""Calls by which a module may get names that its text does not show."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Definition:
    """A class or a function, and the module whose text has it."""

    module: str
    file: Path
    node: ast.ClassDef | Function


def check_parameters(plugin: Plugin, signature: Signature, num_before: int, field: str) -> None:
    """`num_before` arguments stand before a plugin's parameters.

    Raises:
        SpecError: a parameter that is unknown, missing, or of another type than its annotation says.
    """
    try:
        bound = signature.bind(*[None] * num_before, **plugin.parameters)
    except TypeError as error:
        names = ", ".join(list(signature.parameters)[num_before:]) or "nothing"
        wanted = f"what {plugin.name} takes: {names} ({error})"
        raise SpecError.of(f"{field}.parameters", wanted, plugin.parameters) from None
    for name in bound.arguments.keys() & plugin.parameters.keys():
        annotation, value = signature.parameters[name].annotation, plugin.parameters[name]
        words = _type_words(annotation) if isinstance(annotation, ast.expr) else None
        if words is not None and not any(_is_of(value, word) for word in words):
            wanted = f"{ast.unparse(annotation)}, as {plugin.name} says"
            raise SpecError.of(f"{field}.parameters.{name}", wanted, shown(value))


def definition(module: str, file: Path, name: str, field: str = "plugin") -> Definition | None:
    """Where a name of a module is defined; None where the text does not tell.

    Raises:
        SpecError: the module's text is no Python, or nothing in it has the name.
    """
    tree = _parsed(module, file, field)
    bindings = [node for node in _statements(tree.body) if name in _bound(node)]
    if not bindings and not _is_open(tree):
        known = [node.name for node in tree.body if isinstance(node, ast.ClassDef | Function)]
        wanted = f"a class or function defined in {module} ({', '.join(known) or 'there is none'})"
        raise SpecError.of(f"{field}.name", wanted, name)
    match bindings:
        case [(ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef()) as node]:
            return Definition(module, file, node)
        case [ast.ImportFrom() as node]:
            return _imported(module, file, node, name)
        case _:
            return None


def signature_of(found: Definition) -> Signature | None:
    """What a class or function is called with, annotations as syntax; None where the text does not tell."""
    if isinstance(found.node, ast.ClassDef):
        return _signature_of_class(found, found.node)
    return None if found.node.decorator_list else _signature(found.node.args)


def _signature_of_class(found: Definition, node: ast.ClassDef) -> Signature | None:
    methods = {method.name: method for method in node.body if isinstance(method, Function)}
    is_dataclass = any(map(_makes_dataclass, node.decorator_list))
    if node.keywords or "__new__" in methods or not all(map(_makes_dataclass, node.decorator_list)):
        return None
    if init := methods.get("__init__"):
        whole = None if init.decorator_list else _signature(init.args)
        return None if whole is None else whole.replace(parameters=list(whole.parameters.values())[1:])
    if is_dataclass:
        fields = _fields(found, node)
        order = sorted((fields or {}).values(), key=lambda parameter: parameter.kind)
        return None if fields is None else Signature(order, __validate_parameters__=False)
    for base in node.bases:
        inherited = _signature_of_base(found, base)
        if inherited is None or inherited.parameters:
            return inherited
    return Signature()


def _signature_of_base(found: Definition, base: ast.expr) -> Signature | None:
    if _has_nothing(base):
        return Signature()
    of_base = _base(found, base)
    return None if of_base is None else signature_of(of_base)


def _fields(found: Definition, node: ast.ClassDef) -> dict[str, Parameter] | None:
    """Of a dataclass, those of its bases first; None where they are not known."""
    fields: dict[str, Parameter] = {}
    for base in (base for base in reversed(node.bases) if not _has_nothing(base)):
        of_base = _base(found, base)
        if of_base is None or not isinstance(of_base.node, ast.ClassDef):
            return None
        inherited = _fields(of_base, of_base.node)
        if inherited is None:
            return None
        fields |= inherited
    decorators = [each for each in node.decorator_list if _makes_dataclass(each)]
    own = _own_fields(node, decorators[0]) if decorators else {}
    return None if own is None else fields | own


def _own_fields(node: ast.ClassDef, decorator: ast.expr) -> dict[str, Parameter] | None:
    options = _constants(decorator)
    if options is None or options.get("init") is False:
        return None
    fields: dict[str, Parameter] = {}
    by_name_alone = bool(options.get("kw_only"))
    for line in node.body:
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name):
            continue
        kind = ast.unparse(line.annotation)
        by_name_alone = by_name_alone or kind.endswith("KW_ONLY")
        if kind.endswith("KW_ONLY") or "ClassVar" in kind:
            continue
        given = _constants(line.value) if _is_field(line.value) else {"default": line.value}
        if given is None:
            return None
        if given.get("init") is not False:
            fields[line.target.id] = _parameter(line, given, given.get("kw_only", by_name_alone))
    return fields


def _parameter(line: ast.AnnAssign, given: dict[str, Any], by_name_alone: object) -> Parameter:
    assert isinstance(line.target, ast.Name)
    has_default = given.get("default") is not None or "default_factory" in given
    kind = Parameter.KEYWORD_ONLY if by_name_alone else Parameter.POSITIONAL_OR_KEYWORD
    default = ... if has_default else Parameter.empty
    return Parameter(line.target.id, kind, default=default, annotation=line.annotation)


def _signature(arguments: ast.arguments) -> Signature:
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = len(positional) - len(arguments.defaults)
    found: list[Parameter] = []

    def add(argument: ast.arg, kind: Any, has_default: bool = False) -> None:
        default = ... if has_default else Parameter.empty
        found.append(Parameter(argument.arg, kind, default=default, annotation=argument.annotation))

    for i, argument in enumerate(positional):
        by_place = i < len(arguments.posonlyargs)
        kind = Parameter.POSITIONAL_ONLY if by_place else Parameter.POSITIONAL_OR_KEYWORD
        add(argument, kind, i >= with_default)
    if arguments.vararg:
        add(arguments.vararg, Parameter.VAR_POSITIONAL)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        add(argument, Parameter.KEYWORD_ONLY, default is not None)
    if arguments.kwarg:
        add(arguments.kwarg, Parameter.VAR_KEYWORD)
    return Signature(found)


def _imported(module: str, file: Path, node: ast.ImportFrom, name: str) -> Definition | None:
    """What `from ... import name` stands for, read where it is defined."""
    from disentanglement.specs.sources import find_source

    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    around = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    origin = ".".join([*around, *([node.module] if node.module else [])])
    original = next(alias.name for alias in node.names if name in (alias.asname, alias.name))
    try:
        source = find_source(f"{origin}:{original}")
        return definition(source.module, source.file, source.name)
    except (SpecError, RecursionError):
        return None


def _base(found: Definition, base: ast.expr) -> Definition | None:
    base = base.value if isinstance(base, ast.Subscript) else base
    if not isinstance(base, ast.Name):
        return None
    try:
        return definition(found.module, found.file, base.id)
    except SpecError:
        return None


def _has_nothing(base: ast.expr) -> bool:
    """Whether it is a base class that adds nothing to what is called."""
    base = base.value if isinstance(base, ast.Subscript) else base
    return ast.unparse(base).rpartition(".")[2] in ("object", "ABC", "Protocol", "Generic")


def _makes_dataclass(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called) in ("dataclass", "dataclasses.dataclass")


def _is_field(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in ("field", "dataclasses.field")


def _constants(call: ast.expr | None) -> dict[str, Any] | None:
    """Keywords of a call, constants as they are; None where a keyword's name is not told."""
    if not isinstance(call, ast.Call):
        return {}
    if any(keyword.arg is None for keyword in call.keywords):
        return None
    return {
        str(keyword.arg): keyword.value.value
        if isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool)
        else keyword.value
        for keyword in call.keywords
    }


def _parsed(module: str, file: Path, field: str) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        where = f"{file}, line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else f"{file}: {error}"
        raise SpecError.of(f"{field}.name", f"a module that is Python ({module})", where) from None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """A module's, those in its conditions and loops too, without those of functions and classes."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody") if not isinstance(node, ast.ClassDef | Function) else ():
            yield from _statements(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from _statements(handler.body)


def _bound(node: ast.stmt) -> set[str]:
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return {node.name}
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.With():
            stored = (part for part in ast.walk(node) if isinstance(part, ast.Name))
            return {part.id for part in stored if isinstance(part.ctx, ast.Store)}
        case _:
            return set()


def _is_open(tree: ast.Module) -> bool:
    """Whether a module may have names that its text does not show."""
    return any(
        (isinstance(node, ast.alias) and node.name == "*")
        or (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in DYNAMIC)
        or isinstance(node, ast.NamedExpr | ast.Match)
        for node in ast.walk(tree)
    )


def _type_words(annotation: ast.expr) -> tuple[str, ...] | None:
    """Types of JSON that an annotation allows; None where it is of another kind."""
    match annotation:
        case ast.Name(id="int" | "float" | "str" | "bool" as word):
            return (word,)
        case ast.Constant(value=None):
            return ("None",)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            words = _type_words(left), _type_words(right)
            return None if words[0] is None or words[1] is None else (*words[0], *words[1])
        case _:
            return None


def _is_of(value: object, word: str) -> bool:
    if isinstance(value, bool):
        return word == "bool"
    kinds: dict[str, Any] = {"int": int, "float": int | float, "str": str, "bool": bool, "None": type(None)}
    return isinstance(value, kinds[word])
