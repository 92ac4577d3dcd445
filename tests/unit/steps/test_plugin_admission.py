"""Plugins on their way in: digests are filled in once, at submission; workers compare, and run what they may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_steps
from plugin_files import PluginFiles, plugin_files
from tiny_steps import Place, import_dummy_data

from disentanglement.errors import NotBuiltYet, SpecError
from disentanglement.specs import EvaluateSpec, MetricSpec, TrainSpec
from disentanglement.specs.plugins import EVERYTHING, VARIABLE, Trusted, plugins_of
from disentanglement.specs.sources import find_source
from disentanglement.steps.admission import admit_evaluations, admit_study, admit_training
from disentanglement.steps.context import StepContext
from disentanglement.steps.run import run_step
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.plan import Plan

MODULE = """
from disentanglement.models.objectives.unsupervised import Regularized, WithoutPlayers

class Loss(WithoutPlayers):
    def value(self, latents, networks, noise, step):
        return Regularized(latents.kl)

class Metric:
    num_train = 20

    def score(self, codes_ND, factors_NK, random_state):
        return {"points": len(codes_ND)}
"""
LOSS, METRIC = ({"plugin": {"name": f"admitted_of_a_test:{name}"}} for name in ("Loss", "Metric"))


@pytest.fixture
def files(tmp_path: Path) -> Iterator[PluginFiles]:
    with plugin_files(tmp_path) as files:
        files.write("admitted_of_a_test.py", MODULE)
        yield files


@pytest.fixture
def place(tmp_path: Path) -> Place:
    import_dummy_data(DirectoryStore(tmp_path / "store"))
    return Place(tmp_path / "store", tmp_path / "cache")


@pytest.fixture
def store(place: Place) -> DirectoryStore:
    return DirectoryStore(place.store)


def study_plan(store: DirectoryStore) -> Plan:
    study = tiny_steps.study(
        grid={"sweep": {"objective": [LOSS, {"beta_vae": {"beta": 1}}]}},
        representations=["mean"],
        metrics=[{"mig": {"num_train": 100}}, METRIC],
    )
    return admit_study(store, study, trusted=EVERYTHING)


def training(**changes: Any) -> TrainSpec:
    return TrainSpec.model_validate({**tiny_steps.STUDY["model"], "objective": LOSS, **changes})


def digests_of(plan: Plan) -> set[str]:
    """Of every plugin in models and metrics."""
    trains = [model.train for model in plan.models]
    scores = [spec for model in plan.models for specs in model.evaluations for spec in specs]
    return {plugin.source_digest for _, plugin in plugins_of([*trains, *scores])}


def test_a_plan_holds_the_digest_of_every_plugin(files: PluginFiles, store: DirectoryStore) -> None:
    plan = study_plan(store)
    assert digests_of(plan) == {find_source("admitted_of_a_test:Loss").digest}
    assert list(plan.cells) == ["dummy_data.plugin_loss", "dummy_data.beta_vae"]
    assert Plan(plan.study, plan.cells).digest == study_plan(store).digest


def test_an_edited_source_makes_new_keys_of_what_it_decides_and_no_others(
    files: PluginFiles, store: DirectoryStore
) -> None:
    before = study_plan(store)
    files.write("admitted_of_a_test.py", MODULE + "# edited\n")
    after = study_plan(store)
    changed = [one.key != other.key for one, other in zip(before.models, after.models, strict=True)]
    assert changed == [True, False]
    (built_in_before,), (built_in_after,) = (plan.models[1].representations for plan in (before, after))
    keys = zip(built_in_before.evaluation_keys, built_in_after.evaluation_keys, strict=True)
    assert [one != other for one, other in keys] == [False, True]


def test_a_digest_that_is_given_stays_and_needs_no_source_here(store: DirectoryStore) -> None:
    elsewhere = {"plugin": {"name": "not_on_this_machine:Loss", "source_digest": "a" * 64}}
    admitted = admit_training(store, training(objective=elsewhere), trusted=Trusted(frozenset({"not_on_this_machine"})))
    assert [plugin.source_digest for _, plugin in plugins_of([admitted])] == ["a" * 64]


def test_metrics_of_an_evaluation_get_their_digests(files: PluginFiles) -> None:
    asked = [EvaluateSpec(metric=MetricSpec.model_validate(metric)) for metric in ("mig", METRIC)]
    mig, own = admit_evaluations(asked, trusted=EVERYTHING)
    assert mig == asked[0]
    assert own.metric.plugin is not None
    assert own.metric.plugin.source_digest == find_source("admitted_of_a_test:Metric").digest


# What `docs/plugins.md` says can't be a plugin, and what it is called where it is refused.
@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        (
            {
                "objective": {"supervised": {"supervised_loss": "l2"}},
                "labelled": {"num_labelled_samples": 10, "labeller": LOSS},
            },
            "labelled.labeller.plugin",
        ),
        (
            {"objective": {"supervised": {"supervised_loss": LOSS}}, "labelled": {"num_labelled_samples": 10}},
            "objective.supervised.supervised_loss.plugin",
        ),
        ({"dataset": {"name": "dummy_data", "options": [LOSS]}}, "dataset.options.plugin"),
    ],
)
def test_parts_that_cannot_be_plugins_are_refused_by_name(
    files: PluginFiles, store: DirectoryStore, changes: dict[str, Any], refused: str
) -> None:
    with pytest.raises(NotBuiltYet, match=f"not built yet: {refused}$"):
        admit_training(store, training(**changes), trusted=EVERYTHING)


def test_a_representation_cannot_be_a_plugin(files: PluginFiles, store: DirectoryStore) -> None:
    with pytest.raises(NotBuiltYet, match=r"not built yet: representation\.plugin$"):
        admit_study(store, tiny_steps.study(representations=[LOSS]), trusted=EVERYTHING)


@pytest.mark.parametrize("name", ["Loss", "Metric"])
def test_a_study_with_parameters_that_do_not_fit_is_not_taken(
    files: PluginFiles, store: DirectoryStore, name: str
) -> None:
    plugin = {"plugin": {"name": f"admitted_of_a_test:{name}", "parameters": {"weight": 1}}}
    part = {"metrics": [plugin]} if name == "Metric" else {"grid": {"sweep": {"objective": [plugin]}}}
    with pytest.raises(
        SpecError, match=r"plugin\.parameters: .* takes: nothing .*unexpected keyword argument 'weight'"
    ):
        admit_study(store, tiny_steps.study(**part), trusted=EVERYTHING)


@pytest.mark.parametrize("listed", ["", "another_module"])
def test_services_refuse_code_that_is_neither_installed_nor_listed(
    files: PluginFiles, store: DirectoryStore, listed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, VARIABLE, listed)
    study = tiny_steps.study(metrics=[METRIC])
    asked = [EvaluateSpec(metric=MetricSpec.model_validate(METRIC))]
    for admit in (
        lambda: admit_training(store, training()),
        lambda: admit_study(store, study),
        lambda: admit_evaluations(asked),
    ):
        with pytest.raises(SpecError, match=VARIABLE):
            admit()


def test_services_take_code_that_is_listed(
    files: PluginFiles, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, VARIABLE, "another_module,admitted_of_a_test")
    assert admit_training(store, training()).objective.plugin is not None


def trained(place: Place, item: WorkItem, trusted: Trusted = EVERYTHING) -> None:
    run_step(item, place.context(trusted=trusted))


def test_a_worker_trains_and_scores_with_them(files: PluginFiles, place: Place, store: DirectoryStore) -> None:
    items = [*steps_of(study_plan(store).models[0])]
    for item in items:
        trained(place, item)
    assert all(not run_step(item, place.context(trusted=EVERYTHING)).computed for item in items)


def test_a_worker_refuses_a_source_that_was_edited_since(
    files: PluginFiles, place: Place, store: DirectoryStore
) -> None:
    item = next(iter(steps_of(study_plan(store).models[0])))
    submitted = find_source("admitted_of_a_test:Loss").digest
    files.write("admitted_of_a_test.py", MODULE + "# edited\n")
    with pytest.raises(SpecError, match=r"objective\.plugin\.source_digest") as refused:
        trained(place, item)
    assert submitted in str(refused.value)
    assert find_source("admitted_of_a_test:Loss").digest in str(refused.value)


def test_a_worker_refuses_what_it_does_not_trust(files: PluginFiles, place: Place, store: DirectoryStore) -> None:
    train, extract, mig, own = steps_of(study_plan(store).models[0])
    with pytest.raises(SpecError, match=VARIABLE):
        trained(place, train, Trusted())
    for item in (train, extract, mig):
        trained(place, item)
    with pytest.raises(SpecError, match=VARIABLE):
        trained(place, own, Trusted())


def test_an_extraction_asks_for_the_networks_alone(files: PluginFiles, place: Place, store: DirectoryStore) -> None:
    train, extract, *_ = steps_of(study_plan(store).models[0])
    trained(place, train)
    trained(place, extract, Trusted())


def test_a_worker_trusts_what_its_environment_lists(tmp_path: Path) -> None:
    env = {"DISENTANGLEMENT_STORE": str(tmp_path), "DISENTANGLEMENT_CACHE": str(tmp_path)}
    assert StepContext.from_env(env).trusted == Trusted()
    assert StepContext.from_env({**env, VARIABLE: "my_model"}).trusted == Trusted(frozenset({"my_model"}))
