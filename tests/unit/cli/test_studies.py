"""Studies, results and models of a store whose steps were committed without being computed."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from disentanglement.cli import local_study
from disentanglement.cli.local_study import LocalStudy
from disentanglement.cli.settings import Place
from disentanglement.errors import NonFiniteLoss, SpecError
from disentanglement.specs import StepSpec, canonical
from disentanglement.specs.canonical import contract_version, step_of
from disentanglement.storage.commit import Attempt, commit
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem, steps_of

RESULTS = {
    "mig": {"discrete_mig": 0.25},
    "sap_score": {"SAP_score": math.nan, "num_codes": 10.0},
    "beta_vae": {"loss": 3.5},
}


def commit_step(store: DirectoryStore, item: WorkItem) -> None:
    """Commits a step with made-up results."""
    attempt = Attempt(store, item.step, item.key)
    attempt.put("weights.safetensors", b"made up")
    manifest = attempt.manifest(
        spec=canonical(item.spec),
        contract=contract_version(*step_of(item.spec)),
        upstream=item.upstream[:1],
        results=RESULTS.get(word_of(item.spec), {}),
        provenance={"device": "cpu", "data": {"origin": "generated"}, "wall_time_s": 1.0},
    )
    commit(store, manifest)


def word_of(spec: StepSpec) -> str:
    return step_of(spec)[1]


@pytest.fixture
def submitted(tiny: Path, store: DirectoryStore, tmp_path: Path) -> LocalStudy:
    """The study of two models, submitted."""
    return local_study.submit(Place(str(tmp_path / "store"), "default"), local_study.read_file(tiny))


@pytest.fixture
def finished(submitted: LocalStudy, store: DirectoryStore) -> LocalStudy:
    """The study with every step committed."""
    for model in submitted.plan.models:
        for item in steps_of(model):
            commit_step(store, item)
    return submitted


def test_status_counts_steps(submitted: LocalStudy, store: DirectoryStore, run: Any) -> None:
    commit_step(store, next(steps_of(submitted.plan.models[0])))
    ended = run("study", "status", "tiny", "--json")
    assert ended.code == 0
    assert ended.json["steps"]["train"] == {"total": 2, "committed": 1, "failed": 0}
    assert ended.json["steps"]["evaluate"] == {"total": 4, "committed": 0, "failed": 0}
    assert 0.0 < ended.json["fraction"] < 1.0
    assert ended.json["models"] == 2


def test_status_takes_the_file_as_well(submitted: LocalStudy, tiny: Path, run: Any) -> None:
    assert run("study", "status", tiny, "--json").json == run("study", "status", "tiny", "--json").json


def test_a_study_that_nobody_submitted_is_not_found(run: Any) -> None:
    for command in ("status", "watch", "cancel", "retry", "run"):
        assert run("study", command, "nobody").code == 3


def test_studies_are_listed(submitted: LocalStudy, run: Any) -> None:
    (row,) = run("study", "list", "--json").json
    assert (row["study"], row["models"]) == ("tiny", 2)
    assert "tiny" in run("study", "list").out


def test_a_failure_is_shown_and_forgotten_by_retry(submitted: LocalStudy, run: Any) -> None:
    submitted.ledger.record_failure(next(steps_of(submitted.plan.models[1])), NonFiniteLoss(7))
    status = run("study", "status", "tiny", "--json").json
    assert status["steps"]["train"]["failed"] == 1
    assert status["failures"][0]["reason"] == "NON_FINITE_LOSS"
    assert "step 7" in run("study", "status", "tiny").err
    assert run("study", "retry", "tiny", "--json").json["retried_steps"] == 1
    assert run("study", "status", "tiny", "--json").json["failures"] == []


def test_what_is_wrong_in_the_spec_is_to_be_mended_and_not_tried_again(submitted: LocalStudy, run: Any) -> None:
    first, second = (next(steps_of(model)) for model in submitted.plan.models)
    submitted.ledger.record_failure(first, SpecError.of("objective.plugin.parameters", "what it takes", "another"))
    said = run("study", "status", "tiny").err
    assert "mend the spec and submit again" in " ".join(said.split())
    assert "study retry" not in said
    submitted.ledger.record_failure(second, NonFiniteLoss(7))
    assert "study retry tiny" in run("study", "status", "tiny").err


def test_a_cancelled_study_ends_its_watch_and_goes_on_when_it_is_submitted_again(
    submitted: LocalStudy, tiny: Path, run: Any, store: DirectoryStore
) -> None:
    from disentanglement.studies.records import is_study_cancelled

    assert run("study", "cancel", "tiny").code == 0
    assert is_study_cancelled(store, "default", "tiny")
    assert run("study", "watch", "tiny").code == 0
    local_study.submit(submitted.place, local_study.read_file(tiny))
    assert not is_study_cancelled(store, "default", "tiny")


def test_another_study_of_the_same_name_is_refused_unless_it_shall_be_replaced(
    submitted: LocalStudy, tiny: Path, run: Any
) -> None:
    tiny.write_text(tiny.read_text().replace("training_steps: 20", "training_steps: 21"))
    ended = run("study", "run", tiny)
    assert ended.code == 2
    assert "another study named tiny" in ended.err
    replaced = local_study.submit(submitted.place, local_study.read_file(tiny), replace=True)
    assert replaced.plan.digest != submitted.plan.digest


def test_checking_a_study_counts_its_steps_and_writes_nothing(tiny: Path, run: Any) -> None:
    assert run("study", "run", tiny, "--check", "--json").json["steps"] == {"train": 2, "postprocess": 2, "evaluate": 4}
    assert run("study", "list", "--json").json == []


def test_a_device_that_is_none_is_refused(tiny: Path, run: Any) -> None:
    ended = run("study", "run", tiny, "--devices", "0,gpu")
    assert ended.code == 2
    assert "device" in ended.err


def test_scores_are_shown_with_what_varies_in_front(finished: LocalStudy, run: Any) -> None:
    ended = run("results", "show", "tiny")
    header = next(line for line in ended.out.splitlines() if "MIG" in line).split()
    assert header == ["model", "seed", "representation", "MIG", "SAP"]
    assert "not comparable with published" in ended.err
    rows = [line.split() for line in ended.out.splitlines() if "mean" in line]
    assert rows == [["0", "0", "mean", "0.2500", "-"], ["1", "1", "mean", "0.2500", "-"]]


def test_a_score_that_is_not_finite_is_null_with_a_reason(finished: LocalStudy, run: Any) -> None:
    rows = run("results", "show", "tiny", "--json").json
    sap = next(row for row in rows if row["key"] == "SAP_score")
    assert sap["value"] is None
    assert sap["reason"] == "nan"
    mig = next(row for row in rows if row["key"] == "discrete_mig")
    assert (mig["value"], mig["comparable"], mig["data_origin"]) == (0.25, False, "generated")


def test_only_the_wanted_metrics_are_shown(finished: LocalStudy, run: Any) -> None:
    rows = run("results", "show", "tiny", "--metrics", "mig", "--json").json
    assert {row["metric"] for row in rows} == {"mig"}
    assert "num_codes" in run("results", "show", "tiny", "--all").out


READERS: dict[str, Callable[[bytes], pd.DataFrame]] = {
    "csv": lambda data: pd.read_csv(io.BytesIO(data)),
    "json": lambda data: pd.DataFrame(json.loads(data)),
    "parquet": lambda data: pd.read_parquet(io.BytesIO(data)),
}


@pytest.mark.parametrize("form", READERS)
def test_every_format_has_the_same_rows(form: str, finished: LocalStudy, run: Any, tmp_path: Path) -> None:
    output = tmp_path / f"scores.{form}"
    assert run("results", "export", "tiny", "-o", output).code == 0
    table = READERS[form](output.read_bytes())
    assert len(table) == 2 * 3
    assert table[table["key"] == "discrete_mig"]["value"].astype(float).tolist() == [0.25, 0.25]


def test_the_reference_format_has_the_references_keys(finished: LocalStudy, run: Any, tmp_path: Path) -> None:
    assert run("results", "export", "tiny", "--format", "reference", "-o", tmp_path / "results.json").code == 0
    table = json.loads((tmp_path / "results.json").read_text())
    assert table["evaluation_results.discrete_mig"]["0"] == 0.25
    assert table["train_config.vae.beta"]["0"] == "4.0"
    assert table["evaluation_results.SAP_score"]["1"] is None


def test_a_file_that_cannot_be_written_is_said(finished: LocalStudy, run: Any, tmp_path: Path) -> None:
    assert run("results", "export", "tiny", "-o", tmp_path / "no" / "such" / "place.csv").code == 2


def test_models_are_listed_and_shown(finished: LocalStudy, run: Any) -> None:
    rows = run("models", "list", "--json").json
    assert sorted(row["seed"] for row in rows) == [0, 1]
    assert {row["loss"] for row in rows} == {3.5}
    key = str(finished.plan.models[1].key)
    assert run("models", "show", "tiny:1", "--json").json["step_key"] == key
    assert run("models", "show", key[:-20], "--json").json["step_key"] == key
    assert "training_steps" in run("models", "show", "tiny:1").out


def test_a_model_that_is_not_trained_or_not_known_is_not_found(submitted: LocalStudy, run: Any) -> None:
    assert run("models", "show", "tiny:0").code == 3
    assert run("models", "show", "nothing").code == 3
    assert run("models", "show", "tiny:9").code == 2


def test_a_reference_that_begins_several_keys_is_refused(finished: LocalStudy, run: Any) -> None:
    ended = run("models", "show", "dummy_data.beta_vae.")
    assert ended.code == 2
    assert "begins 2" in ended.err


def test_evaluating_what_is_committed_computes_nothing(finished: LocalStudy, run: Any, monkeypatch: Any) -> None:
    from disentanglement.cli import step
    from disentanglement.steps.messages import StepResult

    monkeypatch.setattr(step, "_run", lambda *_, **__: StepResult("a", "b", computed=False))
    for reference in ("tiny:0", "tiny:0/mean", str(finished.plan.models[0].representations[0].key)):
        ended = run("evaluate", reference, "-m", "mig", "--set", "num_train=200", "--json")
        assert ended.json == {"mig": {"discrete_mig": 0.25}}


def test_a_difference_found_by_computing_again_has_its_own_exit_code(
    finished: LocalStudy, run: Any, monkeypatch: Any
) -> None:
    from disentanglement.cli import step
    from disentanglement.steps.messages import StepResult

    monkeypatch.setattr(step, "_run", lambda *_, **__: StepResult("a", "b", True, determinism_violation=True))
    ended = run("postprocess", "tiny:0", "--no-cache", "--json")
    assert ended.code == 6
    assert ended.json["determinism_violation"] is True


def test_a_name_that_cannot_be_given_is_refused_before_the_work(run: Any, dummy_data: str) -> None:
    ended = run("train", "-d", "dummy_data", "--method", "beta_vae", "--set", "beta=4", "--name", "a b")
    assert ended.code == 2
    assert "--name" in ended.err


def test_training_on_data_that_the_store_lacks_says_how_to_import_it(run: Any) -> None:
    ended = run("train", "-d", "dsprites_full", "--method", "beta_vae", "--set", "beta=4")
    assert ended.code == 2
    assert "disentangle data import" in ended.err


def test_standard_errors_are_asked_for_and_shown(finished: LocalStudy, run: Any, monkeypatch: Any) -> None:
    from disentanglement.cli import step
    from disentanglement.steps.messages import StepResult

    def ran(place: Place, item: WorkItem, *_: Any, **__: Any) -> StepResult:
        assert canonical(item.spec)["standard_error"] is True
        attempt = Attempt(place.open(), item.step, item.key)
        scores = {"discrete_mig": 0.5, "discrete_mig.standard_error": 0.0125}
        commit(place.open(), attempt.manifest(spec=canonical(item.spec), contract="1.1", results=scores))
        return StepResult("a", "b", computed=True)

    monkeypatch.setattr(step, "_run", ran)
    ended = run("evaluate", "tiny:0/mean", "-m", "mig", "--standard-error")
    assert ended.code == 0
    assert "0.5000 ± 0.0125" in ended.out
