"""`study show`, and published studies by their names."""

from __future__ import annotations

from typing import Any

import pytest

from disentanglement.metrics.catalog import METRICS


def test_models_are_shown_as_the_references_bindings(run: Any) -> None:
    shown = run("study", "show", "unsupervised_study_v1", "--models", "42", "--json").json
    assert list(shown) == ["42"]
    assert shown["42"]["bindings"][0] == "dataset.name = 'dsprites_full'"
    assert shown["42"]["bindings"][-1] == "model.random_seed = 42"


def test_a_summary_says_what_a_study_holds_and_what_is_missing(run: Any) -> None:
    summary = run("study", "show", "fairness_study_v1", "--json").json
    assert (summary["models"], len(summary["cells"]), len(summary["metrics"])) == (12600, 42, 10)
    assert summary["missing"] == ["dataset.scream_dsprites"]


@pytest.mark.parametrize("models", ["12600", "-1", "5-3", "a", ""])
def test_numbers_that_a_study_does_not_have_are_refused(run: Any, models: str) -> None:
    ended = run("study", "show", "unsupervised_study_v1", f"--models={models}")
    assert "models" in ended.err


def test_a_smoke_test_has_the_same_model_under_every_number(run: Any) -> None:
    assert run("study", "show", "test", "--models", "0,7", "--json").json == {
        "0": {"bindings": []},
        "7": {"bindings": []},
    }


@pytest.fixture
def few_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that has no other metrics than these."""
    for word in METRICS.keys() - {"dci", "factor_vae_score", "mig", "sap_score"}:
        monkeypatch.delitem(METRICS, word)


@pytest.mark.usefixtures("few_metrics")
def test_what_is_missing_is_listed_whole_before_anything_runs(run: Any) -> None:
    ended = run("study", "run", "unsupervised_study_v1", "--models", "0,1800")
    assert "metric.beta_vae_sklearn" in ended.err
    assert "metric.unsupervised_metrics" in ended.err
    assert "--metrics" in ended.err


@pytest.mark.usefixtures("few_metrics")
def test_a_refusal_tells_only_what_would_help(run: Any) -> None:
    ended = run("study", "run", "unsupervised_study_v1", "--models", "42")
    assert "--metrics dci,factor_vae_score,mig,sap_score" in ended.err
    assert "--models" not in ended.err


@pytest.mark.parametrize("command", ["run", "show"])
def test_an_unknown_study_is_told_where_studies_are_listed(run: Any, command: str) -> None:
    assert "disentangle study list" in run("study", command, "unsupervised_study_v9").err


def test_a_summary_tells_the_numbers_of_each_cell(run: Any) -> None:
    lines = [line.split() for line in run("study", "show", "unsupervised_study_v1").out.splitlines()]
    assert ["shapes3d.annealed_vae", "300", "models", "(12300-12599)"] in lines


def test_published_studies_are_listed(run: Any) -> None:
    names = [row["study"] for row in run("study", "list", "--published", "--json").json]
    assert names == ["unsupervised_study_v1", "fairness_study_v1", "abstract_reasoning_study_v1", "test"]
    assert "abstract_reasoning_study_v1" in run("study", "list").out


def test_a_study_is_written_as_a_file_that_reads_as_the_same_study(run: Any, tmp_path: Any) -> None:
    text = run("study", "show", "unsupervised_study_v1", "--yaml").out
    (tmp_path / "again.yaml").write_text(text)
    assert run("study", "show", str(tmp_path / "again.yaml"), "--yaml").out == text
