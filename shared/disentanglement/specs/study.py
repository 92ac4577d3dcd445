"""A study: one training spec, a grid of changes to it, and what to do with every model."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from disentanglement.specs.base import A_LIST, Name, OneOf, PlainObject, Seed, Spec
from disentanglement.specs.metrics import MetricSpec
from disentanglement.specs.steps import RepresentationSpec, TrainSpec

MAX_MODELS = 100_000

Numbers = Annotated[str, Field(pattern=r"^([0-9]{1,10}(-[0-9]{1,10})?(,[0-9]{1,10}(-[0-9]{1,10})?)*)?$")]
"""Numbers and ranges, e.g. `0-299,305`; empty: no condition."""


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


class Selection(Spec):
    """Which models of a study; every condition that is given has to hold. They keep their numbers."""

    models: Numbers = ""
    """Numbers of models, e.g. 0-299,305."""
    datasets: Annotated[tuple[Name, ...], A_LIST] = ()
    """Data sets, e.g. [dsprites_full]."""
    methods: Annotated[tuple[Name, ...], A_LIST] = ()
    """Methods, e.g. [beta_vae, dip_vae_i]."""
    seeds: Numbers = ""
    """Random seeds of models, e.g. 0-4."""


class EvaluationSeed(Spec):
    """The seed of one metric on one representation, where it is not the study's `evaluation_seed`."""

    representation: Name
    """`mean`, `sampled`, ..."""
    metric: MetricSpec
    """The metric, with the parameters that the study gives it."""
    random_seed: Seed


class StudySpec(Spec):
    """A named sweep of models with the representations and metrics wanted of each."""

    name: Name
    """Letters, digits and underscores; names the study in the store."""
    model: TrainSpec
    """The base: what the grid does not change."""
    grid: GridSpec | None = None
    """Changes, one model each; none: the base alone."""
    changes: PlainObject = Field(default_factory=dict)
    """Dotted paths that are the same in every model, over base and grid: `{training_steps: 1000}`."""
    selection: Selection = Selection()
    """Which of the models; none: all."""
    representations: Annotated[tuple[RepresentationSpec, ...], A_LIST, Field(min_length=1)]
    metrics: Annotated[tuple[MetricSpec, ...], A_LIST] = ()
    """Computed on every representation; none: train and extract only."""
    evaluation_seed: Seed = 0
    """Seed of every metric, so that metrics share samples and adding one changes no other."""
    evaluation_seeds: Annotated[tuple[EvaluationSeed, ...], A_LIST] = ()
    """Other seeds, as the published studies have one for each metric on each representation."""
    standard_error: bool = False
    """Scores have bootstrapped standard errors where those have a meaning."""
