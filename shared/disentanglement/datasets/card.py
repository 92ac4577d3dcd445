"""The data card: what a data set is, where it comes from, and the digest that stands for all of it in a spec."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from disentanglement.datasets.factor_space import FactorSpace
from disentanglement.datasets.images import Encoding
from disentanglement.errors import CorruptArtifact
from disentanglement.specs.canonical import canonical_json

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Origin(StrEnum):
    """Where images come from; only scores on released ones can be compared with published scores."""

    RELEASED = "released"
    RENDERED = "rendered"
    GENERATED = "generated"


class Factor(BaseModel):
    """One factor: its number of values, whether it is latent or observed noise, and what its values stand for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    size: Annotated[int, Field(ge=1)]
    is_latent: bool = True
    values: tuple[float, ...] = ()


class DataCard(BaseModel):
    """A data set's description. Make one with `DataCard.of`, which fills in the digest."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    origin: Origin
    digest: Sha256
    images_sha256: Sha256
    """Of the stored `.npy` file."""
    images_bytes: int
    num_images: int
    encoding: Encoding
    observation_shape: tuple[int, int, int]
    factors: tuple[Factor, ...]
    origin_note: str = ""
    """How the origin was decided."""
    source: str = ""
    licence: str = ""
    citation: str = ""

    @classmethod
    def of(cls, **fields: object) -> Self:
        """A card with its digest: sha256 over what decides the data, origin included."""
        undecided = cls.model_validate({**fields, "digest": "0" * 64})
        return undecided.model_copy(update={"digest": undecided.computed_digest()})

    def computed_digest(self) -> str:
        """The digest that belongs to the deciding fields."""
        deciding = {
            "name": self.name,
            "origin": str(self.origin),
            "factors": [[factor.name, factor.size, factor.is_latent] for factor in self.factors],
            "observation_shape": list(self.observation_shape),
            "encoding": self.encoding,
            "images_sha256": self.images_sha256,
        }
        return hashlib.sha256(canonical_json(deciding).encode()).hexdigest()

    @property
    def factor_space(self) -> FactorSpace:
        """The factors as they are drawn."""
        latent = tuple(i for i, factor in enumerate(self.factors) if factor.is_latent)
        return FactorSpace(tuple(f.name for f in self.factors), tuple(f.size for f in self.factors), latent)

    @property
    def is_comparable(self) -> bool:
        """Whether scores may be compared with published ones."""
        return self.origin is Origin.RELEASED

    def to_bytes(self) -> bytes:
        """JSON."""
        return self.model_dump_json(indent=1).encode()

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = "data card") -> Self:
        """The inverse of `to_bytes`.

        Raises:
            CorruptArtifact: it is no data card, or its digest is not its own.
        """
        try:
            card = cls.model_validate_json(data)
        except ValidationError as error:
            raise CorruptArtifact(f"{where}: not a data card: {error.errors()[0]['msg']}") from error
        if card.digest != card.computed_digest():
            raise CorruptArtifact(f"{where}: wanted digest {card.computed_digest()}, got {card.digest}")
        return card
