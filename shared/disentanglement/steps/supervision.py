"""Whether labels and pairs that a training asks for can be had of its data set. Needs no torch."""

from __future__ import annotations

from disentanglement.datasets.labellers import check_latents, num_labels
from disentanglement.datasets.pairs import check_number_of_changes
from disentanglement.specs import TrainSpec
from disentanglement.specs.supervision import SupervisedLossSpec


def check_supervision(spec: TrainSpec, num_factors: int) -> None:
    """What the training would refuse when it begins.

    Raises:
        SpecError: more observed or changed factors than there are, or fewer latents than labels.
    """
    if spec.labelled is not None:
        labels = num_labels(spec.labelled.labeller, num_factors)
        loss = getattr(spec.objective.selected[1], "supervised_loss", None)
        if isinstance(loss, SupervisedLossSpec):
            check_latents(loss, num_labels=labels, num_latent=spec.architecture.num_latent)
    if spec.pairs is not None:
        check_number_of_changes(spec.pairs.k, num_factors)
