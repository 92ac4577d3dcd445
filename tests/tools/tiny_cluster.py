"""A study worked off look by look, with everything that a look meets under the test's hand: a tiny API server, a
directory store, a clock, and Jobs that end as the test says. A real API server is in tests/integration/cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from tiny_kubernetes import TinyKubernetes
from tiny_steps import STUDY, import_dummy_data

from disentanglement.cluster.kinds import EVENTS, JOBS, NODES, PODS, STUDIES, Object, ObjectName, labels_of
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.loading import Sources
from disentanglement.cluster.mirror import Mirror
from disentanglement.cluster.names import API_VERSION, MODELS_ANNOTATION, PLAN_ANNOTATION, STEP_LABEL, store_name
from disentanglement.cluster.slim import slim
from disentanglement.cluster.state import JobView
from disentanglement.cluster.study_work import StudyWork, Tells, Tools
from disentanglement.cluster.surroundings import Surroundings
from disentanglement.cluster.telling import ClusterTells
from disentanglement.cluster.work_queue import RateLimit
from disentanglement.specs import Step, canonical
from disentanglement.specs.canonical import contract_version, step_of
from disentanglement.steps.one_shot import parse_numbers
from disentanglement.storage.codes import CodesManifest
from disentanglement.storage.commit import Attempt
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import CodesManifestKey, new_attempt
from disentanglement.storage.manifests import content_digest
from disentanglement.storage.store import Store
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.plan import PlannedModel
from disentanglement.studies.records import load_plan_cell

NAMESPACE = "lab"
IMAGES: Mapping[Step, str] = {"train": "trainer:1", "postprocess": "postprocessor:1", "evaluate": "evaluator:1"}
POOLS: dict[str, Any] = {
    "pools": {
        "cpu": {"resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}},
        "gpu": {"resources": {"limits": {"memory": "4Gi"}}, "gpu": {"resource": "nvidia.com/gpu"}, "device": "cuda"},
    },
    "defaults": {"train": "cpu", "postprocess": "cpu", "evaluate": "cpu"},
}
INLINE: Mapping[str, Any] = {
    "model": STUDY["model"],
    "grid": {"sweep": {"random_seed": [0, 1, 2]}},
    "representations": ["mean", "sampled"],
}
METRICS = ["mig: {num_train: 100}"]


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@dataclass
class TinyCluster:
    """One namespace, one store, and what looks at its studies."""

    kubernetes: TinyKubernetes
    folder: Path
    clock: Clock = field(default_factory=Clock)
    jobs_per_second: float = 1000.0
    burst: int = 1000

    def __post_init__(self) -> None:
        configuration = client.Configuration()
        configuration.host = self.kubernetes.url
        self.api = KubernetesApi(configuration, namespace=NAMESPACE, pause=lambda _: None)
        self.store: Store = DirectoryStore(self.folder / "store")
        self.digest = import_dummy_data(self.store)
        self.pools = self.folder / "pools.yaml"
        self.pools.write_text(yaml.safe_dump(POOLS))
        self.work: dict[str, StudyWork] = {}
        self.jobs = Mirror(self.api, JOBS, NAMESPACE, keep=slim, clock=self.clock)

    def tools(self, tell: Tells | None = None) -> Tools:
        """What studies are worked off with."""
        sources = Sources(
            open_store=lambda: self.store,
            pools=self.pools,
            images=IMAGES,
            own_namespace=NAMESPACE,
            clock=self.clock,
        )
        return Tools(
            api=self.api,
            sources=sources,
            surroundings=Surroundings(self.api, clock=self.clock),
            creations=RateLimit(self.jobs_per_second, self.burst, clock=self.clock),
            tell=tell or ClusterTells(self.api),
            clock=self.clock,
        )

    def apply(self, name: str = "small", **spec: Any) -> None:
        """Makes or changes a Study, as kubectl does."""
        path = STUDIES.path(NAMESPACE, name)
        standing = self.kubernetes.objects.get(path)
        whole = {"inline": dict(INLINE), "metrics": METRICS, **(standing["spec"] if standing else {}), **spec}
        whole = {field: value for field, value in whole.items() if value is not None}
        item: Object = {"apiVersion": API_VERSION, "kind": "Study", "metadata": {"namespace": NAMESPACE, "name": name}}
        if standing:
            item["metadata"]["generation"] = standing["metadata"]["generation"] + 1
            item["status"] = standing.get("status", {})
        self.kubernetes.put(path, {**item, "spec": whole})

    def restart(self) -> None:
        """Nothing of what was learnt is remembered."""
        self.work.clear()

    def look(self, name: str = "small", *, times: int = 1, after_s: float = 20.0) -> float:
        """Looks at a study; what the last look answered."""
        answer = 0.0
        for _ in range(times):
            self.clock.now += after_s
            self.jobs.relist()
            work = self.work.get(name) or StudyWork(ObjectName(NAMESPACE, name), self.jobs, self.tools())
            self.work[name] = work
            answer = work.look(self.api.get(STUDIES, ObjectName(NAMESPACE, name)))
        return answer

    def status(self, name: str = "small") -> Object:
        """The status that the resource has."""
        status: Object = self.api.get(STUDIES, ObjectName(NAMESPACE, name)).get("status") or {}
        return status

    def condition(self, type_: str, name: str = "small") -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        for found in self.status(name).get("conditions", []):
            if found["type"] == type_:
                return found["status"], found["reason"], found.get("message", "")
        return "", "", ""

    def jobs_of(self, step: Step) -> list[Object]:
        """The Jobs for a step, by name."""
        return [job for job in self.kubernetes.below("/jobs/") if labels_of(job)[STEP_LABEL] == step]

    def events(self) -> list[Object]:
        """What `kubectl describe` shows."""
        return self.kubernetes.below(EVENTS.path(NAMESPACE))

    def end(self, job: Object, *, failed: str = "", reason: str = "") -> None:
        """A Job comes to its end; the indexes that did not fail have completed."""
        view = JobView.from_object(job)
        assert view is not None
        lost = set(parse_numbers(failed)) if failed else set()
        done = [str(index) for index in range(view.num_groups) if index not in lost]
        condition = {"type": "Failed" if failed or reason else "Complete", "status": "True"}
        if failed or reason:
            condition["reason"] = reason or "FailedIndexes"
        status = {
            "completedIndexes": "" if reason else ",".join(done),
            "failedIndexes": failed,
            "conditions": [condition],
        }
        self.kubernetes.put(JOBS.path(NAMESPACE, view.name), {**job, "status": status})

    def progress(self, job: Object, **status: Any) -> None:
        """A Job goes on."""
        self.kubernetes.put(JOBS.path(NAMESPACE, job["metadata"]["name"]), {**job, "status": status})

    def commit(self, job: Object, *, but: Iterable[int] = ()) -> None:
        """Writes what the workers of a Job would, but for some models."""
        view = JobView.from_object(job)
        assert view is not None
        planned = {m.number: m for m in load_plan_cell(self.store, view.plan, view.cell).planned}
        steps = ("train", "postprocess") if view.step == "train" else (view.step,)
        for number in set(view.models) - set(but):
            if view.step != "evaluate":
                self.put_codes(planned[number])
            for item in steps_of(planned[number]):
                if item.step in steps:
                    self.commit_step(item)

    def finish(self, step: Step) -> None:
        """All Jobs of a step do all of their work."""
        for job in self.jobs_of(step):
            if not (job.get("status") or {}).get("conditions"):
                self.commit(job)
                self.end(job)

    def commit_step(self, item: WorkItem) -> None:
        """Writes the manifest of a step."""
        step, member = step_of(item.spec)
        manifest = Attempt(self.store, step, item.key).manifest(
            spec=canonical(item.spec), contract=contract_version(step, member), upstream=item.upstream[:1]
        )
        self.store.put(manifest.key, manifest.to_bytes())

    def put_codes(self, model: PlannedModel) -> None:
        """Writes that a model's codes are there."""
        key = self.codes_key(model)
        manifest = CodesManifest(
            train_key=str(key.train_key),
            data_digest=key.data_digest,
            draws=key.draws,
            attempt=new_attempt(),
            files={},
            content_digest=content_digest({}),
        )
        self.store.put(key, manifest.to_bytes())

    def codes_key(self, model: PlannedModel) -> CodesManifestKey:
        """Where it is written that a model's codes are there."""
        return CodesManifestKey(model.key, model.train.dataset.digest)

    def models(self, job: Object) -> dict[int, PlannedModel]:
        """The models of a Job, by number."""
        annotations = job["metadata"]["annotations"]
        cell = load_plan_cell(self.store, annotations[PLAN_ANNOTATION], "dummy_data.beta_vae")
        wanted = parse_numbers(annotations[MODELS_ANNOTATION])
        return {model.number: model for model in cell.planned if model.number in wanted}

    def put_pod(self, job: Object, name: str, index: int, status: Object) -> None:
        """A pod of a Job, as it stands."""
        labels = {**labels_of(job), "batch.kubernetes.io/job-name": job["metadata"]["name"]}
        annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
        metadata = {"namespace": NAMESPACE, "name": name, "labels": labels, "annotations": annotations}
        self.kubernetes.put(PODS.path(NAMESPACE, name), {"metadata": metadata, "status": status})

    def put_node(self, name: str, **allocatable: str) -> None:
        """A node with these resources (`nvidia_com_gpu` for `nvidia.com/gpu`)."""
        given = {key.replace("nvidia_com_", "nvidia.com/"): value for key, value in allocatable.items()}
        self.kubernetes.put(NODES.path(name=name), {"metadata": {"name": name}, "status": {"allocatable": given}})


def failed_pod(
    exit_code: int, message: str = "", reason: str = "Error", finished: str = "2030-01-01T00:00:00Z"
) -> Object:
    """The status of a pod whose worker ended so."""
    ended = {"exitCode": exit_code, "reason": reason, "message": message, "finishedAt": finished}
    return {"phase": "Failed", "containerStatuses": [{"name": "worker", "state": {"terminated": ended}}]}


def waiting_pod(reason: str, message: str) -> Object:
    """The status of a pod whose worker does not start."""
    waiting = {"reason": reason, "message": message}
    return {
        "phase": "Pending",
        "containerStatuses": [{"name": "worker", "image": "trainer:1", "state": {"waiting": waiting}}],
    }


def failure_names(cluster: TinyCluster, step: Step, study: str = "small") -> list[str]:
    """Reasons of the failure records of a study."""
    from disentanglement.storage.failures import failure, list_failed

    found = (
        failure(cluster.store, "default", store_name(study), step, key)
        for key in list_failed(cluster.store, "default", store_name(study), step)
    )
    return [record.reason for record in found if record is not None]


def moment() -> datetime:
    """Some time."""
    return datetime(2030, 1, 1, tzinfo=UTC)
