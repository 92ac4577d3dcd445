"""What goes wrong in a cluster, done on purpose while a Study trains: and its table is the undisturbed one."""

from __future__ import annotations

import calendar
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tiny_steps
from kube.comparison import PROJECT, compare, resource_spec
from kube.installed import Installed, Object

from disentanglement.errors import DisentanglementError
from disentanglement.specs import STEPS
from disentanglement.storage.commit import find_manifest, list_committed
from disentanglement.storage.store import Store
from disentanglement.studies.records import load_plan, load_study

STUDY, GAUGE = "stormy", "gauge"
GAUGE_STEPS, STEPS_AT_LEAST, STEPS_AT_MOST = 200, 300, 12_000
MODEL_TAKES_S = 40.0
"""Long enough for a model to be hit in the middle, and for eight models to outlast all disasters two at a time."""
SEEDS = [10, 11, 12, 13, 14, 15, 16, 17]
ENDED_WITHIN_S, HIT_WITHIN_S = 1500.0, 300.0
POLL_EVERY_S = 1.0
API_SERVER_AWAY_S = 5.0
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"


def run_chaos(installed: Installed, folder: Path) -> str:
    """One disaster after the other while the Study goes on; what was compared."""
    steps = training_steps(installed)
    spec = tiny_steps.study(name=STUDY, model__training_steps=steps, grid={"sweep": {"random_seed": SEEDS}})
    installed.apply_study(STUDY, resource_spec(spec))
    with watched_commits(installed.store()) as commits:
        for disaster in DISASTERS:
            began = time.monotonic()
            disaster(installed)
            print(f"  {disaster.__name__.replace('_', ' ')}: {time.monotonic() - began:.0f} s", flush=True)
        installed.wait_for_phase(STUDY, "Succeeded", ENDED_WITHIN_S)
    stood = f"{len(DISASTERS)} disasters in models of {steps} updates, {commits.check()} commits stood"
    return f"{stood}; {compare(installed, spec, folder)}"


def training_steps(installed: Installed) -> int:
    """How many updates take a pod `MODEL_TAKES_S` on this machine, as busy as it is: measured by a model of its own."""
    changes = {"model__training_steps": GAUGE_STEPS, "metrics": [], "grid": None}
    installed.apply_study(GAUGE, resource_spec(tiny_steps.study(name=GAUGE, **changes)))
    installed.wait_for_phase(GAUGE, "Succeeded", HIT_WITHIN_S)
    store = installed.store()
    plan = load_plan(store, load_study(store, PROJECT, GAUGE).plan)
    manifest = find_manifest(store, "train", plan.models[0].key)
    assert manifest is not None, "the gauge has no model"
    seconds = float(str(manifest.provenance["wall_time_s"]))
    wanted = int(GAUGE_STEPS / seconds * MODEL_TAKES_S)
    return min(max(wanted - wanted % 50, STEPS_AT_LEAST), STEPS_AT_MOST)


def kill_a_training_process(installed: Installed) -> None:
    """SIGKILL from the outside, as the kernel does when memory runs out."""
    installed.kill_process_of(_training_pod(installed))


def kill_the_controller(installed: Installed) -> None:
    """SIGKILL; the kubelet starts it again, and it goes on from what it finds."""
    installed.kill_process_of(installed.pod_of("controller"))


def kill_minio(installed: Installed) -> None:
    """SIGKILL; the workers wait until it is back."""
    installed.kill_process_of(installed.pod_of("minio"))


def kill_the_api_server(installed: Installed) -> None:
    """SIGKILL, and back after some seconds; pods work on meanwhile."""
    installed.plane.kill("kube-apiserver")
    time.sleep(API_SERVER_AWAY_S)
    installed.plane.start()


def evict_by_a_drain(installed: Installed) -> None:
    """The node of a training pod is drained: the pod gets SIGTERM, and another goes on from its checkpoint."""
    node = _training_pod(installed)["spec"]["nodeName"]
    selector = "--pod-selector=app.kubernetes.io/name=worker"
    installed.kubectl("drain", node, selector, "--force", "--delete-emptydir-data", "--timeout=100s")
    installed.kubectl("uncordon", node)


def lose_a_node(installed: Installed) -> None:
    """The machine is gone from one moment to the next; the admin says so by the out-of-service taint."""
    pod = _training_pod(installed)
    node = installed.cluster.node_of(pod["spec"]["nodeName"])
    node.lose()
    installed.wait(lambda: not _is_ready(installed, node.name), f"{node.name} is still Ready", HIT_WITHIN_S)
    installed.kubectl("taint", "node", node.name, OUT_OF_SERVICE)
    installed.wait(lambda: not _is_there(installed, pod), "the lost pod is still there", HIT_WITHIN_S)
    node.start()
    installed.kubectl("taint", "node", node.name, f"{OUT_OF_SERVICE}-")
    installed.wait(lambda: _is_ready(installed, node.name), f"{node.name} does not come back", HIT_WITHIN_S)


DISASTERS: tuple[Callable[[Installed], None], ...] = (
    kill_a_training_process,
    kill_the_controller,
    evict_by_a_drain,
    kill_minio,
    kill_the_api_server,
    lose_a_node,
)


class Commits:
    """Which attempt committed each step, as it was seen first."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.seen: dict[tuple[str, Any], str] = {}

    def look(self) -> None:
        """Remembers the commits that are new."""
        for step in STEPS:
            for key in list_committed(self.store, step):
                if (step, key) not in self.seen:
                    self.seen[step, key] = self._attempt(step, key)

    def check(self) -> int:
        """How many there are.

        Raises:
            AssertionError: one has another attempt than when it was first seen: it was committed twice.
        """
        self.look()
        for (step, key), attempt in self.seen.items():
            assert self._attempt(step, key) == attempt, f"{step} {key} was committed twice"
        return len(self.seen)

    def _attempt(self, step: Any, key: Any) -> str:
        manifest = find_manifest(self.store, step, key)
        assert manifest is not None, f"the commit of {step} {key} is gone"
        return manifest.attempt


@contextmanager
def watched_commits(store: Store) -> Iterator[Commits]:
    """Looks at the store all the time, but for while it is down."""
    commits, ended = Commits(store), threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_EVERY_S):
            try:
                commits.look()
            except DisentanglementError:
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield commits
    finally:
        ended.set()
        thread.join()


def _training_pod(installed: Installed) -> Object:
    """A pod that has been training for some seconds."""
    found: list[Object] = []

    def look() -> bool:
        found[:] = [pod for pod in installed.training_pods(STUDY) if _is_at_work(pod)]
        return bool(found)

    installed.wait(look, "no pod trains", HIT_WITHIN_S)
    return found[0]


def _is_at_work(pod: Object) -> bool:
    """Its container has run long enough to be in the middle of training."""
    for status in pod["status"].get("containerStatuses", []):
        if started := status.get("state", {}).get("running", {}).get("startedAt"):
            return time.time() - _seconds(started) > 8.0
    return False


def _seconds(text: str) -> float:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def _is_ready(installed: Installed, node: str) -> bool:
    conditions = installed.get("node", node)["status"]["conditions"]
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _is_there(installed: Installed, pod: Object) -> bool:
    uids = [each["metadata"]["uid"] for each in installed.items("pods")]
    return pod["metadata"]["uid"] in uids
