"""Why a study in a cluster does not go on, in plain sentences with what to do. Pure: the API's objects in, text out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from disentanglement.cluster import advice
from disentanglement.cluster.conditions import counted
from disentanglement.cluster.inspection import Seen, cell_of, models_of, step_of
from disentanglement.cluster.kinds import Object
from disentanglement.cluster.pods import FailedPod, failed_pod, obstacle
from disentanglement.steps.one_shot import parse_numbers

MOST_FAILURES = 20
MOST_NUMBERS = 8

BAD_WHEN_FALSE = ("Accepted",)
BAD_WHEN_TRUE = ("Degraded",)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that holds a study up, or that it is in order; `todo` is what somebody can do about it."""

    kind: str
    """Where it comes from: `study`, `condition`, `queue`, `pod`, `job`, `model`, `rights`."""
    what: str
    todo: str = ""

    def to_plain(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def explain(seen: Seen) -> list[Reason]:
    """The reasons, the most general first. There is always one: how the study stands."""
    reasons = [_standing(seen.study), *bad_conditions(seen.study)]
    for part in (_queue, _waiting, _no_pods, _lost, _retried, _failed_jobs, _failed_models, _unread):
        reasons += part(seen)
    return reasons


def summary(study: Object) -> str:
    """`quick-start is Running: 1 of 2 models trained, 0 evaluated, 0 failed; 1 pod runs`."""
    status = study.get("status") or {}
    counts, name = status.get("counts") or {}, study["metadata"]["name"]
    phase = status.get("phase") or "not looked at yet"
    if not counts.get("total"):
        return f"{name} is {phase}"
    trained, evaluated, failed = (counts.get(word, 0) for word in ("trained", "evaluated", "failed"))
    models = f"{trained} of {counts.get('total', 0)} models trained, {evaluated} evaluated, {failed} failed"
    return f"{name} is {phase}: {models}; {counted(int(status.get('running') or 0), 'pod runs', 'pods run')}"


def _standing(study: Object) -> Reason:
    status, metadata = study.get("status") or {}, study["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    if metadata.get("deletionTimestamp"):
        return Reason("study", f"{name} is being deleted; what is computed stays in the store")
    if int(status.get("observedGeneration") or 0) < int(metadata.get("generation") or 0):
        return Reason(
            "study",
            f"the controller has not looked at this version of {name} yet (generation {metadata.get('generation')}, "
            f"it knows {status.get('observedGeneration', 'none')})",
            "wait a few seconds; if it stays so, see whether the controller runs and watches this namespace: "
            f"kubectl -n disentanglement logs deployment/controller (DISENTANGLEMENT_NAMESPACES must name {namespace})",
        )
    if (study.get("spec") or {}).get("paused"):
        todo = f'kubectl -n {namespace} patch study {name} --type merge -p \'{{"spec":{{"paused":false}}}}\''
        return Reason("study", f"{summary(study)}; it is paused", todo)
    return Reason("study", summary(study))


def bad_conditions(study: Object) -> Iterator[Reason]:
    """What the controller complains of."""
    told: set[str] = set()
    for condition in (study.get("status") or {}).get("conditions") or ():
        kind, value, message = condition.get("type"), condition.get("status"), condition.get("message", "")
        is_bad = (kind in BAD_WHEN_FALSE and value == "False") or (kind in BAD_WHEN_TRUE and value == "True")
        if is_bad and message not in told:
            told.add(message)
            yield Reason("condition", f"{kind} is {value} ({condition.get('reason')}): {message}")


def _queue(seen: Seen) -> Iterator[Reason]:
    for workload in seen.workloads:
        name, status = workload["metadata"]["name"], workload.get("status") or {}
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        admitted = conditions.get("Admitted", {}).get("status") == "True"
        if admitted or conditions.get("Finished", {}).get("status") == "True":
            continue
        told = conditions.get("QuotaReserved") or conditions.get("Admitted") or {}
        queue = (workload.get("spec") or {}).get("queueName", "")
        place = f", {seen.positions[name]} before it" if name in seen.positions else ""
        says = told.get("message") or "Kueue has not looked at it yet"
        yield Reason(
            "queue",
            f"workload {name} waits in the queue {queue}{place}: {says}",
            f"kubectl describe workload {name}; a higher spec.priorityClass moves the study forward",
        )


def _waiting(seen: Seen) -> Iterator[Reason]:
    grouped: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for pod in seen.pods:
        if (pod.get("status") or {}).get("phase") == "Pending" and (found := obstacle(pod)) is not None:
            grouped[found.reason, found.message].append(pod)
    for (reason, message), pods in grouped.items():
        what = f"{counted(len(pods), 'pod', 'pods')} ({_steps(pods)}) {advice.OBSTACLES[reason]}: {message}"
        yield Reason("pod", what, advice.for_obstacle(reason, message))


def _no_pods(seen: Seen) -> Iterator[Reason]:
    """What keeps Jobs from making pods, and pods from starting, as events tell it; each message once."""
    names = {job["metadata"]["name"] for job in seen.jobs}
    told: dict[str, tuple[str, str]] = {}
    for event in seen.events:
        reason, message = event.get("reason", ""), event.get("message", "")
        about = (event.get("involvedObject") or {}).get("name", "")
        if about in names and reason == "FailedCreate":
            told[f"pods can't be made: {_after(message, 'is forbidden: ')}"] = ("job", advice.for_creation(message))
        elif reason in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
            told[f"pod {about} can't start ({reason}): {message}"] = ("pod", "")
    for what, (kind, todo) in told.items():
        yield Reason(kind, what, todo)


def _lost(seen: Seen) -> Iterator[Reason]:
    for pod in seen.pods:
        status = pod.get("status") or {}
        conditions = {condition.get("type"): condition for condition in status.get("conditions") or ()}
        is_going = pod["metadata"].get("deletionTimestamp") and status.get("phase") not in ("Failed", "Succeeded")
        if status.get("phase") == "Unknown" or (is_going and conditions.get("Ready", {}).get("status") == "False"):
            node = (pod.get("spec") or {}).get("nodeName", "")
            yield Reason(
                "pod",
                f"{pod['metadata']['name']} on the node {node} is going, and is replaced once its end is confirmed",
                advice.for_lost_node(node),
            )


def _retried(seen: Seen) -> Iterator[Reason]:
    """Indexes whose last pod ended badly and that the Job tries again."""
    jobs = {job["metadata"]["name"]: job for job in seen.jobs}
    failed = [pod for pod in seen.pods if (pod.get("status") or {}).get("phase") == "Failed"]
    last = {(pod.job, pod.index): pod for pod in sorted(map(failed_pod, failed), key=lambda pod: pod.finished)}
    grouped: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    settled = {name: _settled(job) for name, job in jobs.items()}
    for (name, index), pod in last.items():
        if name in jobs and index not in settled[name]:
            grouped[(step_of(jobs[name]), *_how_it_ended(pod))] += models_of(jobs[name], index) or (index,)
    for (step, what, todo), numbers in grouped.items():
        yield Reason("model", f"{step} of {_models(numbers)} is tried again; the last pod ended so: {what}", todo)


def _how_it_ended(pod: FailedPod) -> tuple[str, str]:
    lines = pod.message.splitlines()
    last = f": {lines[-1]}" if lines else ""
    if pod.reason == "OOMKilled":
        return "out of memory", "raise the pool's memory limit in worker-pools, or lower spec.modelsPerPod"
    if pod.is_disruption:
        return f"its node took it away{last}", "nothing: it goes on from its checkpoint"
    if pod.exit_code is None:
        return f"{pod.reason or 'nobody saw how'}{last}", ""
    meaning = f", {advice.EXIT_CODES[pod.exit_code]}" if pod.exit_code in advice.EXIT_CODES else ""
    return f"exit code {pod.exit_code}{meaning}{last}", ""


def _failed_jobs(seen: Seen) -> Iterator[Reason]:
    for job in seen.jobs:
        for condition in (job.get("status") or {}).get("conditions") or ():
            if condition.get("type") == "Failed" and condition.get("status") == "True":
                reason, message = condition.get("reason", ""), condition.get("message", "")
                if reason == "FailedIndexes":  # its models are named one by one
                    continue
                where = f"{step_of(job)} of {cell_of(job)}"
                yield Reason("job", f"Job {job['metadata']['name']} ({where}) failed: {reason}: {message}")


def _failed_models(seen: Seen) -> Iterator[Reason]:
    name = seen.study["metadata"]["name"]
    failures = (seen.study.get("status") or {}).get("failures") or ()
    for failure in failures[:MOST_FAILURES]:
        number, step = failure.get("model"), failure.get("step")
        yield Reason(
            "model",
            f"{step} of model {number} failed for good: {failure.get('reason')}: {failure.get('message')}",
            f"disentangle study logs {name} --model {number} --cluster; "
            f"then, once its cause is gone: disentangle study retry {name} --cluster",
        )


def _unread(seen: Seen) -> Iterator[Reason]:
    for message in seen.unread:
        yield Reason("rights", f"not looked at: {message}", "ask for the right to read it, or let an admin run this")


def _steps(pods: list[Object]) -> str:
    return ", ".join(sorted({f"{step_of(pod)} {cell_of(pod)}".strip() or pod["metadata"]["name"] for pod in pods})[:3])


def _models(numbers: list[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)[:MOST_NUMBERS]))
    more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
    return f"model{'s' if len(numbers) > 1 else ''} {shown}{more}"


def _settled(job: Object) -> set[int]:
    """Indexes that the Job does not try again."""
    status = job.get("status") or {}
    intervals = (status.get(name) or "" for name in ("completedIndexes", "failedIndexes"))
    return {index for text in intervals if text for index in parse_numbers(text)}


def _after(text: str, words: str) -> str:
    return text.partition(words)[2] or text
