"""From YAML, JSON or plain dictionaries to specs; what is wrong comes back as a `SpecError` with field paths."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from disentanglement.errors import SpecError, Violation
from disentanglement.specs.base import Spec

AnySpec = TypeVar("AnySpec", bound=Spec)

MAX_YAML_BYTES = 1 << 20
MAX_SHOWN = 120


def parse_spec(kind: type[AnySpec], plain: Any, *, field: str = "") -> AnySpec:
    """A validated spec from plain data; `field` is put in front of the paths of errors.

    Raises:
        SpecError: naming each wrong field, what was wanted and what was given.
    """
    try:
        return kind.model_validate(plain)
    except ValidationError as error:
        raise SpecError([_violation(detail, field) for detail in error.errors(include_url=False)]) from None
    except RecursionError:
        raise SpecError.of(field or "document", "less nesting", "a structure nested too deeply") from None


def load_yaml(text: str) -> Any:
    """Plain data from YAML, with YAML 1.2 numbers (`1e-4` is a number) and no repeated names.

    Raises:
        SpecError: the text is not YAML, too large, or repeats a name.
    """
    if len(text) > MAX_YAML_BYTES:
        raise SpecError.of("document", f"at most {MAX_YAML_BYTES} characters", len(text))
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise SpecError.of("document", "YAML", " ".join(str(error).split())) from None
    except RecursionError:
        raise SpecError.of("document", "less nesting", "a document nested too deeply") from None


def parse_yaml(kind: type[AnySpec], text: str) -> AnySpec:
    """A validated spec from YAML text."""
    return parse_spec(kind, load_yaml(text))


def shown(value: object) -> str:
    """A value as an error message shows it: short, one line."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases (no exponential documents), dates, or repeated names."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(name, deep=True) for name, _ in node.value]
        for name in names:
            if not isinstance(name, str):
                raise yaml.YAMLError(f"names must be text, got {shown(name)} {node.start_mark}")
            if names.count(name) > 1:
                raise yaml.YAMLError(f"the name {name!r} is given twice {node.start_mark}")
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":timestamp", ":int"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9]*)\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"),
    list("-+0123456789."),
)


def _violation(detail: ErrorDetails, prefix: str) -> Violation:
    path = [prefix] if prefix else []
    path += [str(part) for part in detail["loc"]]
    if detail["type"] == "misplaced":
        path.append(detail["ctx"]["field"])
    wanted, given = _wanted_and_given(detail)
    return Violation(".".join(path) or "document", wanted, given)


def _wanted_and_given(detail: ErrorDetails) -> tuple[str, str]:
    match detail["type"]:
        case "missing":
            return "a value (the field is required)", "nothing"
        case "extra_forbidden":
            return "a known field", f"an unknown one with value {shown(detail['input'])}"
        case "misplaced":
            return detail["ctx"]["wanted"], detail["ctx"]["given"]
        case "value_error":
            return detail["msg"].removeprefix("Value error, "), shown(detail["input"])
        case _:
            message = detail["msg"].removeprefix("Input should be ").removeprefix("String should ")
            return message, shown(detail["input"])


def with_paths(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with dotted paths set: `{"objective.beta_vae.beta": 4}`; neither argument is changed.

    A path is set after the paths that it continues, whatever their order: not every wire keeps it.
    """
    result = dict(base)
    for path in sorted(changes):
        result = _with_path(result, path.split("."), changes[path])
    return result


def _with_path(base: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {**base, head: value}
    inner = base.get(head)
    members = {inner: {}} if isinstance(inner, str) else inner if isinstance(inner, Mapping) else {}
    return {**base, head: _with_path(members, rest, value)}
