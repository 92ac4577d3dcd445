"""What every spec is: a frozen, validated value whose fields decide a step's numbers, and nothing else.

`Spec` is one family of types for YAML, canonical JSON, the wire (a protobuf message with the same fields) and the
published JSON Schema. `OneOf` is protobuf's `oneof`: exactly one member is set, so a parameter cannot reach the
wrong method.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    Strict,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
AtLeastTwo = Annotated[int, Field(ge=2, lt=2**31)]
"""As many points as a variance needs."""
Bins = Annotated[int, Field(ge=2, le=2**15)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

LARGEST_EXACT_INTEGER = 2**53


def plain_number(value: JsonValue) -> JsonValue:
    """JSON with one spelling for each number: `4.0` becomes `4`, so that both wires give one key."""
    if isinstance(value, dict):
        return {_unicode(str(name)): plain_number(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain_number(member) for member in value]
    if isinstance(value, str):
        return _unicode(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("numbers must be finite")
        return int(value) if value.is_integer() and abs(value) <= LARGEST_EXACT_INTEGER else value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_EXACT_INTEGER:
        raise ValueError("integers beyond 2**53 do not survive every wire")
    return value


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: written as U+FFFD, two such texts would share a key
        raise ValueError("text must be valid Unicode") from None
    return text


PlainJson = Annotated[JsonValue, BeforeValidator(plain_number)]
PlainObject = Annotated[dict[str, PlainJson], BeforeValidator(plain_number)]


A_LIST = Strict(False)  # beside a tuple's type: a YAML or JSON list may fill it


def misplaced(field: str, wanted: str, given: str) -> PydanticCustomError:
    """What a check of a whole spec raises for one of its fields, which may not even be there."""
    return PydanticCustomError("misplaced", "{wanted}", {"field": field, "wanted": wanted, "given": given})


class Spec(BaseModel):
    """Base of all specs: frozen, closed (an unknown field is an error), numbers not read from strings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def replace(self, **changes: Any) -> Self:
        """The same spec with some fields changed, validated again."""
        return type(self).model_validate({**dict(self), **changes})


class OneOf(Spec):
    """Exactly one member is set. Where a member needs no parameter, its bare name will do: `encoder: conv_encoder`."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {value: {}} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        chosen = [name for name, member in self if member is not None]
        if len(chosen) != 1:
            raise ValueError(f"exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def selected(self) -> tuple[str, Spec]:
        """The name of the member that is set, and the member."""
        return next((name, member) for name, member in self if member is not None)

    @property
    def word(self) -> str:
        """The name of the member that is set."""
        return self.selected[0]

    @property
    def label(self) -> str:
        """What tables and recorded configurations call the member: its name, and for a plugin the plugin's word."""
        word, member = self.selected
        return member.word if isinstance(member, Plugin) else word

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [self.selected]

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler.resolve_ref_schema(handler(schema))
        members: dict[str, Any] = described["properties"]
        for member in members.values():
            member.pop("default", None)
            if "anyOf" in member:
                member.update(next(option for option in member.pop("anyOf") if option != {"type": "null"}))
        described |= {"minProperties": 1, "maxProperties": 1}
        return or_text(described, {"enum": list(members)})


def or_text(described: JsonSchemaValue, text: JsonSchemaValue) -> JsonSchemaValue:
    """The JSON Schema of an object that a text may stand for; `described` is changed in place and returned."""
    whole = dict(described)
    described.clear()
    described |= {"title": whole.pop("title"), "description": whole.pop("description", "")}
    described["anyOf"] = [whole, {"type": "string", **text}]
    return described


class Plugin(Spec):
    """A user's own part. Its source digest is in the key, so an edited loss is a new step."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z_][\w.:-]*$")]
    """Entry point or `module:name`."""
    parameters: PlainObject = Field(default_factory=dict)
    """Keyword arguments, as JSON."""
    source_digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """sha256 of the source, filled in at submission."""

    @property
    def word(self) -> str:
        """What cells and tables call it: `my_package.losses:SmoothVae` is `plugin_smooth_vae`."""
        _, _, last = self.name.rpartition(":")
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", last.rpartition(".")[2])
        plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
        return f"plugin_{plain[:50]}".strip("_")
