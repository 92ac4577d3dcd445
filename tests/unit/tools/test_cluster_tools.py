"""What the cluster test compares, remembers and removes, without a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cluster_test
import pytest
import tiny_steps
import yaml
from kube.chaos import Commits
from kube.comparison import metric_line, resource_spec
from kube.installed import environment_of
from kube.leftovers import left_behind
from kube.processes import Processes, kill_recorded
from kube.rights import ALLOWED, Question, check_rights

from disentanglement.cluster.resource import StudyResourceSpec
from disentanglement.steps.run import run_step
from disentanglement.storage.directory_store import DirectoryStore

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def answers(reviews: str, *, also: str = "") -> str:
    """What a cluster says that allows what the table says, and one thing more."""
    said = []
    for review in yaml.safe_load_all(reviews):
        spec = review["spec"]
        asked, account = spec["resourceAttributes"], spec["user"].rpartition(":")[2]
        path = "/".join(part for part in (asked["resource"], asked["subresource"]) if part)
        resource = f"{asked['group']}/{path}" + (f"={asked['name']}" if asked["name"] else "")
        question = Question(account, asked["verb"], resource, asked["namespace"])
        said.append(question.expected or f"{account} {question.verb} {resource}" == also)
    return "\n".join(str(each).lower() for each in said)


def test_rights_are_asked_for_each_account_and_verb() -> None:
    assert check_rights(lambda *words, input: answers(input)) > len(ALLOWED) * 8 * 20


def test_one_right_too_many_is_named() -> None:
    extra = "disentanglement-controller get /secrets"
    with pytest.raises(AssertionError, match=f"^{extra} in disentanglement: true$"):
        check_rights(lambda *words, input: answers(input, also=extra))


def test_what_is_allowed_in_the_own_namespace_is_expected_to_be_forbidden_in_another_but_for_nodes() -> None:
    assert Question("disentanglement-controller", "create", "batch/jobs").expected
    assert not Question("disentanglement-controller", "create", "batch/jobs", "default").expected
    assert Question("disentanglement-controller", "list", "/nodes", "default").expected


@pytest.mark.parametrize(
    ("metric", "line"),
    [({"mig": {}}, "mig"), ({"mig": {"num_train": 100}}, "mig: {num_train: 100}")],
    ids=["with defaults", "with a parameter"],
)
def test_a_metric_is_written_as_a_resource_has_it(metric: dict[str, dict[str, int]], line: str) -> None:
    assert metric_line(metric) == line


def test_the_resource_of_a_study_is_one_that_the_controller_reads() -> None:
    changes: dict[str, Any] = {"metrics": [], "grid": None, "model__training_steps": 200}
    for study in (tiny_steps.study(), tiny_steps.study(**changes)):
        read = StudyResourceSpec.model_validate(resource_spec(study))
        assert read.inline is not None


def test_variables_of_an_env_file_are_read_without_its_comments(tmp_path: Path) -> None:
    file = tmp_path / "store.env"
    file.write_text("# where\nSTORE=s3://a/b?x=1\n\nKEY=value\n")
    assert environment_of(file) == {"STORE": "s3://a/b?x=1", "KEY": "value"}


def test_a_step_that_was_committed_by_another_attempt_is_found(tmp_path: Path) -> None:
    place = tiny_steps.Place(tmp_path / "store", tmp_path / "cache")
    store = DirectoryStore(place.store)
    item = tiny_steps.items(tiny_steps.plan(tiny_steps.import_dummy_data(store)))[0]
    run_step(item, place.context())
    commits = Commits(store)
    assert commits.check() == 1
    [seen] = commits.seen
    commits.seen[seen] = "another-attempt"
    with pytest.raises(AssertionError, match="was committed twice"):
        commits.check()


def test_a_process_that_is_left_is_found_and_killed_by_its_record_alone(tmp_path: Path) -> None:
    ours, other = tmp_path / "cluster", tmp_path / "other"
    processes = Processes(ours)
    processes.start("server", [*SLEEP, f"{ours}/config"])
    with subprocess.Popen([*SLEEP, f"{other}/config"]) as foreign:
        (ours / "foreign.pid").write_text(str(foreign.pid))
        try:
            [left] = left_behind(ours, "no-such-network")
            assert left.startswith(f"process {processes.pid('server')} runs")
            kill_recorded(ours)
            assert foreign.poll() is None, "its number stood in a file, but it is no process of this cluster"
            processes.stop()
            assert left_behind(ours, "no-such-network") == []
        finally:
            foreign.kill()
            processes.stop()


def test_what_a_killed_run_left_is_removed_with_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / f"{cluster_test.FOLDERS}abc"
    processes = Processes(folder / "node1" / "processes")
    processes.start("containerd", [*SLEEP, str(folder / "socket")])
    (folder / "images").write_bytes(b"gigabytes")
    try:
        assert cluster_test.main(["--clean", str(folder)]) == 0
        assert not folder.exists()
        assert not processes.is_running("containerd")
    finally:
        processes.kill("containerd")


def test_a_folder_that_is_in_use_still_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_test, "ENDS_WITHIN_S", 0.0)
    monkeypatch.setattr(cluster_test, "left_behind", lambda folder, network: [f"{folder}/rootfs is mounted"])
    folder = tmp_path / f"{cluster_test.FOLDERS}abc"
    folder.mkdir()
    assert cluster_test.clean(folder) == 1
    assert folder.exists()


def test_no_other_folder_is_removed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    assert cluster_test.main(["--clean", str(tmp_path)]) == 2
    assert (tmp_path / "precious").exists()
