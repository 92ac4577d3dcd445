"""The controller's loop: looks at one study after another, whenever something about it has changed, and now and then.

Level-triggered: what is done follows from how things are, never from what happened. So whatever is missed, lost, done
twice or interrupted by a kill is put right by the next look, and a study that fails holds up no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from disentanglement.cluster.kinds import JOBS, STUDIES, Object, ObjectName, labels_of, name_of, selector
from disentanglement.cluster.kubernetes_jobs import KubernetesApi
from disentanglement.cluster.mirror import Mirror
from disentanglement.cluster.names import PART_OF, PART_OF_LABEL, STUDY_LABEL
from disentanglement.cluster.slim import slim
from disentanglement.cluster.work_queue import WorkQueue
from disentanglement.errors import DisentanglementError

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
SHORTEST_REST_S, LONGEST_REST_S = 0.5, 10.0
REST_FACTOR = 5.0
"""A study whose look takes a second rests for five, so that many changes are looked at together."""


class Work(Protocol):
    """What looks at one study (`StudyWork`)."""

    def look(self, item: Object) -> float:
        """Does what can be done now; in how many seconds to look again, whatever happens."""
        ...

    def forget(self) -> None:
        """The study is gone."""
        ...


MakeWork = Callable[[ObjectName, Mirror], Work]


class Controller:
    """The studies of some namespaces, worked off one look at a time.

    `make_work` makes what looks at one study, given its name and the Jobs of its namespace.
    """

    def __init__(
        self,
        api: KubernetesApi,
        namespaces: Sequence[str],
        make_work: MakeWork,
        *,
        relist_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._make_work = make_work
        self._queue = WorkQueue[ObjectName](clock)
        self._work: dict[ObjectName, Work] = {}
        self._pauses: dict[ObjectName, float] = {}
        self._studies: dict[str, Mirror] = {}
        self._jobs: dict[str, Mirror] = {}
        labels = selector({PART_OF_LABEL: PART_OF})
        for namespace in namespaces:
            self._studies[namespace] = Mirror(
                api, STUDIES, namespace, heard=self._heard_of_study, relist_s=relist_s, clock=clock
            )
            self._jobs[namespace] = Mirror(
                api, JOBS, namespace, labels=labels, heard=self._heard_of_job, keep=slim, relist_s=relist_s, clock=clock
            )

    def run(self, stop: threading.Event) -> None:
        """Works until asked to stop; what is being looked at then is looked at to its end."""
        for mirror in self._mirrors():
            name = f"mirror-{mirror.namespace}"
            threading.Thread(target=mirror.run, args=(stop,), name=name, daemon=True).start()
        threading.Thread(target=self._close_after, args=(stop,), name="stop", daemon=True).start()
        while (key := self._queue.take()) is not None:
            self._look(key)

    def _look(self, key: ObjectName) -> None:
        jobs, studies = self._jobs[key.namespace], self._studies[key.namespace]
        if not (jobs.is_listed.is_set() and studies.is_listed.is_set()):
            self._queue.add(key, after_s=SHORTEST_REST_S)  # what is not heard of yet may well be there
            return
        item = studies.get(key)
        if item is None:
            self._forget(key)
            return
        work = self._work.get(key) or self._work.setdefault(key, self._make_work(key, jobs))
        began = self._clock()
        after_s = self._one_look(key, work, item)
        took_s = self._clock() - began
        if after_s > 0:  # else the look is not at its end: it goes on once others have had their turn
            self._queue.rest(key, min(max(SHORTEST_REST_S, REST_FACTOR * took_s), LONGEST_REST_S))
        self._queue.add(key, after_s=after_s)

    def _one_look(self, key: ObjectName, work: Work, item: Object) -> float:
        """In how many seconds the study has to be looked at again, whatever happens."""
        try:
            after_s = work.look(item)
        except DisentanglementError as error:
            log.warning("the study waits", extra={"study": key, "reason": error.reason, "cause": str(error)})
            return self._pause(key)
        except Exception:  # what nobody foresaw in one study must not stop the others
            log.exception("the study waits: this is a bug", extra={"study": key})
            return self._pause(key)
        self._pauses.pop(key, None)
        return after_s

    def _pause(self, key: ObjectName) -> float:
        pause_s = self._pauses.get(key, FIRST_PAUSE_S)
        self._pauses[key] = min(2 * pause_s, LONGEST_PAUSE_S)
        return pause_s

    def _forget(self, key: ObjectName) -> None:
        """The study was deleted, and its Jobs with it; what is in the store stays."""
        if (work := self._work.pop(key, None)) is not None:
            work.forget()
            log.info("the study is gone", extra={"study": key})
        self._pauses.pop(key, None)
        self._queue.forget(key)

    def _heard_of_study(self, item: Object) -> None:
        self._queue.add(name_of(item))

    def _heard_of_job(self, item: Object) -> None:
        if study := labels_of(item).get(STUDY_LABEL):
            self._queue.add(ObjectName(name_of(item).namespace, study))

    def _close_after(self, stop: threading.Event) -> None:
        stop.wait()
        self._queue.close()

    def _mirrors(self) -> Iterable[Mirror]:
        return [*self._studies.values(), *self._jobs.values()]
