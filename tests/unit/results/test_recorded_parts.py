"""Optimisers, schedules and plugins in recorded configurations, by the reference's names where it has them."""

from __future__ import annotations

from typing import Any

import pytest

from disentanglement.results.bindings import binding_lines
from disentanglement.results.encoding import evaluation_config, train_config
from disentanglement.results.tables import changed_parameters
from disentanglement.specs import EvaluateSpec, MetricSpec, StudySpec, TrainSpec, parse_spec
from disentanglement.studies.plan import expand_study

OWN = {"plugin": {"name": "my_model:MyVae", "parameters": {"strength": 2.5}, "source_digest": "a" * 64}}


def train(**changes: Any) -> TrainSpec:
    return parse_spec(TrainSpec, {"dataset": "dummy_data", "objective": {"beta_vae": {"beta": 4}}, **changes})


def test_adam_is_recorded_as_the_studies_have_it() -> None:
    config = train_config(train())
    assert config["vae_optimizer.optimizer_fn"] == "@vae/AdamOptimizer"
    assert config["vae_optimizer.learning_rate"] == "None"
    adam = {name.split(".")[1]: value for name, value in config.items() if name.startswith("vae/AdamOptimizer.")}
    assert adam == {
        "beta1": "0.9",
        "beta2": "0.999",
        "epsilon": "1e-08",
        "learning_rate": "0.0001",
        "name": "'Adam'",
        "use_locking": "False",
    }


def test_gradient_descent_is_not_recorded_as_adam() -> None:
    config = train_config(train(optimizer={"gradient_descent": {"learning_rate": 0.1}}))
    assert config["vae_optimizer.optimizer_fn"] == "@vae/GradientDescentOptimizer"
    assert config["vae/GradientDescentOptimizer.learning_rate"] == "0.1"
    assert not any("Adam" in text for text in (*config, *config.values()))


@pytest.mark.parametrize(
    ("schedule", "recorded"),
    [
        (
            {"exponential_decay": {"initial": 0.1, "decay_rate": 0.9}},
            {
                "exponential_decay.learning_rate": "0.1",
                "exponential_decay.decay_rate": "0.9",
                "exponential_decay.decay_steps": "1",
            },
        ),
        (
            {"piecewise_constant": {"boundaries": [3, 5], "values": [0.2, 0.1, 0.01]}},
            {"piecewise_constant.boundaries": "[3, 5]", "piecewise_constant.values": "[0.2, 0.1, 0.01]"},
        ),
    ],
)
def test_a_schedule_takes_the_place_of_the_rate(schedule: dict[str, Any], recorded: dict[str, str]) -> None:
    config = train_config(train(optimizer={"adam": {"schedule": schedule}}))
    (word,) = schedule
    assert config["vae_optimizer.learning_rate"] == f"@{word}"
    assert {name: value for name, value in config.items() if name.startswith(f"{word}.")} == recorded
    assert "vae/AdamOptimizer.schedule" not in config


def test_plugins_are_recorded_by_their_words_and_parameters() -> None:
    config = train_config(train(objective=OWN, architecture={"encoder": OWN}, optimizer=OWN, reconstruction=OWN))
    assert config["model.name"] == "'plugin_my_vae'"
    assert config["model.model"] == "@plugin_my_vae()"
    assert config["plugin_my_vae.strength"] == "2.5"
    assert config["encoder.encoder_fn"] == "@plugin_my_vae"
    assert config["reconstruction_loss.loss_fn"] == "@plugin_my_vae"
    assert config["vae/plugin_my_vae.strength"] == "2.5"
    scored = evaluation_config(EvaluateSpec(metric=MetricSpec.model_validate(OWN)), "dummy_data")
    assert scored["evaluation.evaluation_fn"] == "@plugin_my_vae"
    assert scored["plugin_my_vae.strength"] == "2.5"


def test_a_study_of_plugins_has_binding_lines_and_no_column_of_digests() -> None:
    plain = {
        "name": "s",
        "model": {"dataset": "dummy_data", "objective": OWN},
        "grid": {"sweep": {"random_seed": [0, 1]}},
        "representations": ["mean"],
    }
    study = parse_spec(StudySpec, plain)
    lines = binding_lines(study, study.model)
    assert {"model.name = 'plugin_my_vae'", "model.model = @plugin_my_vae()", "plugin_my_vae.strength = 2.5"} <= set(
        lines
    )
    plan = expand_study(study, {"dummy_data": "0" * 64})
    paths = changed_parameters(plan.cells.values())
    assert "objective.plugin.name" in paths
    assert not any("digest" in path for path in paths)
