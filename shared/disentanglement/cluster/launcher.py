"""One study without a custom resource: for people who may make Jobs in a namespace, and nothing else.

The same looks as the controller's, at one study that a file describes, until it has come to its end. The worker Jobs
belong to the Job that this process runs in, so they go when that is deleted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from disentanglement.cluster.kinds import JOBS, PODS, Object, ObjectName, selector
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.manifests import Owner
from disentanglement.cluster.mirror import Mirror
from disentanglement.cluster.names import PART_OF, PART_OF_LABEL, STUDY_LABEL
from disentanglement.cluster.resource import StudyStatus
from disentanglement.cluster.slim import slim
from disentanglement.cluster.state import JobView
from disentanglement.cluster.study_work import StudyWork, Tools
from disentanglement.cluster.submission import resource_of
from disentanglement.errors import DisentanglementError, SpecError
from disentanglement.specs.parsing import load_yaml

log = logging.getLogger(__name__)

SUCCEEDED, FAILED, TRY_AGAIN = 0, 1, 75
PAUSE_S = 10.0
POD_VARIABLE = "POD_NAME"


@dataclass
class Narrator:
    """Tells of a study by lines in our own log."""

    last: StudyStatus | None = None

    def __call__(self, item: Object, status: StudyStatus) -> bool:
        """Tells of a study's status."""
        self.last = status
        counts = status.counts
        log.info(
            "progress",
            extra={
                "study": item["metadata"]["name"],
                "phase": status.phase,
                "trained": f"{counts.trained}/{counts.total}",
                "evaluated": f"{counts.evaluated}/{counts.total}",
                "failed": counts.failed,
                "pods": status.running,
            },
        )
        for condition in status.conditions:
            if (condition.type, condition.status) in (("Accepted", "False"), ("Degraded", "True")):
                log.warning("problem", extra={"reason": condition.reason, "message_": condition.message})
        for failure in status.failures:
            log.debug("failed", extra={"model": failure.model, "step": failure.step, "reason": failure.reason})
        return True


def read_study(text: str, owner: Owner) -> Object:
    """The study in a file, as if it were a resource of our namespace.

    Raises:
        SpecError: naming each wrong field.
    """
    item = resource_of(load_yaml(text))
    return {**item, "metadata": {**item["metadata"], "namespace": owner.namespace, "uid": owner.uid, "generation": 1}}


def own_job(api: KubernetesApi, env: Mapping[str, str]) -> Owner:
    """The Job that this process runs in.

    Raises:
        SpecError: it runs in none, or does not know its pod.
    """
    name = env.get(POD_VARIABLE, "")
    if not name:
        raise SpecError.of(
            POD_VARIABLE, "the name of this pod (fieldRef metadata.name), which a Job has made", "nothing"
        )
    pod = api.get(PODS, ObjectName(api.namespace, name))
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner["kind"] == JOBS.name:
            return Owner(owner["name"], owner["uid"], api.namespace, api_version=JOBS.api_version, kind=JOBS.name)
    raise SpecError.of(POD_VARIABLE, "a pod that a Job has made", f"{api.namespace}/{name}, which no Job owns")


def launch(item: Object, tools: Tools, narrator: Narrator, stop: threading.Event) -> int:
    """Works one study off: 0 when all of its models have their scores, 1 when some have failed or it is refused, 75
    when asked to stop before."""
    name = ObjectName(item["metadata"]["namespace"], item["metadata"]["name"])
    changed = threading.Event()
    labels = selector({PART_OF_LABEL: PART_OF, STUDY_LABEL: name.name})
    jobs = Mirror(
        tools.api,
        JOBS,
        name.namespace,
        labels=labels,
        heard=lambda _: changed.set(),
        keep=slim,
        relist_s=tools.relist_s,
        clock=tools.clock,
    )
    threading.Thread(target=jobs.run, args=(stop,), name="mirror", daemon=True).start()
    threading.Thread(target=_pass_on, args=(stop, changed), name="stop", daemon=True).start()
    work = StudyWork(name, jobs, tools)
    while not stop.is_set():
        if not jobs.is_listed.wait(1.0):
            continue
        changed.clear()
        after_s = _one_look(work, item)
        if narrator.last is not None and (code := _ended(narrator.last, jobs)) is not None:
            return code
        changed.wait(after_s)
        stop.wait(0.5)  # what changes together is looked at together
    return TRY_AGAIN


def _pass_on(stop: threading.Event, changed: threading.Event) -> None:
    stop.wait()
    changed.set()


def _one_look(work: StudyWork, item: Object) -> float:
    try:
        return work.look(item)
    except DisentanglementError as error:
        log.warning("waiting", extra={"reason": error.reason, "cause": str(error)})
        return PAUSE_S


def _ended(status: StudyStatus, jobs: Mirror) -> int | None:
    """The exit code, None where there is still something to do."""
    if status.phase == "Invalid":
        return FAILED
    views = [JobView.from_object(item) for item in jobs.items()]
    if status.phase not in ("Succeeded", "Failed") or any(view and not view.is_finished for view in views):
        return None
    return SUCCEEDED if status.phase == "Succeeded" else FAILED
