"""Logs of a study in a cluster: of its pods, and of those that are gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny_kubernetes import Fault, TinyKubernetes
from tiny_studies import LAB, add_pod

from disentanglement.cli import local_study
from disentanglement.cli.settings import Place
from disentanglement.storage.commit import Attempt
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.log_tails import put_log
from disentanglement.studies.pending import steps_of


def test_logs_after_the_end_of_a_study_are_those_of_its_last_pods(cluster: TinyKubernetes, run: Any) -> None:
    add_pod(cluster, 0, "Succeeded", log="done\n")
    add_pod(cluster, 1, "Failed", log="the last words\n")
    assert [log["text"] for log in run("study", "logs", "tiny", "--json").json] == ["done\n", "the last words\n"]


def test_logs_of_a_study_without_pods_say_where_they_are(cluster: TinyKubernetes, run: Any) -> None:
    ended = run("study", "logs", "tiny")
    assert ended.code == 0
    assert "disentangle study logs tiny --cluster --model 0" in ended.err
    assert "--store s3://BUCKET/PREFIX" in ended.err


def test_logs_of_a_model_are_those_of_its_newest_pod(cluster: TinyKubernetes, run: Any) -> None:
    add_pod(cluster, 1, "Failed", name="job-1-a", log="first try\n")
    add_pod(cluster, 1, "Running", name="job-1-b", log="second try\n")
    add_pod(cluster, 2, "Running", log="another model\n")
    (log,) = run("study", "logs", "tiny", "--model", "11", "--json").json
    assert log == {"step": "train", "models": [11], "source": "pod job-1-b (Running)", "text": "second try\n"}
    assert run("study", "logs", "tiny", "--model", "11").out == "second try\n"


def test_logs_without_a_model_are_those_of_pods_that_run(cluster: TinyKubernetes, run: Any) -> None:
    add_pod(cluster, 0, "Succeeded", log="done\n")
    add_pod(cluster, 1, "Running", log="one\n")
    add_pod(cluster, 2, "Running", log="two\n")
    assert [log["text"] for log in run("study", "logs", "tiny", "--json").json] == ["one\n", "two\n"]


def test_lines_that_are_followed_have_their_models_in_front(cluster: TinyKubernetes, run: Any) -> None:
    add_pod(cluster, 1, "Running", log="one\n")
    add_pod(cluster, 2, "Running", log="two\n")
    assert sorted(run("study", "logs", "tiny", "-f").out.splitlines()) == ["train 11 | one", "train 12 | two"]


def test_a_pod_without_a_log_yet_says_why(cluster: TinyKubernetes, run: Any) -> None:
    add_pod(cluster, 1, "Pending")
    cluster.faults.append(Fault("GET", "/log", 400, message='container "worker" in pod is waiting to start'))
    assert "waiting to start" in run("study", "logs", "tiny", "--model", "11").out


def test_logs_of_pods_that_are_gone_come_from_the_store(
    cluster: TinyKubernetes, run: Any, tiny: Path, store: DirectoryStore, tmp_path: Path
) -> None:
    plan = local_study.submit(Place(str(tmp_path / "store"), LAB), local_study.read_file(tiny)).plan
    item = next(steps_of(plan.models[1]))
    put_log(Attempt(store, item.step, item.key), b"a line\nthe last words\n")
    ended = run("study", "logs", "tiny", "--model", "1", "--tail", "1", "--json")
    assert ended.code == 0, ended.err
    assert [(log["step"], log["text"]) for log in ended.json] == [("train", "the last words")]
    assert ended.json[0]["source"] == f"store, {item.key}"


def test_a_model_without_any_log_says_so(
    cluster: TinyKubernetes, run: Any, tiny: Path, store: DirectoryStore, tmp_path: Path
) -> None:
    local_study.submit(Place(str(tmp_path / "store"), LAB), local_study.read_file(tiny))
    assert "no log" in run("study", "logs", "tiny", "--model", "1").err
