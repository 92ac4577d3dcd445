"""Studies in a cluster, as the command shows them: before a tiny API server, so that any state can be had at once.
(What a real API server accepts and answers is tested in tests/integration/cluster.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_kubernetes import Fault, TinyKubernetes
from tiny_studies import LAB, Object, add_pod, add_study, the_study

from disentanglement.cli import cluster_study
from disentanglement.cli.cluster_study import Cluster, Pace, state_of
from disentanglement.cluster.kinds import JOBS, PODS, STUDIES, WORKLOADS, Kind
from disentanglement.cluster.names import STUDY_LABEL

# ---------------------------------------------------------------------------------------------------------- submitting


def test_a_study_file_becomes_a_resource_in_the_contexts_namespace(
    cluster: TinyKubernetes, run: Any, tiny: Path
) -> None:
    ended = run("study", "submit", tiny, "--cluster", "--json")
    assert ended.code == 0, ended.err
    item = the_study(cluster)
    assert (item["apiVersion"], item["kind"]) == ("disentanglement.dev/v1alpha1", "Study")
    assert item["spec"]["metrics"][0] == 'mig: {"num_train": 200}'
    assert item["spec"]["inline"]["grid"] == {"sweep": {"random_seed": [0, 1]}}
    assert not {"name", "metrics"} & set(item["spec"]["inline"])
    assert ended.json["study"] == "tiny"


def test_what_was_not_written_in_the_file_is_not_in_the_resource(cluster: TinyKubernetes, run: Any, tiny: Path) -> None:
    assert run("study", "submit", tiny).code == 0
    assert "architecture" not in the_study(cluster)["spec"]["inline"]["model"]


def test_a_study_as_kubectl_takes_it_is_sent_as_it_is(cluster: TinyKubernetes, run: Any, tmp_path: Path) -> None:
    spec = {"study": "unsupervised_study_v1", "parallelism": 3}
    item = {"apiVersion": "disentanglement.dev/v1alpha1", "kind": "Study", "metadata": {"name": "a"}, "spec": spec}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(item))
    assert run("study", "submit", tmp_path / "a.yaml").code == 0
    assert the_study(cluster, "a")["spec"] == spec


def test_a_published_study_is_submitted_by_its_name_with_a_selection(cluster: TinyKubernetes, run: Any) -> None:
    options = [
        "--models",
        "0-9",
        "--seeds",
        "0-1",
        "--set",
        "training_steps=10",
        "--parallelism",
        "4",
        "--name",
        "part",
    ]
    ended = run("study", "submit", "unsupervised_study_v1", *options)
    assert ended.code == 0, ended.err
    spec = the_study(cluster, "part")["spec"]
    assert len(spec.pop("metrics")) == 9
    assert spec == {
        "study": "unsupervised_study_v1",
        "selection": {"models": "0-9", "seeds": "0-1"},
        "set": {"training_steps": 10},
        "parallelism": 4,
    }
    assert "disentangle study watch part --cluster --namespace lab" in ended.err


def test_a_name_that_no_resource_can_have_is_refused_before_anything_is_sent(
    cluster: TinyKubernetes, run: Any, tiny: Path
) -> None:
    tiny.write_text(tiny.read_text().replace("name: tiny", "name: tiny_"))
    ended = run("study", "submit", tiny)
    assert ended.code == 2
    assert "small letters" in ended.err
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("text", "field"),
    [("[1]", "document"), ("kind: Job", "kind"), ("name: x", "model"), ("kind: [", "document")],
)
def test_a_file_that_is_no_study_is_refused_by_its_field(
    cluster: TinyKubernetes, run: Any, tmp_path: Path, text: str, field: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    ended = run("study", "submit", tmp_path / "bad.yaml")
    assert ended.code == 2
    assert field in ended.err


def test_running_in_a_cluster_is_submitting_and_watching(cluster: TinyKubernetes, run: Any, tiny: Path) -> None:
    assert run("study", "submit", tiny).code == 0
    counts = {"total": 2, "trained": 2, "evaluated": 2, "failed": 0}
    status = {"phase": "Succeeded", "observedGeneration": 1, "counts": counts}
    cluster.put(STUDIES.path(LAB, "tiny"), {**the_study(cluster), "status": status})
    ended = run("study", "run", tiny, "--cluster", "--json")
    assert (ended.code, ended.json["counts"]) == (0, counts)


def test_a_resource_takes_no_options_that_it_has_fields_for(cluster: TinyKubernetes, run: Any, tmp_path: Path) -> None:
    item = {"apiVersion": "disentanglement.dev/v1alpha1", "kind": "Study", "metadata": {"name": "a"}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({**item, "spec": {"study": "test"}}))
    ended = run("study", "submit", tmp_path / "a.yaml", "--models", "3")
    assert ended.code == 2
    assert "--models" in ended.err


def test_what_is_neither_a_file_nor_published_is_refused(cluster: TinyKubernetes, run: Any) -> None:
    ended = run("study", "submit", "nothing_v1")
    assert ended.code == 2
    assert "unsupervised_study_v1" in ended.err


# ------------------------------------------------------------------------------------------------------------ refusals


def test_a_forbidden_call_names_the_verb_and_the_role(cluster: TinyKubernetes, run: Any, tiny: Path) -> None:
    told = 'studies.disentanglement.dev is forbidden: User "ann" cannot patch resource "studies"'
    cluster.faults.append(Fault("PATCH", "studies", 403, message=told))
    ended = run("study", "submit", tiny)
    assert ended.code == 77
    assert 'User "ann" cannot patch resource "studies"' in ended.err
    assert "disentanglement-study-editor" in ended.err


def test_a_cluster_that_does_not_know_studies_says_how_to_install_them(cluster: TinyKubernetes, run: Any) -> None:
    cluster.faults.append(Fault("GET", "studies", 404, message="the server could not find the requested resource"))
    ended = run("study", "why", "tiny")
    assert ended.code == 2
    assert "kubectl apply -k k8s/overlays/cluster" in ended.err


def test_a_study_that_is_not_there_is_named_with_its_namespace(cluster: TinyKubernetes, run: Any) -> None:
    ended = run("study", "why", "nobody", "--namespace", "elsewhere")
    assert ended.code == 3
    assert "no study nobody in the namespace elsewhere" in ended.err


def test_a_context_that_is_not_there_is_refused(cluster: TinyKubernetes, run: Any) -> None:
    ended = run("study", "why", "tiny", "--context", "nowhere")
    assert ended.code == 2
    assert "nowhere" in ended.err


def test_without_a_kubeconfig_the_message_says_what_is_wanted(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    ended = run("study", "why", "tiny")
    assert ended.code == 2
    assert "kubeconfig" in ended.err


# -------------------------------------------------------------------------------------------------------------- looking


def test_why_reads_jobs_pods_and_events_of_the_study_alone(cluster: TinyKubernetes, run: Any) -> None:
    add_study(cluster)
    add_pod(cluster, 2, "Failed")
    ended = {"exitCode": 1, "reason": "Error", "message": "a traceback\nKeyError: x", "finishedAt": "2026-01-01"}
    path = PODS.path(LAB, "job-2")
    status = {"phase": "Failed", "containerStatuses": [{"state": {"terminated": ended}}]}
    cluster.put(path, {**cluster.objects[path], "status": status})
    stranger = {"metadata": {"name": "x", "namespace": LAB, "labels": {STUDY_LABEL: "other"}}, "status": status}
    cluster.put(PODS.path(LAB, "x"), stranger)

    reasons = run("study", "why", "tiny", "--cluster", "--json").json
    assert [reason["kind"] for reason in reasons] == ["study", "model"]
    assert "train of model 12 is tried again" in reasons[1]["what"]
    assert reasons[1]["what"].endswith("KeyError: x")
    assert "train of model 12" in run("study", "why", "tiny").out


def test_why_goes_on_where_something_may_not_be_read(cluster: TinyKubernetes, run: Any) -> None:
    add_study(cluster)
    cluster.faults.append(Fault("GET", "events", 403, message='User "ann" cannot list resource "events"'))
    ended = run("study", "why", "tiny")
    assert ended.code == 0
    assert 'cannot list resource "events"' in ended.out


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_why_reads_the_place_in_kueues_queue(cluster: TinyKubernetes, run: Any, version: str) -> None:
    add_study(cluster)
    job = {
        "metadata": {
            "name": "job",
            "namespace": LAB,
            "labels": {STUDY_LABEL: "tiny", "kueue.x-k8s.io/queue-name": "vision"},
        },
        "spec": {},
    }
    cluster.put(JOBS.path(LAB, "job"), job)
    told = {"type": "QuotaReserved", "status": "False", "message": "insufficient unused quota"}
    workload = {
        "metadata": {"name": "job-job-1", "namespace": LAB, "ownerReferences": [{"name": "job"}]},
        "spec": {"queueName": "vision"},
        "status": {"conditions": [told]},
    }
    cluster.put(WORKLOADS.path(LAB, "job-job-1"), workload)
    pending = Kind("visibility.kueue.x-k8s.io", version, "localqueues", "").path(LAB, "vision", "pendingworkloads")
    items = [{"metadata": {"name": "job-job-1"}, "positionInLocalQueue": 3}]
    cluster.put(pending, {"metadata": {"name": "vision"}, "items": items})
    told_by = run("study", "why", "tiny", "--cluster").out
    assert "workload job-job-1 waits in the queue vision, 3 before it: insufficient unused quota" in told_by


def test_an_eta_comes_from_the_pace_of_the_last_minutes() -> None:
    times = iter([0.0, 100.0, 200.0])
    pace = Pace(clock=lambda: next(times))
    assert pace.eta_s(0.5, age_s=1000.0) == 1000.0  # as fast as since it was made
    assert pace.eta_s(0.6, age_s=1100.0) == pytest.approx(400.0)
    assert pace.eta_s(1.0, age_s=1200.0) is None


def test_the_share_of_a_study_counts_models_trained_evaluated_and_failed() -> None:
    counts = {"total": 10, "trained": 4, "evaluated": 2, "failed": 1}
    study = {"metadata": {"name": "tiny", "generation": 1}, "status": {"phase": "Running", "counts": counts}}
    assert state_of(study, Pace()).fraction == pytest.approx(8 / 20)


def test_status_takes_the_file_as_well_and_shows_counts_conditions_and_failures(
    cluster: TinyKubernetes, run: Any, tiny: Path
) -> None:
    failure = {"step": "train", "model": 3, "reason": "NON_FINITE_LOSS", "message": "at step 7"}
    degraded = {"type": "Degraded", "status": "True", "reason": "QuotaExceeded", "message": "no room"}
    counts = {"total": 4, "trained": 2, "evaluated": 1, "failed": 1}
    add_study(cluster, status={"counts": counts, "running": 1, "conditions": [degraded], "failures": [failure]})
    for study in (tiny, "tiny"):
        ended = run("study", "status", study, "--cluster")
        assert ended.out == "tiny is Running: 2 of 4 models trained, 1 evaluated, 1 failed; 1 pod runs\n"
        assert "no room" in ended.err
        assert "train of model 3" in ended.err
    plain = run("study", "status", "tiny", "--cluster", "--json").json
    assert (plain["counts"], plain["failures"], plain["phase"]) == (counts, [failure], "Running")


@pytest.mark.parametrize(("phase", "failed", "code"), [("Succeeded", 0, 0), ("Failed", 1, 4), ("Invalid", 0, 2)])
def test_the_end_of_a_watched_study_decides_the_exit_code(
    cluster: TinyKubernetes, run: Any, phase: str, failed: int, code: int
) -> None:
    add_study(cluster, status={"phase": phase, "counts": {"total": 2, "trained": 2, "evaluated": 2, "failed": failed}})
    ended = run("study", "watch", "tiny", "--cluster", "--json")
    assert (ended.code, ended.json["phase"]) == (code, phase)


def test_cancelling_deletes_the_resource(cluster: TinyKubernetes, run: Any) -> None:
    add_study(cluster)
    assert run("study", "cancel", "tiny", "--cluster").code == 0
    assert STUDIES.path(LAB, "tiny") not in cluster.objects
    assert run("study", "cancel", "tiny", "--cluster").code == 3


def test_retrying_raises_the_generation(cluster: TinyKubernetes, run: Any) -> None:
    add_study(cluster, status={"counts": {"total": 2, "failed": 2}}, retryGeneration=4)
    assert run("study", "retry", "tiny", "--cluster", "--json").json == {"study": "tiny", "retried_models": 2}
    assert the_study(cluster)["spec"]["retryGeneration"] == 5


def test_who_names_a_namespace_means_a_cluster(cluster: TinyKubernetes, run: Any) -> None:
    add_study(cluster)
    assert run("study", "status", "tiny", "--namespace", LAB).code == 0


def test_an_installation_without_the_kubernetes_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, run: Any
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "disentanglement.cluster.kubernetes_jobs", None)
    ended = run("study", "why", "tiny")
    assert ended.code == 2
    assert "disentanglement[cluster]" in ended.err


def test_watching_ends_with_the_phase() -> None:
    states = iter(["Pending", "Running", "Succeeded"])

    class Door:
        namespace = LAB

        def get(self, *_: Any, **__: Any) -> Object:
            status = {"phase": next(states), "observedGeneration": 1}
            return {"metadata": {"name": "tiny", "generation": 1}, "spec": {}, "status": status}

    shown: list[str] = []
    paused: list[float] = []
    door: Any = Door()
    Cluster(door, LAB, sleep=paused.append).watch("tiny", lambda study: shown.append(cluster_study.phase_of(study)))
    assert shown == ["Pending", "Running", "Succeeded"]
    assert len(paused) == 2
