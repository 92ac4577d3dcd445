"""Messages and spec types say the same, field by field, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Lt
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from strategies import ROOTS, declared_types, spec_types

from disentanglement.rpc.convert import enum_words, is_list
from disentanglement.rpc.retries import SERVICES
from disentanglement.specs import OneOf, Spec
from disentanglement.specs.base import PlainObject
from disentanglement.v1 import dataset_pb2, job_pb2, metric_pb2, model_pb2, study_pb2

MESSAGES: dict[str, Descriptor] = {
    name: descriptor
    for file in (dataset_pb2, job_pb2, metric_pb2, model_pb2, study_pb2)
    for name, descriptor in file.DESCRIPTOR.message_types_by_name.items()
}
TYPES = {kind.__name__: kind for kind in spec_types()}
INTEGER_RANGES = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63),
}
SCALARS = {bool: FieldDescriptor.TYPE_BOOL, float: FieldDescriptor.TYPE_DOUBLE, str: FieldDescriptor.TYPE_STRING}


def differences(kind: type[Spec], message: Descriptor) -> Iterator[str]:
    """What is in the one and not in the other, as sentences."""
    hints = declared_types(kind)
    for name in hints.keys() ^ message.fields_by_name.keys():
        yield f"{name} is in one of them alone"
    for name in hints.keys() & message.fields_by_name.keys():
        if fault := fault_of(hints[name], message.fields_by_name[name], in_list=False):
            yield f"{name}: {fault}"
    real_oneofs = [oneof for oneof in message.oneofs if not oneof.name.startswith("_")]
    if issubclass(kind, OneOf) != (len(real_oneofs) == 1):
        yield "a OneOf is a message with one oneof, and no other message is"
    if issubclass(kind, OneOf) and len(real_oneofs[0].fields) != len(hints):
        yield "a member is outside of the oneof"


def fault_of(hint: Any, field: FieldDescriptor, *, in_list: bool) -> str | None:
    hint, bounds = bare(hint)
    if get_origin(hint) is tuple:
        return fault_of_list(get_args(hint)[0], field, in_list=in_list)
    if field.has_presence == in_list:
        return "must be a single field that knows whether it is set" if not in_list else "must be repeated"
    if get_origin(hint) is Literal:
        words = enum_words(field.enum_type) if field.enum_type is not None else ()
        return None if set(words) == set(get_args(hint)) else f"{get_args(hint)} is not {words}"
    if hint is int:
        return fault_of_integer(bounds, field)
    if hint in SCALARS:
        return None if field.type == SCALARS[hint] else f"{hint} is not type {field.type}"
    wanted = "Struct" if hint == PlainObject else hint.__name__
    found = field.message_type.name if field.message_type is not None else field.type
    return None if wanted == found else f"{wanted} is not {found}"


def fault_of_list(member: Any, field: FieldDescriptor, *, in_list: bool) -> str | None:
    if not in_list and not field.has_presence:
        return fault_of(member, field, in_list=True)
    if field.message_type is None or not is_list(field.message_type.name):
        return "a list inside a list or a oneof is a message named ...List"
    [inner] = field.message_type.fields
    return fault_of(member, inner, in_list=True)


def fault_of_integer(bounds: tuple[Any, ...], field: FieldDescriptor) -> str | None:
    if field.type not in INTEGER_RANGES:
        return f"int is not type {field.type}"
    low, high = INTEGER_RANGES[field.type]
    smallest = next((bound.ge for bound in bounds if isinstance(bound, Ge)), -(2**63))
    beyond = next((bound.lt for bound in bounds if isinstance(bound, Lt)), low)
    return None if low <= int(str(smallest)) and int(str(beyond)) <= high else f"{smallest} to {beyond} do not fit"


def bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without `| None` and `Annotated`, and its bounds."""
    if hint == PlainObject:
        return hint, ()
    if get_origin(hint) in (Union, UnionType):
        [only] = [option for option in get_args(hint) if option is not NoneType]
        return bare(only)
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        kind, bounds = bare(inner)
        return kind, (*(bound for extra in extras for bound in getattr(extra, "metadata", [extra])), *bounds)
    return hint, ()


def reachable(message: Descriptor, found: set[str]) -> set[str]:
    """The names of our messages that a message leads to."""
    if message.file.package == "disentanglement.v1" and message.name not in found:
        found.add(message.name)
        for field in message.fields:
            if field.message_type is not None:
                reachable(field.message_type, found)
    return found


@pytest.mark.parametrize("kind", spec_types(), ids=lambda kind: kind.__name__)
def test_a_spec_type_and_its_message_have_the_same_fields(kind: type[Spec]) -> None:
    assert list(differences(kind, MESSAGES[kind.__name__])) == []


def test_every_message_inside_a_spec_has_a_spec_type() -> None:
    for root in ROOTS:
        inside = reachable(MESSAGES[root.__name__], set())
        assert {name for name in inside if not is_list(name)} <= TYPES.keys()


def test_the_comparison_sees_each_kind_of_difference() -> None:
    def faults(kind: str, message: str) -> str:
        return " ".join(differences(TYPES[kind], MESSAGES[message]))

    assert "num_bins is in one of them alone" in faults("Mig", "Dci")
    assert "num_test is in one of them alone" in faults("Dci", "Mig")
    assert "do not fit" in str(fault_of(int, MESSAGES["Mig"].fields_by_name["num_bins"], in_list=False))
    assert "is not" in str(fault_of(str, MESSAGES["Mig"].fields_by_name["num_bins"], in_list=False))
    dip_type = MESSAGES["DipVae"].fields_by_name["dip_type"]
    assert fault_of(Literal["i", "ii"], dip_type, in_list=False) is None
    assert "is not" in str(fault_of(Literal["i"], dip_type, in_list=False))
    assert "is not" in str(fault_of(Literal["i", "ii", "iii"], dip_type, in_list=False))


def test_every_message_is_part_of_some_method() -> None:
    used: set[str] = set()
    for method in (method for service in SERVICES for method in service.methods):
        reachable(method.input_type, used)
        reachable(method.output_type, used)
    assert MESSAGES.keys() <= used
