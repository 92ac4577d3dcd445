"""Specs to protobuf messages and back: one walk over descriptors, no code for a single message.

Between the two lies the plain form of a spec, as YAML has it and as canonical JSON writes it: a field at its default is
left out. So a message from an older client means the same for ever, and what is wrong with a message is said in the
same words, with the same field paths, as what is wrong with a YAML file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.unknown_fields import UnknownFieldSet

from disentanglement.errors import SpecError, Violation
from disentanglement.specs import Spec, canonical, parse_spec
from disentanglement.specs.parsing import AnySpec, shown

AnyMessage = TypeVar("AnyMessage", bound=Message)

MAX_DEPTH = 90
"""Messages inside each other. Parsers refuse more than 100, and the request around a spec has some of its own."""


def to_proto(spec: Spec, message_type: type[AnyMessage], *, field: str = "") -> AnyMessage:
    """The message of a spec; fields at their defaults are not set. `field` is put in front of the paths of errors.

    Raises:
        SpecError: a number beyond the field's range, text that is not Unicode, or too much nesting.
        TypeError: the message is that of another type.
    """
    _check_same_name(type(spec), message_type)
    message = message_type()
    try:
        _fill(message, canonical(spec), field, 1)
    except (RecursionError, ValueError):  # pydantic says ValueError where it stops following
        raise _too_deep(field) from None
    return message


def from_proto(message: Message, kind: type[AnySpec], *, field: str = "") -> AnySpec:
    """The validated spec in a message; `field` is put in front of the paths of errors.

    Raises:
        SpecError: naming each wrong field, what was wanted and what was given.
        TypeError: the message is that of another type.
    """
    _check_same_name(kind, type(message))
    faults: list[Violation] = []
    try:
        plain = _plain(message, field, faults)
    except RecursionError:
        raise _too_deep(field) from None
    if faults:
        raise SpecError(faults)
    return parse_spec(kind, plain, field=field)


def struct_to_plain(struct: Struct, *, field: str) -> dict[str, Any]:
    """The object in a struct; `field` is put in front of the paths of errors.

    Raises:
        SpecError: an empty value, or a number that is not finite.
    """
    faults: list[Violation] = []
    plain = _plain_struct(struct, field, faults)
    if faults:
        raise SpecError(faults)
    return plain


def enum_word(enum: EnumDescriptor, number: int) -> str | None:
    """`DIP_TYPE_II` as its number -> `ii`; None for zero (unspecified) and for numbers that the enum does not have."""
    value = enum.values_by_number.get(number)
    return value.name.removeprefix(_enum_prefix(enum)).lower() if value is not None and number else None


def enum_number(enum: EnumDescriptor, word: str) -> int:
    """The inverse of `enum_word`; KeyError for an unknown word."""
    return enum.values_by_name[_enum_prefix(enum) + word.upper()].number


def enum_words(enum: EnumDescriptor) -> tuple[str, ...]:
    """Every word of an enum, in the order of its declaration."""
    return tuple(word for value in enum.values if (word := enum_word(enum, value.number)) is not None)


def is_list(message_name: str) -> bool:
    """Whether a message stands for a list, where protobuf has none: inside a `oneof` or another list."""
    return message_name.endswith("List")


# ------------------------------------------------------------------------------------------------- plain to message


def _fill(message: Message, plain: Any, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep(path)
    if isinstance(message, Struct):
        _fill_struct(message, plain, path, depth)
    elif is_list(message.DESCRIPTOR.name):
        _set(message, _only_field(message), plain, path, depth)
    else:
        for name, value in plain.items():
            _set(message, _field(message, name), value, _join(path, name), depth)


def _set(message: Message, field: FieldDescriptor, value: Any, path: str, depth: int) -> None:
    if field.message_type is None:
        _set_scalars(message, field, value, path)
    elif _is_repeated(field):
        for i, member in enumerate(value):
            _fill(getattr(message, field.name).add(), member, _join(path, i), depth + 1)
    else:
        inner: Message = getattr(message, field.name)
        inner.SetInParent()
        _fill(inner, value, path, depth + 1)


def _set_scalars(message: Message, field: FieldDescriptor, value: Any, path: str) -> None:
    try:
        if _is_repeated(field):
            getattr(message, field.name).extend([_scalar(field, member) for member in value])
        else:
            setattr(message, field.name, _scalar(field, value))
    except ValueError:
        raise SpecError.of(path, f"a value that fits {_type_name(field)} on the wire", shown(value)) from None


def _scalar(field: FieldDescriptor, value: Any) -> Any:
    return enum_number(field.enum_type, value) if field.enum_type is not None else value


def _fill_struct(struct: Struct, plain: Mapping[str, Any], path: str, depth: int) -> None:
    for name, value in plain.items():
        _fill_value(struct.fields[name], value, _join(path, name), depth + 2)


def _fill_value(slot: Value, plain: Any, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _too_deep(path)
    match plain:
        case None:
            slot.null_value = 0  # type: ignore[assignment]  # the only value of its enum
        case bool():
            slot.bool_value = plain
        case int() | float():
            slot.number_value = plain
        case str():
            _set_scalars(slot, _field(slot, "string_value"), plain, path)
        case list():
            slot.list_value.SetInParent()
            for i, member in enumerate(plain):
                _fill_value(slot.list_value.values.add(), member, _join(path, i), depth + 2)
        case _:
            slot.struct_value.SetInParent()
            _fill_struct(slot.struct_value, plain, path, depth + 1)


# ------------------------------------------------------------------------------------------------- message to plain


def _plain(message: Message, path: str, faults: list[Violation]) -> Any:
    if isinstance(message, Struct):
        return _plain_struct(message, path, faults)
    faults += _unknown_fields(message, path)
    if is_list(message.DESCRIPTOR.name):
        field = _only_field(message)
        return _plain_field(field, getattr(message, field.name), path, faults)
    return {
        field.name: _plain_field(field, value, _join(path, field.name), faults)
        for field, value in message.ListFields()
        if not _is_unspecified(field, value)
    }


def _plain_field(field: FieldDescriptor, value: Any, path: str, faults: list[Violation]) -> Any:
    if _is_repeated(field):
        return [_plain_member(field, member, _join(path, i), faults) for i, member in enumerate(value)]
    return _plain_member(field, value, path, faults)


def _plain_member(field: FieldDescriptor, value: Any, path: str, faults: list[Violation]) -> Any:
    if field.message_type is not None:
        return _plain(value, path, faults)
    if field.enum_type is None:
        return value
    word = enum_word(field.enum_type, value)
    if word is None:
        faults.append(Violation(path, f"one of {', '.join(enum_words(field.enum_type))}", f"enum value {value}"))
    return word


def _plain_struct(struct: Struct, path: str, faults: list[Violation]) -> dict[str, Any]:
    # The wire has no order of names; sorted, a path comes before the paths inside it.
    return {name: _plain_value(struct.fields[name], _join(path, name), faults) for name in sorted(struct.fields)}


def _plain_value(value: Value, path: str, faults: list[Violation]) -> Any:
    match value.WhichOneof("kind"):
        case "null_value":
            return None
        case "struct_value":
            return _plain_struct(value.struct_value, path, faults)
        case "list_value":
            return [_plain_value(member, _join(path, i), faults) for i, member in enumerate(value.list_value.values)]
        case None:
            faults.append(Violation(path, "null, a boolean, a number, text, a list or an object", "an empty value"))
            return None
        case kind:
            return getattr(value, kind)


def _unknown_fields(message: Message, path: str) -> Iterator[Violation]:
    for field in UnknownFieldSet(message):  # type: ignore[attr-defined]  # its stub lacks __iter__
        given = f"field number {field.field_number}, which this release does not know"
        yield Violation(path or "document", f"the fields of {message.DESCRIPTOR.name}", given)


# ------------------------------------------------------------------------------------------------------ descriptors


def _field(message: Message, name: str) -> FieldDescriptor:
    return cast(FieldDescriptor, message.DESCRIPTOR.fields_by_name[name])


def _only_field(message: Message) -> FieldDescriptor:
    [field] = message.DESCRIPTOR.fields
    return cast(FieldDescriptor, field)


def _is_repeated(field: FieldDescriptor) -> bool:
    return not field.has_presence  # every other field of a spec message is `optional`, a message or in a `oneof`


def _is_unspecified(field: FieldDescriptor, value: Any) -> bool:
    return field.enum_type is not None and not _is_repeated(field) and value == 0


def _enum_prefix(enum: EnumDescriptor) -> str:
    zero: str = enum.values_by_number[0].name
    return zero.removesuffix("UNSPECIFIED")


_TYPE_NAMES = {
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_STRING: "Unicode text",
}


def _type_name(field: FieldDescriptor) -> str:
    return _TYPE_NAMES.get(field.type, field.name)


def _check_same_name(kind: type[Spec], message_type: type[Message]) -> None:
    if kind.__name__ != message_type.DESCRIPTOR.name:
        raise TypeError(f"{kind.__name__} is not the type of message {message_type.DESCRIPTOR.name}")


def _join(path: str, part: str | int) -> str:
    return f"{path}.{part}" if path else str(part)


def _too_deep(path: str) -> SpecError:
    return SpecError.of(path or "document", "less nesting", "a structure nested too deeply")
