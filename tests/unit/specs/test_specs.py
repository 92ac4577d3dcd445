"""Specs: what they accept, and what they say about what they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from disentanglement.errors import SpecError
from disentanglement.specs import EvaluateSpec, MetricSpec, ObjectiveSpec, StudySpec, TrainSpec, parse_spec, parse_yaml
from disentanglement.specs.parsing import load_yaml
from disentanglement.specs.schema import study_schema, study_schema_text

DEMO = """
name: demo
model:
  dataset: dsprites_full
  objective: {beta_vae: {beta: 1}}
  optimizer: {adam: {learning_rate: 1e-4}}
grid:
  product:
    - sweep: {objective.beta_vae.beta: [1, 4]}
    - sweep: {random_seed: [0, 1]}
representations: [mean, sampled]
metrics: [mig, {dci: {num_train: 1000}}]
"""


def errors_of(kind: type[Any], plain: Any) -> dict[str, tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        parse_spec(kind, plain)
    return {v.field: (v.wanted, v.given) for v in caught.value.violations}


def train(**changes: Any) -> dict[str, Any]:
    return {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 4}}, **changes}


def test_a_study_file_parses_with_bare_names_for_members_without_parameters() -> None:
    study = parse_yaml(StudySpec, DEMO)
    assert [metric.word for metric in study.metrics] == ["mig", "dci"]
    assert [representation.word for representation in study.representations] == ["mean", "sampled"]
    assert study.model.dataset.name == "dsprites_full"


def test_defaults_are_the_published_studies() -> None:
    spec = parse_spec(TrainSpec, train())
    adam = spec.optimizer.adam
    assert adam is not None
    assert (spec.batch_size, spec.training_steps, spec.architecture.num_latent) == (64, 300_000, 10)
    assert (adam.learning_rate, adam.beta1, adam.beta2, adam.epsilon) == (1e-4, 0.9, 0.999, 1e-8)
    assert (spec.architecture.encoder.word, spec.architecture.decoder.word) == ("conv_encoder", "deconv_decoder")


@pytest.mark.parametrize(
    ("plain", "field", "wanted", "given"),
    [
        (train(batch_size="64"), "batch_size", "a valid integer", "'64'"),
        (train(batch_size=True), "batch_size", "a valid integer", "True"),
        (train(objective={"beta_vae": {"beta": -1}}), "objective.beta_vae.beta", "greater than or equal to 0", "-1"),
        (train(objective={"beta_vae": {}}), "objective.beta_vae.beta", "a value (the field is required)", "nothing"),
        (train(learning_rate=1), "learning_rate", "a known field", "an unknown one with value 1"),
        (train(random_seed=2**32), "random_seed", "less than 4294967296", "4294967296"),
    ],
)
def test_an_error_names_the_field_the_wanted_and_the_given(
    plain: dict[str, Any], field: str, wanted: str, given: str
) -> None:
    assert errors_of(TrainSpec, plain) == {field: (wanted, given)}


def test_two_objectives_at_once_are_refused_with_the_list_of_names() -> None:
    wanted, _ = errors_of(ObjectiveSpec, {"beta_vae": {"beta": 1}, "factor_vae": {"gamma": 1}})["document"]
    assert wanted.startswith("exactly one of beta_vae, annealed_vae")


def test_a_parameter_cannot_reach_the_wrong_metric() -> None:
    assert list(errors_of(MetricSpec, {"mig": {"num_test": 5}})) == ["mig.num_test"]


@pytest.mark.parametrize(
    ("objective", "method"),
    [
        ({"beta_vae": {"beta": 1}}, "beta_vae"),
        ({"dip_vae": {"lambda_od": 1, "lambda_d_factor": 1, "dip_type": "ii"}}, "dip_vae_ii"),
        ({"group_vae": {"beta": 1, "aggregation": "argmax"}}, "group_vae_argmax"),
    ],
)
def test_the_method_is_the_word_that_the_reference_uses(objective: dict[str, Any], method: str) -> None:
    assert parse_spec(ObjectiveSpec, objective).method == method


def test_labels_are_required_where_the_objective_needs_them_and_refused_elsewhere() -> None:
    supervised = {"s2_vae": {"beta": 1, "gamma_sup": 1, "supervised_loss": "l2"}}
    assert "s2_vae learns from labels" in errors_of(TrainSpec, train(objective=supervised))["labelled"][0]
    labelled = {"num_labelled_samples": 100}
    assert "no use for it" in errors_of(TrainSpec, train(labelled=labelled))["labelled"][0]
    assert parse_spec(TrainSpec, train(objective=supervised, labelled=labelled)).labelled is not None


def test_a_standard_error_is_off_unless_asked_for() -> None:
    assert not parse_spec(EvaluateSpec, {"metric": "mig"}).standard_error


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.0e-4", ".0001", "0.0001"])
def test_yaml_numbers_are_numbers_however_they_are_written(text: str) -> None:
    assert load_yaml(f"x: {text}") == {"x": 1e-4}


def test_yaml_words_and_dates_stay_text() -> None:
    assert load_yaml("{a: 2026-01-01, b: 1_000, c: 0x10, d: 1:30}") == {
        "a": "2026-01-01",
        "b": "1_000",
        "c": "0x10",
        "d": "1:30",
    }


@pytest.mark.parametrize(
    "text", ["a: [", "a: 1\na: 2", "a: &x 1\nb: *x", "1: 2", "{? [1]: 2}", "!!python/object:os.system {}", "\x00"]
)
def test_hostile_yaml_is_a_spec_error(text: str) -> None:
    with pytest.raises(SpecError):
        load_yaml(text)


def test_deep_nesting_is_a_spec_error() -> None:
    with pytest.raises(SpecError):
        parse_yaml(StudySpec, "[" * 5000)


def test_a_large_document_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(SpecError, match="at most"):
        load_yaml("a" * (1 << 21))


def test_the_published_schema_is_up_to_date() -> None:
    published = Path(__file__).parents[3] / "docs" / "schema" / "study.schema.json"
    assert published.read_text() == study_schema_text(), "run: make schema"


def test_the_schema_accepts_a_study_and_refuses_a_misspelt_one() -> None:
    schema, study = study_schema(), load_yaml(DEMO)
    jsonschema.validate(study, schema)
    study["metrics"].append({"mig": {"num_trian": 5}})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(study, schema)


def test_the_schema_is_strict_json() -> None:
    json.loads(study_schema_text(), parse_constant=pytest.fail)
