"""The torch-free lists of what is built say what the catalogs hold."""

from __future__ import annotations

import torch

from disentanglement.models import catalog
from disentanglement.models.networks import architectures
from disentanglement.models.networks.ops import ops_for
from disentanglement.specs import ObjectiveSpec, TrainSpec
from disentanglement.specs.networks import DecoderSpec, EncoderSpec, OptimizerSpec
from disentanglement.steps import support


def test_every_objective_of_the_specs_is_in_a_catalog_and_listed() -> None:
    assert catalog.REGULARIZERS.keys() | catalog.OBJECTIVES.keys() == support.OBJECTIVES
    assert set(ObjectiveSpec.model_fields) == support.OBJECTIVES
    assert set(catalog.REGULARIZERS) == support.UNSUPERVISED
    assert {word for word in ObjectiveSpec.model_fields if needs_labels(word)} == support.SEMI_SUPERVISED


def needs_labels(word: str) -> bool:
    return word == "supervised" or word.startswith("s2_")


def test_networks_optimisers_and_precisions_are_listed() -> None:
    assert set(EncoderSpec.model_fields) == support.ENCODERS
    assert set(DecoderSpec.model_fields) == support.DECODERS
    assert set(architectures.ENCODERS) == support.ENCODERS - support.PLUGIN
    assert set(architectures.DECODERS) == support.DECODERS - support.PLUGIN
    assert set(OptimizerSpec.model_fields) == support.OPTIMIZERS
    assert all(ops_for(precision, torch.device("cpu")) for precision in support.PRECISIONS)  # type: ignore[arg-type]


def test_what_is_not_built_is_named() -> None:
    spec = TrainSpec.model_validate({"dataset": "norb", "objective": {"beta_vae": {"beta": 1.0}}})
    assert list(support.missing([spec])) == ["dataset.norb"]
