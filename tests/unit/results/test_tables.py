"""The table of a study follows what is committed, and reads each manifest once."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from disentanglement.errors import ArtifactConflict, StoreRefused
from disentanglement.results.encoding import aggregated_row, column_json, train_config
from disentanglement.results.tables import planned_scores, study_table, to_parquet, wide
from disentanglement.specs import EvaluateSpec, StepKey, StepSpec, StudySpec, TrainSpec, canonical, parse_spec
from disentanglement.specs.canonical import CONTRACTS, earlier_versions
from disentanglement.storage.commit import Attempt, commit, committed
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import Key, TableKey
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.plan import Plan, PlannedModel, expand_study
from disentanglement.studies.records import load_plan, load_study, submit_study

ORIGIN = {"data": {"name": "dsprites_full", "digest": "0" * 64, "origin": "rendered"}, "wall_time_s": 1.5}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class CountingStore(DirectoryStore):
    """A directory store that remembers which keys were read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read: list[str] = []

    def get(self, key: Key) -> bytes:
        self.read.append(str(key))
        return super().get(key)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path)


def a_study(**changes: Any) -> StudySpec:
    plain = {
        "name": "small",
        "model": {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 1}}},
        "grid": {"sweep": {"objective.beta_vae.beta": [1, 4]}},
        "representations": ["mean"],
        "metrics": ["mig", "dci"],
        **changes,
    }
    return parse_spec(StudySpec, plain)


def a_plan(**changes: Any) -> Plan:
    return expand_study(a_study(**changes), {"dsprites_full": "0" * 64})


def settle(store: DirectoryStore, spec: StepSpec, upstream: tuple[StepKey, ...], results: dict[str, float]) -> None:
    step, key = next((i.step, i.key) for i in [_item(spec, upstream)])
    attempt = Attempt(store, step, key)
    manifest = attempt.manifest(
        spec=canonical(spec), contract="1.1", upstream=upstream[:1], results=results, provenance=ORIGIN
    )
    commit(store, manifest)


def _item(spec: StepSpec, upstream: tuple[StepKey, ...]) -> Any:
    return WorkItem(0, spec, upstream)


def settle_model(store: DirectoryStore, model: PlannedModel, scores: dict[str, dict[str, float]]) -> None:
    for item in steps_of(model):
        word = item.spec.metric.word if hasattr(item.spec, "metric") else ""
        if word == "" or word in scores:
            settle(store, item.spec, item.upstream, scores.get(word, {}))


SCORES = {"mig": {"discrete_mig": 0.25}, "dci": {"disentanglement": 0.5, "completeness": math.nan}}


def test_an_empty_store_gives_an_empty_table(store: CountingStore) -> None:
    assert study_table(store, "default", a_plan()).empty


def test_there_is_one_row_per_model_representation_metric_and_key(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[0], SCORES)
    table = study_table(store, "default", plan)
    assert table[["number", "representation", "metric", "key"]].values.tolist() == [
        [0, "mean", "dci", "completeness"],
        [0, "mean", "dci", "disentanglement"],
        [0, "mean", "mig", "discrete_mig"],
    ]
    assert table["value"].tolist()[1:] == [0.5, 0.25]
    assert table["train.objective.beta_vae.beta"].tolist() == [1.0] * 3


def test_a_number_that_is_not_finite_has_its_reason_beside_it(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[0], SCORES)
    first = study_table(store, "default", plan).iloc[0]
    assert math.isnan(first["value"])
    assert first["reason"] == "nan"


def test_scores_on_rendered_data_are_marked_as_not_comparable(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[0], SCORES)
    table = study_table(store, "default", plan)
    assert set(table["data_origin"]) == {"rendered"}
    assert not table["comparable"].any()


def test_a_refresh_reads_only_what_is_new(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[0], SCORES)
    study_table(store, "default", plan)
    settle_model(store, plan.models[1], {"mig": {"discrete_mig": 0.75}})
    store.read.clear()
    table = study_table(store, "default", plan)
    assert sum("manifests/evaluate" in key for key in store.read) == 1
    assert len(table) == 4


def test_who_may_only_read_gets_the_table_all_the_same(tmp_path: Path) -> None:
    class ReadOnly(DirectoryStore):
        def put(self, key: Key, data: bytes, *, if_absent: bool = False) -> bool:
            if isinstance(key, TableKey):
                raise StoreRefused(f"{key}: AccessDenied")
            return super().put(key, data, if_absent=if_absent)

    store, plan = ReadOnly(tmp_path), a_plan()
    settle_model(store, plan.models[0], SCORES)
    assert len(study_table(store, "default", plan)) == 3


def test_a_metric_that_is_no_longer_asked_for_leaves_the_table(store: CountingStore) -> None:
    settle_model(store, a_plan().models[0], SCORES)
    study_table(store, "default", a_plan())
    assert set(study_table(store, "default", a_plan(metrics=["mig"]))["metric"]) == {"mig"}


def test_the_wide_table_shows_what_varies_in_front(store: CountingStore) -> None:
    plan = a_plan()
    for model in plan.models:
        settle_model(store, model, {"mig": {"discrete_mig": model.number / 2}})
    table = wide(study_table(store, "default", plan))
    assert list(table.columns) == ["number", "train.objective.beta_vae.beta", "representation", "mig.discrete_mig"]
    assert table["mig.discrete_mig"].tolist() == [0.0, 0.5]


def test_every_planned_score_has_a_key_of_its_own() -> None:
    [cell] = a_plan().cells.values()
    keys = [score.key for score in planned_scores(cell)]
    assert len(keys) == len(set(keys)) == 4


def test_the_train_config_has_the_references_23_names_and_the_objectives_own() -> None:
    config = train_config(a_plan().models[1].train, 1)
    assert len(config) == 24
    assert config["vae.beta"] == "4.0"
    assert config["model.model"] == "@vae()"
    assert config["dataset.name"] == "'dsprites_full'"
    assert config["vae/AdamOptimizer.epsilon"] == "1e-08"
    assert config["model.training_steps"] == "300000"
    assert config["vae_optimizer.learning_rate"] == "None"


def test_the_aggregated_json_is_in_columns_with_strict_numbers(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[0], SCORES)
    score = next(s for s in planned_scores(plan.cells["dsprites_full.beta_vae"]) if s.spec.metric.word == "dci")
    manifests = [
        committed(store, "train", score.model.key),
        committed(store, "postprocess", score.representation.key),
        committed(store, "evaluate", score.key),
    ]
    train, postprocess, evaluation = (m for m in manifests if m is not None)
    row = aggregated_row(score.spec, 0, "models/0", train, postprocess, evaluation)
    columns = json.loads(column_json([row]), parse_constant=pytest.fail)
    assert columns["evaluation_results.disentanglement"] == {"0": 0.5}
    assert columns["evaluation_results.completeness"] == {"0": None}
    assert columns["train_config.vae.beta"] == {"0": "1.0"}
    assert columns["evaluation_config.dci.num_train"] == {"0": "10000"}
    assert columns["postprocess_config.postprocess.postprocess_fn"] == {"0": "@mean_representation"}


@pytest.mark.parametrize(("gamma", "written"), [(1000, "1000"), (0.5, "0.5")])
def test_the_strength_of_annealing_is_an_integer_where_it_is_one(gamma: float, written: str) -> None:
    annealed = {"gamma": gamma, "c_max": 5, "iteration_threshold": 100_000}
    config = train_config(a_study(model={"dataset": "dsprites_full", "objective": {"annealed_vae": annealed}}).model)
    assert {name: value for name, value in config.items() if name.startswith("annealed_vae.")} == {
        "annealed_vae.gamma": written,
        "annealed_vae.c_max": "5.0",
        "annealed_vae.iteration_threshold": "100000",
    }


def test_submitting_a_study_twice_changes_nothing_and_a_plan_survives_the_store(store: CountingStore) -> None:
    plan = a_plan()
    first = submit_study(store, a_study(), plan, project="default", now=NOW)
    again = submit_study(store, a_study(), plan, project="default", now=datetime.now(UTC))
    assert first == again == load_study(store, "default", "small")
    assert load_plan(store, first.plan) == plan
    assert isinstance(plan.models[0].train, TrainSpec)


def test_a_study_may_grow_metrics_but_not_become_another(store: CountingStore) -> None:
    submit_study(store, a_study(metrics=["mig"]), a_plan(metrics=["mig"]), project="default", now=NOW)
    grown = submit_study(store, a_study(), a_plan(), project="default", now=NOW)
    assert grown.plan == a_plan().digest
    other = {"grid": {"sweep": {"objective.beta_vae.beta": [2]}}}
    with pytest.raises(ArtifactConflict, match="another study named small"):
        submit_study(store, a_study(**other), a_plan(**other), project="default", now=NOW)


def test_a_study_may_grow_metrics_that_have_seeds_of_their_own(store: CountingStore) -> None:
    def seeds(**drawn: int) -> list[dict[str, Any]]:
        return [{"representation": "mean", "metric": word, "random_seed": seed} for word, seed in drawn.items()]

    def submit(metrics: list[str], **drawn: int) -> str:
        parts: dict[str, Any] = {"metrics": metrics, "evaluation_seeds": seeds(**drawn)}
        return submit_study(store, a_study(**parts), a_plan(**parts), project="default", now=NOW).plan

    first = submit(["mig"], mig=3)
    assert submit(["mig", "dci"], dci=4, mig=3) != first
    with pytest.raises(ArtifactConflict, match="another study named small"):
        submit(["mig", "dci", "sap_score"], mig=5, dci=4)
    with pytest.raises(ArtifactConflict, match="another study named small"):
        submit(["mig", "dci", "sap_score"], mig=3)


def test_a_replaced_study_shows_its_own_model_numbers(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[1], SCORES)
    assert set(study_table(store, "default", plan)["number"]) == {1}
    replaced = a_plan(grid={"sweep": {"objective.beta_vae.beta": [4]}})
    assert set(study_table(store, "default", replaced)["number"]) == {0}


def test_the_same_metric_with_other_parameters_is_another_column(store: CountingStore) -> None:
    plan = a_plan(metrics=["mig", {"mig": {"num_bins": 5}}])
    for item in steps_of(plan.models[0]):
        bins = item.spec.metric.mig.num_bins if hasattr(item.spec, "metric") and item.spec.metric.mig else 0
        settle(store, item.spec, item.upstream, {"discrete_mig": bins / 100} if bins else {})
    table = study_table(store, "default", plan)
    assert dict(zip(table["metric_parameters"], table["value"], strict=True)) == {"": 0.2, '{"num_bins":5}': 0.05}
    row = wide(table).iloc[0]
    assert (row["mig.discrete_mig"], row["mig[num_bins=5].discrete_mig"]) == (0.2, 0.05)


def test_representations_that_differ_in_a_parameter_alone_are_rows_of_their_own(store: CountingStore) -> None:
    plan = a_plan(representations=["sampled", {"sampled": {"random_seed": 3}}], metrics=["mig"])
    settle_model(store, plan.models[0], SCORES)
    assert wide(study_table(store, "default", plan))["representation"].tolist() == ["sampled", "sampled[random_seed=3]"]


def test_a_parameter_at_its_default_is_shown_where_another_model_has_it_changed(store: CountingStore) -> None:
    plan = a_plan(grid={"sweep": {"batch_size": [64, 32]}}, metrics=["mig"])
    for model in plan.models:
        settle_model(store, model, SCORES)
    assert study_table(store, "default", plan)["train.batch_size"].tolist() == [64, 32]


def test_a_table_of_another_layout_is_made_anew(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[0], SCORES)
    table = study_table(store, "default", plan)
    key = TableKey("default", "small", "dsprites_full.beta_vae")
    store.put(key, to_parquet(table.drop(columns="contract")))
    assert len(study_table(store, "default", plan)) == len(table)


def test_a_default_is_shown_where_a_model_of_another_cell_has_it_changed(store: CountingStore) -> None:
    objectives = [
        {"objective": {"beta_vae": {"beta": 1}}, "batch_size": 32},
        {"objective": {"beta_tc_vae": {"beta": 1}}},
    ]
    plan = a_plan(grid={"chain": [{"fixed": changes} for changes in objectives]}, metrics=["mig"])
    for model in plan.models:
        settle_model(store, model, SCORES)
    assert study_table(store, "default", plan)["train.batch_size"].tolist() == [32, 64]


def test_a_second_look_at_an_unchanged_table_writes_nothing(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[0], SCORES)
    study_table(store, "default", plan)
    key = TableKey("default", "small", "dsprites_full.beta_vae")
    written = store.head(key)
    study_table(store, "default", plan)
    assert store.head(key) == written


def test_a_standard_error_stands_beside_its_score(store: CountingStore) -> None:
    plan = a_plan()
    settle_model(store, plan.models[0], {"mig": {"discrete_mig": 0.3, "discrete_mig.standard_error": 0.02}})
    settle_model(store, plan.models[1], {"mig": {"discrete_mig": 0.4}})
    table = study_table(store, "default", plan)
    assert table["key"].tolist() == ["discrete_mig", "discrete_mig"]
    assert table["standard_error"].tolist() == [0.02, pytest.approx(math.nan, nan_ok=True)]
    assert study_table(store, "default", plan).equals(table)


def test_after_a_version_rises_old_scores_are_marked_until_new_ones_are_there(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = a_plan()
    for model in plan.models:
        settle_model(store, model, {"mig": {"discrete_mig": 0.3}, "dci": {"disentanglement": 0.1}})
    assert not study_table(store, "default", plan)["outdated"].any()
    for version in (2, 3):  # nobody scored while it was 2
        monkeypatch.setitem(CONTRACTS, "evaluate.mig", version)
    plan = a_plan()
    table = study_table(store, "default", plan)
    assert table.loc[table["outdated"], "metric"].tolist() == ["mig", "mig"]
    assert table.loc[table["outdated"], "contract"].tolist() == ["1.1", "1.1"]
    settle(store, *_evaluation(plan.models[1], "mig"), {"discrete_mig": 0.5})
    table = study_table(store, "default", plan)
    assert table.loc[table["metric"] == "mig", ["value", "outdated"]].values.tolist() == [[0.3, True], [0.5, False]]


def _evaluation(model: PlannedModel, word: str) -> tuple[StepSpec, tuple[StepKey, ...]]:
    items = [item for item in steps_of(model) if item.step == "evaluate"]
    item = next(item for item in items if isinstance(item.spec, EvaluateSpec) and item.spec.metric.word == word)
    return item.spec, item.upstream


def test_versions_before_this_one_are_listed_latest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTRACTS, "evaluate", 2)
    monkeypatch.setitem(CONTRACTS, "evaluate.mig", 3)
    assert earlier_versions("evaluate", "mig") == ["2.2", "2.1", "1.3", "1.2", "1.1"]
    assert earlier_versions("evaluate", "plugin") == ["1.1"]
    assert earlier_versions("train", "beta_vae") == []
