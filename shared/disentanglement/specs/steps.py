"""The three steps: train a model, extract its representation, score it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from disentanglement.specs.base import Count, OneOf, Plugin, Seed, Spec, misplaced
from disentanglement.specs.datasets import DatasetSpec
from disentanglement.specs.metrics import MetricSpec
from disentanglement.specs.networks import (
    VAE_OPTIMIZER,
    ArchitectureSpec,
    BernoulliLoss,
    OptimizerSpec,
    ReconstructionSpec,
)
from disentanglement.specs.objectives import ObjectiveSpec
from disentanglement.specs.supervision import LabelledDataSpec, PairsSpec

Step = Literal["train", "postprocess", "evaluate"]
Precision = Literal["fp32", "tf32", "bf16"]
STEPS: tuple[Step, ...] = ("train", "postprocess", "evaluate")

THREADS_PER_STEP = 1
"""Part of the contract: sums depend on the number of threads, so parallelism comes from several steps at once."""


class TrainSpec(Spec):
    """Everything that decides a trained model. Defaults are the published studies'."""

    dataset: DatasetSpec
    objective: ObjectiveSpec
    architecture: ArchitectureSpec = ArchitectureSpec()
    reconstruction: ReconstructionSpec = ReconstructionSpec(bernoulli_loss=BernoulliLoss())
    optimizer: OptimizerSpec = VAE_OPTIMIZER
    batch_size: Count = 64
    training_steps: Count = 300_000
    """Optimiser updates, counted as the reference counts them."""
    eval_steps: Count = 1000
    """Batches of the final evaluation."""
    random_seed: Seed = 0
    precision: Precision = "fp32"
    """What networks compute with; losses and optimisers are always fp32. `tf32` differs from it on GPUs alone."""
    labelled: LabelledDataSpec | None = None
    """The labelled sample; only for semi-supervised objectives."""
    pairs: PairsSpec | None = None
    """How pairs are made; only for weakly supervised objectives."""
    init_from: Annotated[str, Field(max_length=400)] = ""
    """A committed training whose weights this one starts from, its step key once resolved; else fresh ones."""

    @model_validator(mode="after")
    def _labels_and_pairs_fit(self) -> Self:
        beside = (
            ("labelled", self.objective.needs_labels, "learns from labels: labelled.num_labelled_samples=1000"),
            ("pairs", self.objective.needs_pairs, "learns from pairs: pairs.k=1"),
        )
        for field, needed, how in beside:
            given = getattr(self, field)
            if needed and given is None:
                raise misplaced(field, f"a value, as objective {self.objective.method} {how}", "nothing")
            if given is not None and not needed:
                raise misplaced(field, f"nothing, as objective {self.objective.method} has no use for it", "a value")
        return self

    @property
    def cell(self) -> str:
        """`<data set>.<method>`."""
        return f"{self.dataset.name}.{self.objective.method}"


class MeanRepresentation(Spec):
    """The encoder's mean."""


class SampledRepresentation(Spec):
    """A sample of the encoder's posterior; seeded, where the reference's noise is not."""

    random_seed: Seed = 0


class RepresentationSpec(OneOf):
    """Which function of (mean, log-variance) is the representation."""

    mean: MeanRepresentation | None = None
    sampled: SampledRepresentation | None = None
    plugin: Plugin | None = None


class PostprocessSpec(Spec):
    """Everything that decides a representation, given a trained model."""

    representation: RepresentationSpec


STANDARD_ERROR = ".standard_error"
"""What the key of a standard error adds to that of its score."""


class EvaluateSpec(Spec):
    """Everything that decides a score, given a representation."""

    metric: MetricSpec
    random_seed: Seed = 0
    standard_error: bool = False
    """Also bootstrap a standard error."""


StepSpec = TrainSpec | PostprocessSpec | EvaluateSpec
