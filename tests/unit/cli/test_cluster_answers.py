"""What the command says of a study in a cluster that is not in order, and of one that is somewhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_kubernetes import Fault, TinyKubernetes
from tiny_studies import LAB, Object, add_study, the_study

from disentanglement.cli import cluster_study
from disentanglement.cli.cluster_study import Cluster, Pace, state_of
from disentanglement.cli.remote_study import Server
from disentanglement.cluster.kinds import STUDIES
from disentanglement.errors import Unauthenticated

REFUSED = {"type": "Accepted", "status": "False", "reason": "UnknownPool", "message": "no pool a100: cpu is there"}
ACCEPTED = {"type": "Accepted", "status": "True", "reason": "Planned"}


def answering(cluster: TinyKubernetes, monkeypatch: pytest.MonkeyPatch, **status: Any) -> list[float]:
    """A controller that has looked at the study after so many pauses as are in the list."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            known = {"observedGeneration": the_study(cluster)["metadata"]["generation"], **status}
            cluster.put(STUDIES.path(LAB, "tiny"), {**the_study(cluster), "status": known})

    def connect(context: str | None, namespace: str | None) -> Cluster:
        return Cluster(real(context, namespace).api, LAB, sleep=pause)

    real: Callable[..., Cluster] = cluster_study.connect
    monkeypatch.setattr(cluster_study, "connect", connect)
    return pauses


# --------------------------------------------------------------------------------------------------------- an answer


def test_submitting_waits_until_the_study_is_accepted(
    cluster: TinyKubernetes, run: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = answering(cluster, monkeypatch, phase="Running", counts={"total": 1}, conditions=[ACCEPTED])
    ended = run("study", "submit", tiny)
    assert ended.code == 0
    assert "accepted: tiny is Running, 1 model\n" in ended.err
    assert len(pauses) == 3


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_submitting_what_the_controller_refuses_says_why_and_fails(
    cluster: TinyKubernetes, run: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    answering(cluster, monkeypatch, phase="Invalid", conditions=[REFUSED])
    ended = run("study", "submit", tiny, *options)
    assert ended.code == 2
    assert "no pool a100: cpu is there" in ended.err


def test_submitting_without_an_answer_says_where_to_look(
    cluster: TinyKubernetes, run: Any, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    real = cluster_study.connect
    monkeypatch.setattr(cluster_study, "connect", lambda *_: Cluster(real(None, None).api, LAB, sleep=pauses.append))
    monkeypatch.setattr(cluster_study, "ANSWER_EVERY_S", 0.25)
    ended = run("study", "submit", tiny)
    assert ended.code == 0
    assert "kubectl -n disentanglement logs deployment/controller" in ended.err
    assert f"disentangle study why tiny --cluster --namespace {LAB}" in ended.err
    assert 2.0 <= sum(pauses) <= 3.0


# ----------------------------------------------------------------------------------------------------------- invalid


def test_watching_an_invalid_study_says_why_and_shows_no_share(cluster: TinyKubernetes, run: Any) -> None:
    add_study(cluster, status={"phase": "Invalid", "conditions": [REFUSED]})
    ended = run("study", "watch", "tiny", "--cluster")
    assert ended.code == 2
    assert "no pool a100: cpu is there" in ended.err
    assert "0/0" not in ended.err
    assert "%" not in ended.err
    assert "see the scores" not in ended.err


def test_an_invalid_study_with_models_is_not_shown_as_done() -> None:
    status = {"phase": "Invalid", "observedGeneration": 1, "running": 1, "counts": {"total": 2, "trained": 1}}
    state = state_of({"metadata": {"name": "tiny", "generation": 1}, "status": status}, Pace())
    assert (state.fraction, state.eta_s) == (0.25, None)
    assert state.running[0].text == "Invalid, 1 pod runs"


# -------------------------------------------------------------------------------------------------------- misspelt


def a_study(folder: Path, metrics: list[Any]) -> Path:
    item = {"apiVersion": "disentanglement.dev/v1alpha1", "kind": "Study", "metadata": {"name": "a"}}
    spec: Object = {"study": "unsupervised_study_v1", "metrics": metrics}
    (folder / "a.yaml").write_text(yaml.safe_dump({**item, "spec": spec}))
    return folder / "a.yaml"


@pytest.mark.parametrize("metric", ["sap_scor", "sap_scor: {num_train: 10}", {"sap_scor": {}}])
def test_a_misspelt_metric_is_refused_with_the_near_word_before_it_is_sent(
    cluster: TinyKubernetes, run: Any, tmp_path: Path, metric: Any
) -> None:
    ended = run("study", "submit", a_study(tmp_path, ["mig", metric]))
    assert ended.code == 2
    assert (
        "spec.metrics.1: wanted a metric (sap_score? all of them: disentangle metrics list), got sap_scor" in ended.err
    )
    assert cluster.requests == []


def test_a_misspelt_metric_of_a_study_file_is_refused_likewise(cluster: TinyKubernetes, run: Any, tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("- sap_score:", "- zap_score:"))
    ended = run("study", "submit", tiny)
    assert ended.code == 2
    assert "metrics.1: wanted a metric (sap_score?" in ended.err


def test_a_word_that_is_near_no_metric_gets_the_list(cluster: TinyKubernetes, run: Any, tmp_path: Path) -> None:
    assert "wanted a metric (all of them:" in run("study", "submit", a_study(tmp_path, ["xyzxyz"])).err


def test_a_refusal_of_the_api_server_is_in_its_own_words(cluster: TinyKubernetes, run: Any, tiny: Path) -> None:
    said = 'Invalid value: "object": modelsPerPod can not be changed'
    cluster.faults.append(Fault("PATCH", "studies", 422, message=said))
    ended = run("study", "submit", tiny)
    assert ended.code == 2
    assert "error: PATCH studies: modelsPerPod can not be changed (so says the API server)" in ended.err
    assert "wanted" not in ended.err


# -------------------------------------------------------------------------------------------------------- elsewhere


@pytest.mark.parametrize("command", ["status", "watch", "cancel", "retry"])
def test_a_study_that_is_not_in_the_store_may_be_elsewhere(run: Any, tmp_path: Path, command: str) -> None:
    ended = run("study", command, "quick-start")
    assert ended.code == 3
    assert f"in the store {tmp_path / 'store'}" in ended.err
    assert "--cluster" in ended.err
    assert "--server HOST:PORT" in ended.err


@pytest.mark.parametrize("command", [("study", "status"), ("results", "show")])
def test_names_are_taken_as_a_cluster_spells_them(run: Any, command: tuple[str, str]) -> None:
    assert "no study quick_start" in run(*command, "quick-start").err


@pytest.mark.parametrize(("token", "told"), [(None, "give a token by"), ("wrong", "give another token by")])
def test_who_is_let_in_by_no_token_learns_how_to_give_one(token: str | None, told: str) -> None:
    server = Server("127.0.0.1:1", token, "default")
    with pytest.raises(Unauthenticated, match=f"no.*; {told} --token or DISENTANGLEMENT_TOKEN"), server.client():
        raise Unauthenticated("no way in")
