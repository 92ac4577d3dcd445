"""What is recorded of a training with labels or pairs has the reference's names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from strategies import specs

from disentanglement.results.encoding import train_config
from disentanglement.specs import TrainSpec

LABELLED = {
    "num_labelled_samples": 100,
    "supervised_data_seed": 5,
    "unsupervised_data_seed": 6,
    "labeller": {"partial_labeller": {"num_observed_factors": 3}},
}
ANNEALER = {"anneal_fn": "fine_tune", "iteration_threshold": 50}
UNSUPERVISED_KEYS = {"model.random_seed", "model.eval_steps", "model.model_num"}
LABELLED_KEYS = {
    "model.model_seed": "4",
    "model.supervised_data_seed": "5",
    "model.unsupervised_data_seed": "6",
    "model.num_labelled_samples": "100",
    "model.train_percentage": "0.9",
    "labeller.labeller_fn": "@partial_labeller",
    "partial_labeller.num_observed_factors": "3",
}


def config(objective: dict[str, Any], **parts: Any) -> dict[str, str]:
    spec = {"dataset": "dummy_data", "objective": objective, "random_seed": 4, **parts}
    return train_config(TrainSpec.model_validate(spec))


def config_of(word: str, **parameters: Any) -> dict[str, str]:
    return config({word: parameters}, labelled=LABELLED)


def changes(recorded: dict[str, str]) -> dict[str, str]:
    """What is recorded beside what every training records."""
    usual = config({"beta_vae": {"beta": 1.0}})
    return {name: value for name, value in recorded.items() if usual.get(name) != value}


def test_a_semi_supervised_training_records_its_seeds_labels_loss_and_annealer() -> None:
    recorded = config_of("s2_vae", beta=4.0, gamma_sup=2.0, supervised_loss={"l2": {}}, annealer=ANNEALER)
    assert not UNSUPERVISED_KEYS & recorded.keys()
    assert changes(recorded) == LABELLED_KEYS | {
        "model.name": "'s2_vae'",
        "model.model": "@s2_vae",
        "s2_vae.beta": "4.0",
        "s2_vae.gamma_sup": "2.0",
        "annealer.anneal_fn": "@fine_tune",
        "annealer.iteration_threshold": "50",
        "supervised_loss.loss_fn": "@l2",
        "l2.learn_scale": "True",
    }


@pytest.mark.parametrize(("sigma", "expected"), [({"learned": {}}, "'learn'"), ({"fixed": {"value": 0.5}}, "0.5")])
def test_embeddings_are_recorded_with_their_width(sigma: dict[str, Any], expected: str) -> None:
    recorded = config_of("supervised", supervised_loss={"embed": {"sigma": sigma, "use_order": True}})
    assert changes(recorded) == LABELLED_KEYS | {
        "model.name": "'supervised'",
        "model.model": "@supervised",
        "supervised_loss.loss_fn": "@embed",
        "embed.sigma": expected,
        "embed.use_order": "True",
    }


def test_neither_loss_nor_annealer_is_recorded_where_there_is_none() -> None:
    mine = config_of("s2_mine_vae", beta=1.0, gamma_sup=1.0)
    assert "annealer.anneal_fn" in mine
    assert not any(name.startswith("supervised_loss") for name in mine)
    supervised = config_of("supervised", supervised_loss={"xent": {}})
    assert not any(name.startswith("annealer") for name in supervised)


@pytest.mark.parametrize("word", ["s2_factor_vae", "s2_factor_vae_corrected"])
def test_a_discriminator_is_recorded_with_its_optimiser(word: str) -> None:
    recorded = config_of(word, gamma=3.0, gamma_sup=2.0, supervised_loss={"cov": {}})
    assert recorded["discriminator.discriminator_fn"] == "@fc_discriminator"
    assert recorded["discriminator/AdamOptimizer.beta1"] == "0.5"
    assert (recorded[f"{word}.gamma"], recorded[f"{word}.gamma_sup"]) == ("3.0", "2.0")


@pytest.mark.parametrize("word", ["group_vae", "mlvae"])
@pytest.mark.parametrize("aggregation", ["labels", "argmax"])
def test_a_weakly_supervised_training_records_its_dynamics(word: str, aggregation: str) -> None:
    recorded = config({word: {"beta": 2.0, "aggregation": aggregation}}, pairs={"k": -1})
    assert not {"model.eval_steps", "model.model_num"} & recorded.keys()
    assert changes(recorded) == {
        "model.name": f"'{word}_{aggregation}'",
        "model.model": f"@{word}_{aggregation}()",
        f"{word}.beta": "2.0",
        "dynamics.k": "-1",
    }


@given(specs(TrainSpec))
def test_every_training_is_recorded_and_its_seed_by_one_name(spec: TrainSpec) -> None:
    recorded = train_config(spec)
    seeds = [recorded[name] for name in ("model.random_seed", "model.model_seed") if name in recorded]
    assert seeds == [str(spec.random_seed)]
    assert ("labeller.labeller_fn" in recorded) == (spec.labelled is not None)
    assert ("dynamics.k" in recorded) == (spec.pairs is not None)
