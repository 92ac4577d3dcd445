from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from disentanglement.cli.local_study import read_file
from disentanglement.errors import SpecError
from disentanglement.rpc.operations import read_study
from disentanglement.specs import StudySpec, parse_spec
from disentanglement.studies.metric_lists import LISTS, parse_study, parse_study_yaml
from disentanglement.studies.plan import evaluations_of
from disentanglement.studies.published import published

FILE = """
name: mine
model: {dataset: dsprites_full, objective: {beta_vae: {beta: 4}}}
representations: [mean]
metrics: [unsupervised_study_v1, infomec_continuous]
"""
PLAIN: dict[str, Any] = {
    "name": "mine",
    "model": {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 4}}},
    "representations": ["mean"],
}
PUBLISHED = published("unsupervised_study_v1")
OF_THE_MEAN = evaluations_of(PUBLISHED)[0]


def words(study: StudySpec) -> list[str]:
    return [metric.word for metric in study.metrics]


def test_a_studys_name_stands_for_its_metrics_with_their_seeds() -> None:
    study = parse_study_yaml(FILE)
    assert words(study) == [*words(PUBLISHED), "infomec_continuous"]
    [evaluations] = evaluations_of(study)
    assert evaluations[:-1] == OF_THE_MEAN
    assert evaluations[-1].random_seed == 0


def test_clients_of_an_aggregator_read_studies_alike() -> None:
    assert read_study(FILE) == parse_study_yaml(FILE)
    assert read_study({**PLAIN, "metrics": ["unsupervised_study_v1", "infomec_continuous"]}) == read_study(FILE)


def test_both_representations_have_the_seeds_of_the_published_study() -> None:
    study = parse_study({**PLAIN, "representations": ["mean", {"sampled": {}}], "metrics": ["unsupervised_study_v1"]})
    assert evaluations_of(study) == evaluations_of(PUBLISHED)


def test_a_seed_that_is_given_is_the_seed_of_all() -> None:
    study = parse_study({**PLAIN, "metrics": ["unsupervised_study_v1", "jemmig"], "evaluation_seed": 5})
    assert {spec.random_seed for spec in evaluations_of(study)[0]} == {5}


def test_a_seed_of_ones_own_for_one_metric_stands() -> None:
    own = {"representation": "mean", "metric": "mig", "random_seed": 7}
    study = parse_study({**PLAIN, "metrics": ["unsupervised_study_v1"], "evaluation_seeds": [own]})
    seeds = {spec.metric.word: spec.random_seed for spec in evaluations_of(study)[0]}
    assert seeds["mig"] == 7
    assert seeds["dci"] == next(spec.random_seed for spec in OF_THE_MEAN if spec.metric.word == "dci")


def test_a_metric_of_several_lists_is_computed_once() -> None:
    study = parse_study({**PLAIN, "metrics": ["mig", "unsupervised_study_v1", "fairness_study_v1"]})
    assert words(study) == [*words(PUBLISHED), "fairness"]


def test_other_studies_are_read_as_ever() -> None:
    plain = {**PLAIN, "metrics": ["mig"]}
    assert parse_study(plain) == parse_spec(StudySpec, plain)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"metrics": ["unsupervised_study_v1", "mgi"]}, "metrics.1"),
        ({"metrics": ["unsupervised_study_v1", {"jemmig": {"num_bins": 1}}]}, "metrics.1.jemmig.num_bins"),
        ({"metrics": ["unsupervised_study_v1"], "evaluation_seeds": [{"metric": "mig"}]}, "evaluation_seeds.0"),
        ({"metrics": "unsupervised_study_v1"}, "metrics"),
        ({"metrics": ["unsupervised_study_v1"], "representations": 3}, "representations"),
    ],
)
def test_errors_name_the_place_as_it_is_written(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_study({**PLAIN, **changes})
    assert caught.value.violations[0].field.startswith(field)


def test_the_published_studies_have_lists() -> None:
    assert set(LISTS) == {"unsupervised_study_v1", "fairness_study_v1", "abstract_reasoning_study_v1"}


def test_a_study_file_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(FILE)
    assert read_file(path) == parse_study_yaml(FILE)
