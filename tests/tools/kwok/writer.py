"""The test writer: does for the pods that kwok plays what their workers would have done, and lets them finish.

It watches the controller's pods, reads from a pod's own arguments which group of models it works on, writes through the
real storage code what the chosen outcome (`outcomes.py`) leaves behind (manifests, codes, failure records), and then
sets the annotation with the exit code that kwok waits for (`stages.yaml`).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kwok.outcomes import CHOSEN_MESSAGE, Fate, fate

from disentanglement.cluster.api_errors import OutOfDate
from disentanglement.cluster.kinds import PODS, name_of
from disentanglement.cluster.kubernetes_jobs import KubernetesApi, connect
from disentanglement.cluster.names import CONTROLLER, MANAGED_BY_LABEL, STEP_LABEL, STUDY_LABEL
from disentanglement.errors import ArtifactNotFound, DisentanglementError, TrainingFailed, Unavailable
from disentanglement.specs import Step, StepKey, canonical
from disentanglement.specs.canonical import contract_version, step_of
from disentanglement.steps.ledger import failure_record
from disentanglement.steps.one_shot import ExitCode, Group, parse_numbers
from disentanglement.storage.codes import CodesManifest
from disentanglement.storage.commit import Attempt, find_manifest
from disentanglement.storage.failures import record_failure
from disentanglement.storage.keys import CodesManifestKey, new_attempt
from disentanglement.storage.manifests import content_digest
from disentanglement.storage.settings import open_store
from disentanglement.storage.store import Store
from disentanglement.studies.pending import StepId, WorkItem, steps_of
from disentanglement.studies.plan import PlannedModel
from disentanglement.studies.records import load_plan_cell

log = logging.getLogger("writer")

EXIT_CODE = "test.disentanglement.dev/exit-code"
MANAGED = f"{MANAGED_BY_LABEL}={CONTROLLER}"
INDEX = "batch.kubernetes.io/job-completion-index"
TRIES = "batch.kubernetes.io/job-index-failure-count"
THREADS = 4
WATCH_S = 2
WORST_FIRST = (ExitCode.CRASHED, ExitCode.TRY_AGAIN, ExitCode.FAILED, ExitCode.COMMITTED)
NO_CONTENT = content_digest({})

Choose = Callable[[Step, int], Fate]


@dataclass(frozen=True, slots=True)
class Work:
    """What a pod was told to do."""

    step: Step
    study: str
    project: str
    group: Group
    with_codes: bool
    tries: int
    """How often this index has failed before."""

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> Work:
        """From the pod's own arguments, as its worker would read them."""
        metadata, [container] = pod["metadata"], pod["spec"]["containers"]
        parser = argparse.ArgumentParser(exit_on_error=False)
        for name in ("study", "plan", "cell", "models", "pack", "index", "project"):
            parser.add_argument(f"--{name}", required=name not in ("pack",), default="1")
        parser.add_argument("--with-codes", action="store_true")
        index = metadata["annotations"][INDEX]
        words = [word.replace("$(JOB_COMPLETION_INDEX)", index) for word in container["args"]]
        assert words[0] == "run", words
        told = parser.parse_args(words[1:])
        return cls(
            step=metadata["labels"][STEP_LABEL],
            study=told.study,
            project=told.project,
            group=Group(told.plan, told.cell, parse_numbers(told.models), int(told.pack), int(told.index)),
            with_codes=told.with_codes,
            tries=int(metadata["annotations"].get(TRIES, "0")),
        )


class Writer:
    """Finishes pods until it is told to stop."""

    def __init__(
        self, api: KubernetesApi, store: Store, *, namespace: str, study: str = "", choose: Choose = fate
    ) -> None:
        self.counts: Counter[str] = Counter()
        """`pods`, `committed`, `idle` (pods that had nothing left to do), `premature` (scored before extracted), ..."""
        self._api = api
        self._store = store
        self._namespace = namespace
        self._labels = f"{MANAGED},{STUDY_LABEL}={study}" if study else MANAGED
        self._choose = choose
        self._seen: set[str] = set()
        self._committed: set[StepId] = set()
        self._counting = threading.Lock()
        self._cells: dict[tuple[str, str], dict[int, PlannedModel]] = {}
        self._loading = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Watches and finishes pods until `stop` is set (and the watch that is open then ends)."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="writer") as pool:
            while not stop.is_set():
                try:
                    for pod in self._running_pods(stop):
                        pool.submit(self._finish, pod)
                except (OutOfDate, Unavailable) as error:
                    log.warning("watching again", extra={"cause": str(error)})
                    stop.wait(0.5)

    def _running_pods(self, stop: threading.Event) -> Iterator[Mapping[str, Any]]:
        listing = self._api.list(PODS, self._namespace, labels=self._labels)
        yield from filter(self._is_new, listing.items)
        version = listing.version
        while not stop.is_set():
            for event in self._api.watch(PODS, self._namespace, version, labels=self._labels, timeout_s=WATCH_S):
                version = event.version
                if event.type in ("ADDED", "MODIFIED") and self._is_new(event.item):
                    yield event.item

    def _is_new(self, pod: Mapping[str, Any]) -> bool:
        metadata = pod["metadata"]
        is_ours = (
            pod.get("status", {}).get("phase") == "Running"
            and "deletionTimestamp" not in metadata
            and EXIT_CODE not in metadata.get("annotations", {})
            and metadata["uid"] not in self._seen
        )
        if is_ours:
            self._seen.add(metadata["uid"])
        return is_ours

    def _finish(self, pod: Mapping[str, Any]) -> None:
        try:
            code = self._settle(Work.of(pod))
            self._api.merge(PODS, name_of(pod), {"metadata": {"annotations": {EXIT_CODE: str(code)}}})
            self._count("pods", f"exit {code}")
        except ArtifactNotFound:  # evicted meanwhile
            self._count("gone")
        except DisentanglementError:
            log.exception("the pod is tried again")
            self._count("errors")
            self._seen.discard(pod["metadata"]["uid"])

    # ------------------------------------------------------------------------------------------------ what is written
    def _settle(self, work: Work) -> int:
        """Writes what the pod's group leaves behind; the exit code."""
        cell = self._cell(work.group.plan, work.group.cell)
        new: list[StepId] = []
        codes = {self._settle_model(work, cell[number], new) for number in work.group.numbers}
        code = next(code for code in WORST_FIRST if code in codes)
        if code == ExitCode.COMMITTED and not new:
            self._count("idle")
        return code

    def _settle_model(self, work: Work, model: PlannedModel, new: list[StepId]) -> ExitCode:
        chosen = self._choose(work.step, model.number)
        if chosen is Fate.LOST:
            return ExitCode.CRASHED
        if chosen is Fate.RETRIED and work.tries == 0:
            return ExitCode.TRY_AGAIN
        items = [item for item in steps_of(model) if item.step in _steps(work)]
        if chosen is Fate.REFUSED:
            self._refuse(work, items.pop(0))
            items = items if work.step == "evaluate" else []
        if items and (work.step == "postprocess" or work.with_codes):
            self._put_codes(model)
        new += [item.id for item in items if self._commit(item)]
        return ExitCode.FAILED if chosen is Fate.REFUSED else ExitCode.COMMITTED

    def _refuse(self, work: Work, item: WorkItem) -> None:
        record = failure_record(item, TrainingFailed(CHOSEN_MESSAGE), datetime.now(UTC))
        record_failure(self._store, work.project, work.study, record)
        self._count("records")

    def _put_codes(self, model: PlannedModel) -> None:
        """A manifest of codes without files: whether they are there is all that the controller asks."""
        key = CodesManifestKey(model.key, model.train.dataset.digest)
        manifest = CodesManifest(
            train_key=str(key.train_key),
            data_digest=key.data_digest,
            draws=key.draws,
            attempt=new_attempt(),
            files={},
            content_digest=NO_CONTENT,
        )
        self._store.put(key, manifest.to_bytes(), if_absent=True)

    def _commit(self, item: WorkItem) -> bool:
        """Whether it was not committed before."""
        step, member = step_of(item.spec)
        manifest = Attempt(self._store, step, item.key).manifest(
            spec=canonical(item.spec),
            contract=contract_version(step, member),
            upstream=item.upstream[:1],
            results={"score": 0.5} if step == "evaluate" else {},
        )
        is_new = self._store.put(manifest.key, manifest.to_bytes(), if_absent=True)
        if is_new:
            self._count("committed")
        if step == "evaluate" and not self._is_extracted(item.upstream[0]):
            self._count("premature")
        self._committed.add(item.id)
        return is_new

    def _is_extracted(self, key: StepKey) -> bool:
        return ("postprocess", key) in self._committed or find_manifest(self._store, "postprocess", key) is not None

    def _cell(self, plan: str, cell: str) -> dict[int, PlannedModel]:
        """The models of a cell by number, read once."""
        with self._loading:
            if (plan, cell) not in self._cells:
                planned = load_plan_cell(self._store, plan, cell).planned
                self._cells[plan, cell] = {model.number: model for model in planned}
            return self._cells[plan, cell]

    def _count(self, *names: str) -> None:
        with self._counting:
            self.counts.update(names)


def _steps(work: Work) -> tuple[Step, ...]:
    return ("train", "postprocess") if work.with_codes else (work.step,)


def main() -> int:
    """Runs until SIGTERM, then prints what it did as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", required=True)
    told = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    api = connect({"KUBECONFIG": os.environ["KUBECONFIG"]}, field_manager="test-writer")
    writer = Writer(api, open_store(env=os.environ), namespace=told.namespace)
    writer.run(stop)
    sys.stdout.write(json.dumps(writer.counts) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
