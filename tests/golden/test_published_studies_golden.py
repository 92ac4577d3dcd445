"""The published studies against the reference: every model's bindings, and the seeds of its pipeline.

The recorded bindings are a sample of the model numbers (`sweeps/`); all numbers are held against the index formula.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from disentanglement.results.bindings import binding_lines
from disentanglement.specs import StudySpec, TrainSpec
from disentanglement.studies.plan import Plan, expand_study, training_specs
from disentanglement.studies.published import study_spec

GOLDEN = Path(__file__).parent
DSPRITES = ["dsprites_full", "color_dsprites", "noisy_dsprites", "scream_dsprites"]
DATA_SETS = {
    "unsupervised_study_v1": [*DSPRITES, "smallnorb", "cars3d", "shapes3d"],
    "fairness_study_v1": [*DSPRITES, "smallnorb", "cars3d", "shapes3d"],
    "abstract_reasoning_study_v1": ["shapes3d", "abstract_dsprites"],
}
SEEDS = {"unsupervised_study_v1": 50, "fairness_study_v1": 50, "abstract_reasoning_study_v1": 5}
COUNTS = {"unsupervised_study_v1": 12600, "fairness_study_v1": 12600, "abstract_reasoning_study_v1": 360}
SWEEPS = sorted(COUNTS)
METHODS: list[tuple[list[str], list[float]]] = [
    (["model.name = 'beta_vae'", "vae.beta = {}", "model.model = @vae()"], [1, 2, 4, 6, 8, 16]),
    (
        [
            "model.name = 'factor_vae'",
            "factor_vae.gamma = {}",
            "model.model = @factor_vae()",
            "discriminator.discriminator_fn = @fc_discriminator",
        ],
        [10, 20, 30, 40, 50, 100],
    ),
    *(
        (
            [
                f"model.name = 'dip_vae_{kind}'",
                "model.model = @dip_vae()",
                "dip_vae.lambda_od = {}",
                f"dip_vae.lambda_d_factor = {factor}",
                f"dip_vae.dip_type = '{kind}'",
            ],
            [1.0, 2, 5, 10, 20, 50],
        )
        for kind, factor in (("i", 10.0), ("ii", 1.0))
    ),
    (["model.name = 'beta_tc_vae'", "model.model = @beta_tc_vae()", "beta_tc_vae.beta = {}"], [1, 2, 4, 6, 8, 10]),
    (
        [
            "model.name = 'annealed_vae'",
            "annealed_vae.c_max = {}",
            "annealed_vae.iteration_threshold = 100000",
            "annealed_vae.gamma = 1000",
            "model.model = @annealed_vae()",
        ],
        [5, 10, 25, 50, 75, 100],
    ),
]
"""Bindings and strengths of each method, as the reference's page of studies has them."""


def recorded(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GOLDEN / path).read_text())
    return loaded


@cache
def models_of(name: str) -> tuple[StudySpec, dict[int, TrainSpec]]:
    study = study_spec(name)
    return study, dict(training_specs(study))


@cache
def plan_of(name: str) -> Plan:
    study, models = models_of(name)
    return expand_study(study, {spec.dataset.name: "0" * 64 for spec in models.values()})


def lines_by_formula(name: str, number: int) -> list[str]:
    rest, seed = divmod(number, SEEDS[name])
    rest, strength = divmod(rest, 6)
    data_set, method = divmod(rest, 6)
    lines, strengths = METHODS[method]
    return [
        f"dataset.name = '{DATA_SETS[name][data_set]}'",
        "encoder.encoder_fn = @conv_encoder",
        "decoder.decoder_fn = @deconv_decoder",
        *(line.format(float(strengths[strength])) for line in lines),
        f"model.random_seed = {seed}",
    ]


@pytest.mark.parametrize("name", SWEEPS)
def test_recorded_models_have_the_references_bindings_in_order_and_rendering(name: str) -> None:
    study, models = models_of(name)
    golden = recorded(f"sweeps/{name}.json")
    assert len(models) == golden["num_models"]
    assert {number: binding_lines(study, models[int(number)]) for number in golden["rendered"]} == golden["rendered"]


@pytest.mark.parametrize("name", SWEEPS)
def test_every_model_number_has_the_bindings_of_the_index_formula(name: str) -> None:
    study, models = models_of(name)
    assert list(models) == list(range(COUNTS[name]))
    wrong = [number for number, spec in models.items() if binding_lines(study, spec) != lines_by_formula(name, number)]
    assert wrong == []


@pytest.mark.parametrize("name", SWEEPS)
def test_whatever_a_sweep_does_not_bind_is_the_shared_configuration(name: str) -> None:
    _, models = models_of(name)
    bound = {"dataset", "objective", "random_seed"}
    others = {field for spec in models.values() for field in spec.model_dump(exclude_defaults=True)} - bound
    assert others <= {"architecture"}
    assert {spec.architecture for spec in models.values()} == {TrainSpec.model_fields["architecture"].default}
    spec = models[0]
    assert (spec.batch_size, spec.training_steps, spec.eval_steps) == (64, 300_000, 1000)


def test_the_smoke_test_binds_nothing() -> None:
    study, models = models_of("test")
    assert {number: binding_lines(study, spec) for number, spec in models.items()} == {0: []}
    assert (study.model.batch_size, study.model.training_steps, study.model.dataset.name) == (2, 2, "dummy_data")


@pytest.mark.parametrize("name", [*SWEEPS, "test"])
def test_each_metric_on_each_representation_has_the_references_seed(name: str) -> None:
    golden = recorded("seeds/pipeline_seeds.json")["reproduce"][name]["evaluation"]
    for cell in plan_of(name).cells.values():
        for representation in cell.planned[0].representations:
            found = [spec.random_seed for spec in representation.evaluations]
            assert found == [golden[representation.word][metric] for metric in sorted(golden[representation.word])]


@pytest.mark.parametrize("name", [*SWEEPS, "test"])
def test_the_noise_of_a_sampled_representation_has_the_references_seed(name: str) -> None:
    golden = recorded("seeds/pipeline_seeds.json")["reproduce"][name]["postprocess"]
    [sampled] = [each.sampled for each in study_spec(name).representations if each.sampled is not None]
    assert sampled.random_seed == golden["sampled"]


def test_both_downstream_tasks_are_metrics_of_their_own() -> None:
    tasks = [metric.downstream_task for metric in study_spec("unsupervised_study_v1").metrics if metric.downstream_task]
    assert [task.predictor.word for task in tasks] == ["gradient_boosting_classifier", "logistic_regression_cv"]
    assert {task.num_train for task in tasks} == {(10, 100, 1000, 10000)}
