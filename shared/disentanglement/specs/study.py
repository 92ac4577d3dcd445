"""A study: one training spec, a grid of changes to it, and what to do with every model."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from disentanglement.specs.base import A_LIST, Name, OneOf, PlainObject, Seed, Spec
from disentanglement.specs.metrics import MetricSpec
from disentanglement.specs.steps import RepresentationSpec, TrainSpec

MAX_MODELS = 100_000


class GridSpec(OneOf):
    """A list of changes to the training spec, as dotted paths. `product` is the outer product, last list fastest."""

    fixed: PlainObject | None = None
    """One combination: `{training_steps: 1000}`."""
    sweep: PlainObject | None = None
    """One path and its values: `{objective.beta_vae.beta: [1, 4]}`."""
    zip: Annotated[tuple[GridSpec, ...], A_LIST, Field(min_length=1)] | None = None
    """Element by element; a list of length 1 is repeated."""
    chain: Annotated[tuple[GridSpec, ...], A_LIST, Field(min_length=1)] | None = None
    """One after the other."""
    product: Annotated[tuple[GridSpec, ...], A_LIST, Field(min_length=1)] | None = None
    """Every combination, the last list fastest."""

    @model_validator(mode="after")
    def _one_path_with_values(self) -> Self:
        if self.sweep is not None:
            values = list(self.sweep.values())
            if len(values) != 1 or not isinstance(values[0], list) or not values[0]:
                raise ValueError("`sweep` to be one path with a list of values, e.g. {random_seed: [0, 1]}")
        return self


class StudySpec(Spec):
    """A named sweep of models with the representations and metrics wanted of each."""

    name: Name
    """Letters, digits and underscores; names the study in the store."""
    model: TrainSpec
    """The base: what the grid does not change."""
    grid: GridSpec | None = None
    """Changes, one model each; none: the base alone."""
    representations: Annotated[tuple[RepresentationSpec, ...], A_LIST, Field(min_length=1)]
    metrics: Annotated[tuple[MetricSpec, ...], A_LIST, Field(min_length=1)]
    evaluation_seed: Seed = 0
    """Seed of every metric, so that metrics share samples and adding one changes no other."""
