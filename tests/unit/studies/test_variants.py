"""Parts of a study keep its numbers and seeds, and have names of their own."""

from __future__ import annotations

import re
from typing import Any

import pytest

from disentanglement.errors import SpecError
from disentanglement.specs import MetricSpec, Selection, parse_spec
from disentanglement.studies.plan import expand_study, training_specs
from disentanglement.studies.published import published
from disentanglement.studies.variants import MAX_NAME, apply_changes, variant, variant_name, with_metrics

STUDY = published("unsupervised_study_v1")
DIGESTS = {"dsprites_full": "0" * 64}


def test_selected_models_keep_their_numbers() -> None:
    part = variant(STUDY, selection=Selection(models="40-60", methods=("beta_vae",), seeds="0,42"))
    assert [model.number for model in expand_study(part, DIGESTS).models] == [42, 50]


@pytest.mark.parametrize(
    "selection",
    [Selection(models="12600"), Selection(models="5-3"), Selection(datasets=("mnist",)), Selection(seeds="50")],
)
def test_what_a_study_does_not_have_cannot_be_selected(selection: Selection) -> None:
    with pytest.raises(SpecError, match="selection"):
        training_specs(variant(STUDY, selection=selection))


def test_a_variant_may_be_called_as_in_a_cluster_and_another_name_is_refused_by_its_field() -> None:
    assert variant(STUDY, selection=Selection(models="42"), name="only-42").name.startswith("only_42")
    with pytest.raises(SpecError, match=r"name: .*Bad Name"):
        variant(STUDY, selection=Selection(models="42"), name="Bad Name")


def test_a_change_goes_over_the_grid_and_a_bare_name_is_the_objectives() -> None:
    part = variant(STUDY, selection=Selection(models="42"), changes={"beta": 3, "random_seed": 7})
    [spec] = training_specs(part).values()
    assert spec.objective.beta_vae is not None
    assert (spec.objective.beta_vae.beta, spec.random_seed) == (3.0, 7)


def test_a_parameter_that_only_other_objectives_have_is_refused() -> None:
    with pytest.raises(SpecError, match="gamma"):
        training_specs(apply_changes(STUDY, {"gamma": 3}))


def test_names_are_readable_and_differ_where_studies_differ() -> None:
    part = variant(STUDY, selection=Selection(models="42"), changes={"training_steps": 1000})
    assert part.name == "unsupervised_study_v1_models_42_training_steps_1000"
    names = {
        variant_name("a", [f"models_{text}"]) for text in ("1-2", "1,2", "12", "1-2,4-900,1000-1100,2000-2100,3000")
    }
    assert len(names) == 4
    assert max(map(len, names)) <= MAX_NAME


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a.b_c": 1}, {"a_b.c": 1}),
        ({"a.b": 1}, {"a_b": 1}),
        ({"a": 0.5}, {"a": 5}),
        ({"a": -1}, {"a": 1}),
        ({"a": "X"}, {"a": "x"}),
        ({"a": [1, 2]}, {"a": [12]}),
        ({"a": "1_b_2"}, {"a": 1, "b": 2}),
        ({"a__b": 1}, {"a_b": 1}),
    ],
)
def test_different_changes_have_different_names(one: dict[str, Any], other: dict[str, Any]) -> None:
    names = [variant(STUDY, changes=changes).name for changes in (one, other)]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)


def test_other_metrics_alone_are_no_other_study() -> None:
    assert variant(STUDY, metrics=[MetricSpec.model_validate("mig")]).name == STUDY.name


def test_chosen_metrics_keep_the_seeds_of_the_published_study() -> None:
    mig = parse_spec(MetricSpec, {"mig": {"num_train": 100}})
    for metrics in ([MetricSpec.model_validate("mig")], [mig]):
        part = with_metrics(variant(STUDY, selection=Selection(models="0")), metrics)
        [model] = expand_study(part, DIGESTS).models
        assert [[spec.random_seed for spec in specs] for specs in model.evaluations] == [[3638918503], [4138900056]]


def test_a_study_without_metrics_is_trained_and_extracted_only() -> None:
    [model] = expand_study(variant(STUDY, selection=Selection(models="0"), metrics=[]), DIGESTS).models
    assert [representation.evaluation_keys for representation in model.representations] == [(), ()]
