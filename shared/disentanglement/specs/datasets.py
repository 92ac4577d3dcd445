"""Which data a step reads: a name, the digest of its arrays, and options that change what is drawn from them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from disentanglement.specs.base import A_LIST, Name, OneOf, Plugin, Positive, Spec, or_text

ValueIndex = Annotated[int, Field(ge=0, lt=2**31)]


class CorrelatedFactors(Spec):
    """Two factors drawn together in training (Traeuble et al., 2021, arXiv:2006.07886); smaller is stronger."""

    factors: Annotated[tuple[str, str], A_LIST]
    """Names of the two factors."""
    strength: Positive
    """Standard deviation of the Gaussian around the diagonal, in units of the factor's range."""


class HeldOutFactors(Spec):
    """Combinations of factor values that training never sees."""

    factors: Annotated[tuple[str, ...], A_LIST, Field(min_length=1)]
    """Names of the factors that a combination fixes."""
    values: Annotated[tuple[Annotated[tuple[ValueIndex, ...], A_LIST], ...], A_LIST, Field(min_length=1)]
    """One row per combination, one value index per factor."""


class DatasetOption(OneOf):
    """One change of how training draws from a data set."""

    correlated_factors: CorrelatedFactors | None = None
    held_out_factors: HeldOutFactors | None = None
    plugin: Plugin | None = None


class DatasetSpec(Spec):
    """A data set by name; the digest is resolved at submission, so rendered and released arrays never mix."""

    name: Name
    """A name of `disentangle data list`."""
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """sha256 of the data card and arrays; empty: the one that the store holds."""
    options: Annotated[tuple[DatasetOption, ...], A_LIST] = ()
    """Changes of how training draws, in order."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler.resolve_ref_schema(handler(schema))
        return or_text(described, {"pattern": described["properties"]["name"]["pattern"]})
