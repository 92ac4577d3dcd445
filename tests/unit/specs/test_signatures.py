"""What a plugin takes, read from its text: it agrees with what Python says once the source is imported."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin_files import plugin_files

from disentanglement.errors import SpecError
from disentanglement.specs import EvaluateSpec, MetricSpec, Plugin, TrainSpec
from disentanglement.specs.plugins import EVERYTHING, source_digests
from disentanglement.specs.signatures import definition, signature_of
from disentanglement.specs.sources import check_call, find_source

Write = Callable[..., Path]

MODULE = """
import dataclasses
import functools
from abc import ABC
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Generic, TypeVar

from read_package.bases import Inherited, Renamed as Other

T = TypeVar("T")


class Bare: ...
class OfBare(Bare, ABC, Generic[T]): ...
class WithInit:
    def __init__(self, first, /, second: int = 3, *rest, named: str, other=None, **more): ...
class OfInit(Bare, WithInit): ...
class OfAnother(Inherited): ...
class OfRenamed(Other): ...
@dataclass
class Fields(Bare):
    a: int
    shared: ClassVar[int] = 2
    b: float = 1.0
    c: list = field(default_factory=list)
    d: int = field(init=False, default=3)
    untyped = 4
@dataclasses.dataclass(eq=False)
class MoreFields(Fields):
    b: int = 2
    e: str = "e"
@dataclass(kw_only=True)
class ByName:
    a: int
    b: int = 2
@dataclass
class SomeByName:
    a: int
    _: KW_ONLY
    b: int = field()
    c: int = 1
def function(image_shape, num_latent, *, width: int = 4): ...
async def coroutine(x): ...
if True:
    def conditional(x): ...
else:
    pass
"""
BASES = "class Inherited:\n    def __init__(self, weight): ...\nclass Renamed(Inherited): ...\n"
KNOWN = (
    "Bare OfBare WithInit OfInit OfAnother OfRenamed Fields MoreFields ByName SomeByName function coroutine conditional"
)

OPEN = """
from dataclasses import dataclass
from collections import UserDict
import numpy
from numpy import *

class Meta(type): ...
class OfMeta(metaclass=Meta): ...
class New:
    def __new__(cls, x): ...
class OfOther(UserDict): ...
class OfAttribute(numpy.ndarray): ...
def decorated_by(function): ...
@decorated_by
def decorated(x): ...
@decorated_by
class Decorated: ...
assigned = decorated_by(New)
def twice(x): ...
def twice(y): ...
@dataclass
class FieldsOfOther(UserDict):
    a: int
"""
UNKNOWN = "OfMeta New OfOther OfAttribute decorated Decorated assigned twice FieldsOfOther anything_at_all"


@pytest.fixture(autouse=True)
def write(tmp_path: Path) -> Iterator[Write]:
    with plugin_files(tmp_path) as files:
        files.write("read_package/__init__.py", "from .bases import Inherited\n")
        files.write("read_package/bases.py", BASES)
        files.write("read_known.py", MODULE)
        files.write("read_open.py", OPEN)
        yield files.write


def signature(name: str) -> inspect.Signature | None:
    source = find_source(name)
    found = definition(source.module, source.file, source.name)
    return None if found is None else signature_of(found)


def outline(signature: inspect.Signature) -> list[tuple[str, Any, bool]]:
    return [(each.name, each.kind, each.default is each.empty) for each in signature.parameters.values()]


@pytest.mark.parametrize("name", KNOWN.split())
def test_the_text_tells_what_python_tells(name: str) -> None:
    read = signature(f"read_known:{name}")
    imported = inspect.signature(getattr(importlib.import_module("read_known"), name))
    assert read is not None
    assert outline(read) == outline(imported)


def test_a_name_is_followed_to_where_it_is_defined() -> None:
    read = signature("read_package:Inherited")
    assert read is not None
    assert list(read.parameters) == ["weight"]


@pytest.mark.parametrize("name", UNKNOWN.split())
def test_what_the_text_leaves_open_passes(name: str) -> None:
    assert signature(f"read_open:{name}") is None
    check_call(Plugin(name=f"read_open:{name}", parameters={"whatever": 1}), "objective.plugin")


# The field that is named, and what helps.
@pytest.mark.parametrize(
    ("name", "parameters", "place", "field", "said"),
    [
        ("read_known:Feilds", {}, "objective", "name", "Fields"),
        ("read_known:Fields", {}, "objective", "parameters", "a, b, c (missing a required"),
        ("read_known:Fields", {"a": 1, "x": 2}, "objective", "parameters", "argument 'x'"),
        ("read_known:Fields", {"a": "many"}, "objective", "parameters.a", "wanted int, as read_known"),
        ("read_known:Fields", {"a": True}, "objective", "parameters.a", "got True"),
        ("read_known:function", {"width": 2.5}, "architecture.encoder", "parameters.width", "int"),
        ("read_known:function", {"num_latent": 2}, "architecture.encoder", "parameters", "width"),
        ("read_known:function", {}, "objective", "parameters", "'image_shape'"),
        ("read_broken:Loss", {}, "objective", "name", "line 2"),
        ("read_known:Inherited", {}, "objective", "name", "defined in read_known"),
    ],
)
def test_what_does_not_fit_names_its_field(
    write: Write, name: str, parameters: dict[str, Any], place: str, field: str, said: str
) -> None:
    write("read_broken.py", "X = 1\nclass Loss(:\n")
    with pytest.raises(SpecError) as caught:
        check_call(Plugin(name=name, parameters=parameters), f"{place}.plugin")
    (violation,) = caught.value.violations
    assert violation.field == f"{place}.plugin.{field}"
    assert said in str(violation)


@pytest.mark.parametrize(
    ("name", "parameters", "place"),
    [
        ("read_known:Fields", {"a": 1, "b": 2, "c": []}, "objective"),
        ("read_known:MoreFields", {"a": 1, "e": "x"}, "reconstruction"),
        ("read_known:function", {"width": 9}, "architecture.decoder"),
        ("read_known:coroutine", {}, "objective.factor_vae.discriminator_optimizer"),
    ],
)
def test_what_fits_passes(name: str, parameters: dict[str, Any], place: str) -> None:
    check_call(Plugin(name=name, parameters=parameters), f"{place}.plugin")


def test_every_plugin_of_a_submission_is_checked(write: Write) -> None:
    def metric(**parameters: Any) -> EvaluateSpec:
        plain = {"plugin": {"name": "read_known:Fields", "parameters": parameters}}
        return EvaluateSpec(metric=MetricSpec.model_validate(plain))

    assert set(source_digests([metric(a=1), metric(a=2)], EVERYTHING)) == {"read_known:Fields"}
    with pytest.raises(SpecError, match=r"metric\.plugin\.parameters\.a"):
        source_digests([metric(a=1), metric(a="two")], EVERYTHING)
    encoder = {"encoder": {"plugin": {"name": "read_known:function", "parameters": {"wdith": 3}}}}
    plain = {"dataset": "dummy_data", "objective": {"beta_vae": {"beta": 1}}, "architecture": encoder}
    with pytest.raises(SpecError, match=r"architecture\.encoder\.plugin\.parameters.*'wdith'"):
        source_digests([TrainSpec.model_validate(plain)], EVERYTHING)


def test_a_submission_is_checked_without_torch_and_runs_nothing(write: Write, tmp_path: Path) -> None:
    base = "from disentanglement.models.objectives.unsupervised import WithoutPlayers\n"
    write("read_with_torch.py", f"import torch\n{base}raise RuntimeError\nclass Loss(WithoutPlayers): ...\n")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from disentanglement.specs import Plugin\n"
        "from disentanglement.specs.sources import check_call\n"
        "check_call(Plugin(name='read_with_torch:Loss'), 'objective.plugin')\n"
        "check_call(Plugin(name='read_with_torch:Loss', parameters={'gamma': 1}), 'objective.plugin')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "objective.plugin.parameters: wanted what read_with_torch:Loss takes: nothing" in ended.stderr
