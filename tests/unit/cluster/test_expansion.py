"""From a Study resource to its plan."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from disentanglement.cluster.expansion import expanded, study_spec
from disentanglement.cluster.resource import StudyResource
from disentanglement.cluster.submission import resource_spec, study_resource
from disentanglement.datasets.card import DataCard, Factor
from disentanglement.errors import SpecError
from disentanglement.specs import MetricSpec, Selection, parse_spec
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies import published
from disentanglement.studies.pending import steps_of
from disentanglement.studies.plan import Plan, expand_study
from disentanglement.studies.records import load_study
from disentanglement.studies.variants import variant

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INLINE = {
    "model": {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 4}}},
    "grid": {"product": [{"sweep": {"objective.beta_vae.beta": [1, 4]}}, {"sweep": {"random_seed": [0, 1]}}]},
    "representations": ["mean"],
}


def resource(**spec: Any) -> StudyResource:
    metadata = {"name": "my-study", "namespace": "disentanglement"}
    item = {"apiVersion": "disentanglement.dev/v1alpha1", "kind": "Study", "metadata": metadata, "spec": spec}
    return StudyResource.from_object(item)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store holds every data set."""

    def digests(_: object, names: list[str]) -> dict[str, str]:
        return dict.fromkeys(names, "0" * 64)

    def card(*_: object) -> DataCard | None:
        return DataCard.model_construct(factors=(Factor(name="shape", size=3),))

    monkeypatch.setattr("disentanglement.steps.admission.data_set_digests", digests)
    monkeypatch.setattr("disentanglement.steps.admission.find_data_set", card)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def plan(store: DirectoryStore, **spec: Any) -> Plan:
    return expanded(resource(**spec), store, project="default", now=NOW)


def test_an_inline_study_is_planned_under_its_name_in_the_store(data: None, store: DirectoryStore) -> None:
    found = plan(store, inline=INLINE, metrics=["mig", {"sap_score": {"num_train": 10}}])
    assert len(found.models) == 4
    record = load_study(store, "default", "my_study")
    assert record.plan == found.digest
    assert [metric.word for metric in record.study_spec().metrics] == ["mig", "sap_score"]


def test_what_is_set_is_the_same_in_every_model(data: None, store: DirectoryStore) -> None:
    found = plan(store, inline=INLINE, metrics=["mig"], set={"training_steps": 7})
    assert {model.train.training_steps for model in found.models} == {7}


def test_selected_models_keep_their_numbers(data: None, store: DirectoryStore) -> None:
    found = plan(store, inline=INLINE, metrics=["mig"], selection={"seeds": "1"})
    assert [model.number for model in found.models] == [1, 3]


def test_a_published_study_has_its_own_metrics_and_seeds() -> None:
    study = study_spec(resource(study="unsupervised_study_v1"))
    original = published.study_spec("unsupervised_study_v1")
    assert study == original.replace(name="my_study")


def test_metrics_that_are_named_take_the_place_of_the_published_ones() -> None:
    study = study_spec(resource(study="unsupervised_study_v1", metrics=["mig"], selection={"models": "0"}))
    [model] = expand_study(study, {"dsprites_full": "0" * 64}).models
    original = published.study_spec("unsupervised_study_v1").replace(selection={"models": "0"})
    [whole] = expand_study(original, {"dsprites_full": "0" * 64}).models
    for few, all_ in zip(model.representations, whole.representations, strict=True):
        assert set(few.evaluation_keys) < set(all_.evaluation_keys), "the same scores as in the whole study"


@pytest.mark.parametrize("metrics", [None, ["mig"], ["mig", {"dci": {"num_train": 100}}, "irs"]])
def test_the_same_content_has_the_same_steps_in_a_cluster_and_locally(metrics: list[Any] | None) -> None:
    models, changes, digests = "3,42", {"training_steps": 30, "beta": 3}, {"dsprites_full": "0" * 64}
    wanted = None if metrics is None else [parse_spec(MetricSpec, metric) for metric in metrics]
    local = variant(
        published.study_spec("unsupervised_study_v1"),
        selection=Selection(models=models),
        changes=changes,
        metrics=wanted,
    )
    given: dict[str, Any] = {"study": "unsupervised_study_v1", "selection": {"models": models}, "set": changes}
    given |= {} if metrics is None else {"metrics": metrics}
    sent = StudyResource.from_object(study_resource(local.name, resource_spec(local)))
    assert sent.spec.study == "unsupervised_study_v1"
    keys = [
        [item.id for model in expand_study(study, digests).models for item in steps_of(model)]
        for study in (local, study_spec(resource(**given)), study_spec(sent))
    ]
    assert keys[0] == keys[1] == keys[2]


def test_a_published_study_whose_metrics_grow_by_one_with_seeds_keeps_its_data(
    monkeypatch: pytest.MonkeyPatch, data: None, store: DirectoryStore
) -> None:
    parts = {"study": "unsupervised_study_v1", "selection": {"models": "0"}}
    before = plan(store, **parts, metrics=["mig"])
    later = {"dsprites_full": "1" * 64}
    monkeypatch.setattr("disentanglement.steps.admission.data_set_digests", lambda *_: later)
    after = plan(store, **parts, metrics=["mig", {"dci": {"num_train": 100}}])
    assert [model.key for model in before.models] == [model.key for model in after.models]


def test_a_metric_more_changes_no_key(data: None, store: DirectoryStore) -> None:
    before, after = (plan(store, inline=INLINE, metrics=metrics) for metrics in (["mig"], ["mig", "sap_score"]))
    assert before.digest != after.digest
    for old, new in zip(before.models, after.models, strict=True):
        assert old.key == new.key
        assert set(old.representations[0].evaluation_keys) < set(new.representations[0].evaluation_keys)
    assert load_study(store, "default", "my_study").plan == after.digest


def test_a_metric_more_changes_no_model_to_start_from(
    monkeypatch: pytest.MonkeyPatch, data: None, store: DirectoryStore
) -> None:
    """Although its name is another model's by now."""
    keys = iter(f"dsprites_full.beta_vae.{letter * 52}" for letter in "ab")
    monkeypatch.setattr("disentanglement.steps.admission.check_initial", lambda *_: None)
    monkeypatch.setattr("disentanglement.steps.warm_start.resolve", lambda *_: next(keys))
    inline = {**INLINE, "grid": {"sweep": {"init_from": ["", "best"]}}}
    before, after = (plan(store, inline=inline, metrics=metrics) for metrics in (["mig"], ["mig", "sap_score"]))
    assert before.digest != after.digest
    assert [model.train.init_from for model in before.models] == ["", f"dsprites_full.beta_vae.{'a' * 52}"]
    assert [model.key for model in before.models] == [model.key for model in after.models]


def test_a_study_made_anew_takes_the_place_of_the_old_one(data: None, store: DirectoryStore) -> None:
    plan(store, inline=INLINE, metrics=["mig"])
    found = plan(store, inline={**INLINE, "representations": ["sampled"]}, metrics=["mig"])
    assert load_study(store, "default", "my_study").plan == found.digest


def test_models_without_metrics_are_only_trained(data: None, store: DirectoryStore) -> None:
    found = plan(store, inline=INLINE, metrics=[])
    assert not any(each.evaluations for model in found.models for each in model.representations)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"study": "nothing"}, "spec.study: wanted a published study"),
        ({"inline": INLINE}, "spec.metrics: wanted a list of metrics"),
        ({"inline": {**INLINE, "name": "x"}, "metrics": []}, "spec.inline.name: wanted nothing"),
        ({"inline": INLINE, "metrics": ["mgi"]}, "spec.metrics.0.mgi: wanted a known field"),
        ({"inline": {"representations": ["mean"]}, "metrics": ["mig"]}, "spec.inline.model: wanted a value"),
        (
            {"inline": INLINE, "metrics": ["mig"], "selection": {"models": "9"}},
            "spec.selection.models: wanted numbers of models, 0 to 3",
        ),
        (
            {
                "inline": {**INLINE, "selection": {"seeds": "0"}},
                "metrics": ["mig"],
                "selection": {"models": "0"},
            },
            "spec.selection: wanted only one selection",
        ),
        ({"inline": INLINE, "metrics": ["mig", "mig"]}, "spec.metrics: wanted every metric once"),
    ],
)
def test_what_is_wrong_is_named_by_its_path_in_the_resource(
    data: None, store: DirectoryStore, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        plan(store, **spec)
    assert str(caught.value).startswith(message)


def test_a_data_set_that_is_missing_is_named_with_what_to_do(store: DirectoryStore) -> None:
    with pytest.raises(SpecError, match=r"dataset\.name: .*disentangle data import dsprites_full"):
        plan(store, inline=INLINE, metrics=["mig"])
