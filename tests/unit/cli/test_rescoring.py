"""What happens to a study's scores when a metric's contract version rises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from disentanglement.cli import local_study
from disentanglement.cli.local_study import LocalStudy
from disentanglement.cli.rescoring import up_to_date
from disentanglement.cli.settings import Place
from disentanglement.specs import EvaluateSpec, canonical
from disentanglement.specs.canonical import CONTRACTS, contract_version, step_of
from disentanglement.storage.commit import Attempt, commit
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.records import load_plan, load_study
from disentanglement.studies.rescoring import of_trained_models, with_present_contracts

RESULTS = {"mig": {"discrete_mig": 0.25, "discrete_mig.standard_error": 0.01}, "sap_score": {"SAP_score": 0.5}}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(str(tmp_path / "store"), "default")


@pytest.fixture
def submitted(tiny: Path, place: Place) -> LocalStudy:
    """The study of two models."""
    return local_study.submit(place, local_study.read_file(tiny))


def commit_step(store: DirectoryStore, item: WorkItem) -> None:
    step, member = step_of(item.spec)
    attempt = Attempt(store, step, item.key)
    results = RESULTS.get(member, {})
    version = contract_version(step, member)
    commit(
        store,
        attempt.manifest(spec=canonical(item.spec), contract=version, upstream=item.upstream[:1], results=results),
    )


@pytest.fixture
def one_trained(submitted: LocalStudy, store: DirectoryStore) -> LocalStudy:
    """The study with all steps of its first model committed."""
    for item in steps_of(submitted.plan.models[0]):
        commit_step(store, item)
    return submitted


def test_only_scores_of_trained_models_are_missing_after_a_version_rises(
    one_trained: LocalStudy, store: DirectoryStore, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_study(store, "default", "tiny")
    monkeypatch.setitem(CONTRACTS, "evaluate.mig", 7)
    trained = up_to_date(local_study.find(place, "tiny"))
    (model,) = trained.plan.models
    committed = trained.ledger.committed(trained.plan)
    (missing,) = [item for item in steps_of(model) if item.id not in committed]
    assert isinstance(missing.spec, EvaluateSpec)
    assert (model.number, missing.spec.metric.word) == (0, "mig")

    after = load_study(store, "default", "tiny")
    assert after.plan != before.plan
    assert after.spec == before.spec
    plan = load_plan(store, after.plan)
    assert len(plan.models) == 2
    assert next(iter(plan.cells.values())).contracts["evaluate.mig"] == "1.7"


def test_a_study_of_this_release_is_not_submitted_anew(one_trained: LocalStudy, place: Place) -> None:
    plan = one_trained.plan
    assert with_present_contracts(plan).digest == plan.digest
    assert up_to_date(one_trained).plan.models == plan.models[:1]
    assert of_trained_models(plan, set()).models == ()


def test_results_mark_old_scores_and_say_how_they_are_computed_anew(
    one_trained: LocalStudy, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = run("results", "show", "tiny")
    assert "0.2500 ± 0.0100" in ended.out
    assert "0.5000" in ended.out
    assert "*" not in ended.out
    monkeypatch.setitem(CONTRACTS, "evaluate.mig", 2)
    ended = run("results", "show", "tiny")
    assert "0.2500 ± 0.0100*" in ended.out
    assert "0.5000*" not in ended.out
    assert "(mig 1.1): disentangle study rescore tiny" in " ".join(ended.err.split())
    rows = run("results", "show", "tiny", "--json").json
    assert {row["metric"]: row["outdated"] for row in rows} == {"mig": True, "sap_score": False}


def test_rescoring_says_which_models_are_left_out(one_trained: LocalStudy, run: Any) -> None:
    ended = run("study", "rescore", "tiny", "--json")
    assert ended.code == 0
    assert "1 of 2 models are not trained" in ended.err
    assert ended.json["steps"]["train"] == {"total": 1, "committed": 1, "failed": 0}


def test_a_study_that_nobody_submitted_is_not_found(run: Any) -> None:
    assert run("study", "rescore", "nobody").code == 3
