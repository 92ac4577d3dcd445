"""What the pods of a study write, and what the store has kept of pods that are gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from disentanglement.cli.cluster_study import Cluster
from disentanglement.cluster.names import WORKER_CONTAINER, store_name
from disentanglement.errors import ArtifactNotFound, SpecError

if TYPE_CHECKING:
    from disentanglement.cli.settings import Place
    from disentanglement.cluster.inspection import WorkerPod

MOST_PODS = 8
"""Whose logs are shown where no model is named."""


@dataclass(frozen=True, slots=True)
class ShownLog:
    """One log: whose it is, where it comes from, and its end."""

    step: str
    models: tuple[int, ...]
    source: str
    """`pod NAME (Running)`, or `store` with the step's key."""
    text: str

    @property
    def title(self) -> str:
        """One line above it."""
        numbers = ", ".join(map(str, self.models))
        return f"{self.step}{f' of model {numbers}' if numbers else ''}, {self.source}"

    def shortened(self, tail_lines: int) -> ShownLog:
        """Only the last lines."""
        return replace(self, text="\n".join(self.text.splitlines()[-tail_lines:]))

    def to_plain(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def pods_of(cluster: Cluster, study: str, *, model: int | None, step: str | None) -> list[WorkerPod]:
    """The newest pod of each step of a model; or the newest pods that run or, where none does, that there are."""
    from disentanglement.cluster.inspection import worker_pods

    where = cluster.where(study)
    pods = worker_pods(cluster.api, where, model=model, fields="" if model is not None else "status.phase=Running")
    if not pods and model is None:
        pods = worker_pods(cluster.api, where)
    chosen = [pod for pod in pods if step in (None, pod.step)]
    return list({pod.step: pod for pod in chosen}.values()) if model is not None else chosen[-MOST_PODS:]


def of_pods(cluster: Cluster, pods: Sequence[WorkerPod], *, tail_lines: int) -> list[ShownLog]:
    """The ends of the logs of pods; of one that has not begun, why there is none."""
    return [ShownLog(pod.step, pod.models, _source(pod), _text(cluster, pod, tail_lines)) for pod in pods]


def follow(cluster: Cluster, pods: Sequence[WorkerPod], show: Callable[[str], None], *, tail_lines: int) -> None:
    """Shows what running pods write until they end; lines of several have the models in front."""
    threads = [
        threading.Thread(target=_follow, args=(cluster, pod, show, tail_lines, len(pods) > 1), daemon=True)
        for pod in pods
        if pod.phase == "Running"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)  # in pieces, so that Ctrl-C is heard


def stored(place: Place, study: str, model: int, step: str | None) -> list[ShownLog]:
    """The kept logs of a model's steps.

    Raises:
        ArtifactNotFound: the store has no such study.
        SpecError: the study has no such model.
    """
    from disentanglement.storage.log_tails import find_log
    from disentanglement.studies.pending import steps_of
    from disentanglement.studies.records import load_plan, load_study

    store = place.open()
    planned = load_plan(store, load_study(store, place.project, store_name(study)).plan).model(model)
    found = []
    for item in steps_of(planned):
        if step in (None, item.step) and (data := find_log(store, item.step, item.key)) is not None:
            found.append(ShownLog(item.step, (model,), f"store, {item.key}", data.decode(errors="replace")))
    return found


def _source(pod: WorkerPod) -> str:
    return f"pod {pod.name} ({pod.phase})"


def _text(cluster: Cluster, pod: WorkerPod, tail_lines: int) -> str:
    from disentanglement.cluster.kinds import ObjectName

    where = ObjectName(cluster.namespace, pod.name)
    try:
        return cluster.api.pod_log(where, container=WORKER_CONTAINER, tail_lines=tail_lines)
    except (SpecError, ArtifactNotFound) as error:  # its container has not started, or it is gone by now
        return f"no log: {error}\n"


def _follow(cluster: Cluster, pod: WorkerPod, show: Callable[[str], None], tail_lines: int, with_name: bool) -> None:
    from disentanglement.cluster.kinds import ObjectName

    prefix = f"{pod.step} {','.join(map(str, pod.models))} | " if with_name else ""
    try:
        where = ObjectName(cluster.namespace, pod.name)
        for line in cluster.api.pod_log_lines(where, container=WORKER_CONTAINER, tail_lines=tail_lines):
            show(f"{prefix}{line}")
    except (SpecError, ArtifactNotFound) as error:
        show(f"{prefix}no log: {error}")
