"""A cluster with our controller in it, as a test sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kube.control_plane import ControlPlane
from kwok.controller_process import NAMESPACE, ControllerProcess
from kwok.outcomes import Fate
from kwok.writer import Choose, Writer

from disentanglement.cluster.kinds import JOBS, PODS, STUDIES, Object, ObjectName
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.names import STUDY_LABEL
from disentanglement.storage.store import Store

WITHIN_S = 40.0
POLL_EVERY_S = 0.1


@dataclass(frozen=True)
class Cluster:
    """A cluster with our controller in it, as its admin sees it."""

    api: KubernetesApi
    plane: ControlPlane
    store: Store
    controller: ControllerProcess

    def apply(self, name: str, spec: Object) -> Object:
        """Creates a Study, or changes it, as `kubectl apply --server-side` does."""
        return self.api.apply(STUDIES, study_object(name, spec))

    def change(self, name: str, **spec: Any) -> None:
        """Changes fields of a Study's spec."""
        self.api.merge(STUDIES, ObjectName(NAMESPACE, name), {"spec": spec})

    def status(self, name: str) -> Object:
        """What the controller tells of a Study."""
        found: Object = self.api.get(STUDIES, ObjectName(NAMESPACE, name)).get("status", {})
        return found

    def jobs(self, name: str) -> list[Object]:
        """The Jobs of a Study."""
        return self.api.list(JOBS, NAMESPACE, labels=f"{STUDY_LABEL}={name}").items

    def running_pods(self, name: str) -> list[Object]:
        """The pods of a Study that run and are not on their way out."""
        pods = self.api.list(PODS, NAMESPACE, labels=f"{STUDY_LABEL}={name}").items
        return [p for p in pods if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]]

    def wait(self, what: str, is_so: Callable[[], bool], within_s: float = WITHIN_S) -> None:
        """Until it is so; a failed assertion with the controller's log where that takes too long."""
        deadline = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}\n{self.controller.log_tail}"
            time.sleep(POLL_EVERY_S)

    def wait_for_phase(self, name: str, phase: str) -> Object:
        """Until the Study is in a phase of its present generation; its status."""

        def is_so() -> bool:
            study = self.api.get(STUDIES, ObjectName(NAMESPACE, name))
            status = study.get("status", {})
            is_current: bool = status.get("observedGeneration") == study["metadata"]["generation"]
            return is_current and status.get("phase") == phase

        self.wait(f"{name} is {phase}", is_so)
        return self.status(name)

    @contextmanager
    def finishing(self, name: str, choose: Choose = lambda step, number: Fate.COMMITTED) -> Iterator[Writer]:
        """Until the block ends, the pods of a Study commit and finish."""
        writer = Writer(self.api, self.store, namespace=NAMESPACE, study=name, choose=choose)
        stop = threading.Event()
        thread = threading.Thread(target=writer.run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield writer
        finally:
            stop.set()
            thread.join()


def study_object(name: str, spec: Object, namespace: str = NAMESPACE) -> Object:
    """A Study to be applied."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": STUDIES.api_version, "kind": STUDIES.name, "metadata": metadata, "spec": spec}
