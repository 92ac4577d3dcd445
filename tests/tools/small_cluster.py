"""A small model of a cluster and a store, in which a controller's decisions can be followed to their end.

It plays what matters of Kubernetes' Jobs: indexes, parallelism, retries, suspension, ends, TTL, names that are taken.
The controller sees Jobs through a copy that may be old (events get lost), and the store as it is. What must never
happen (work done twice, too many pods, a failure forgotten) is asserted at the moment when it would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from small_jobs import IMAGE, LAST_TRY, MOST_WAITS, Choose, Fate, Job, Pod, SmallStore

from disentanglement.cluster.actions import (
    Action,
    ClearFailures,
    CreateJob,
    DeleteJob,
    EvictCodes,
    RecordFailures,
    UpdateJob,
)
from disentanglement.cluster.reconcile import MAX_GROUPS, reconcile
from disentanglement.cluster.state import FAILED_INDEXES, POD_FAILURE_POLICY, CellState, JobView
from disentanglement.cluster.wanted import Wanted
from disentanglement.specs import Step


class SmallCluster:
    """A cluster, a store and a study that a controller works off."""

    def __init__(self, wanted: Wanted, *, metrics: int = 2, choose: Choose = lambda *_: Fate.DONE) -> None:
        self.wanted = replace(wanted, images=dict.fromkeys(("train", "postprocess", "evaluate"), IMAGE))
        self.metrics = metrics
        self.choose = choose
        self.store = SmallStore()
        self.jobs: dict[str, Job] = {}
        self.copy: dict[str, JobView] = {}
        """The Jobs as the controller knows them."""
        self.limit = wanted.parallelism
        """How many heavy pods there may be: `parallelism`, or what it was until the controller has acted on it."""
        self.clock = 0
        self.made = 0
        self.most_jobs = 0

    # ----------------------------------------------------------------------------------------------------- controller
    def cells(self) -> Mapping[str, CellState]:
        """As the controller lists them."""
        return {cell: self.store.state(numbers, self.metrics) for cell, numbers in self.wanted.cells.items()}

    def decide(self) -> list[Action]:
        """What the controller would do now."""
        wanted = replace(self.wanted, cleared_generation=self.store.cleared)
        return reconcile(wanted, self.cells(), self.copy.values())

    def act(self, at_most: int | None = None) -> int:
        """One round of the controller, which may be killed after some actions; how many there were to do."""
        actions = self.decide()
        assert actions == self.decide(), "the same facts, the same decision"
        for action in actions[:at_most]:
            self.execute(action)
        if at_most is None or at_most >= len(actions):
            self.limit = self.wanted.parallelism if self.heavy_pods() <= self.wanted.parallelism else self.limit
        return len(actions)

    def relist(self) -> None:
        """The controller's copy becomes what there is."""
        self.copy = {name: job.view() for name, job in self.jobs.items()}

    def hear(self, name: str) -> None:
        """One event about a Job, or about its end, reaches the controller."""
        if name in self.jobs:
            self.copy[name] = self.jobs[name].view()
        else:
            self.copy.pop(name, None)

    def execute(self, action: Action) -> None:
        """What the controller's hands do."""
        match action:
            case CreateJob():
                self._create(action)
            case UpdateJob():
                self._update(action)
            case DeleteJob():
                self._delete(action)
            case RecordFailures():
                self._record(action)
            case ClearFailures():
                self.store.failed.clear()
                self.store.failed_scores.clear()
                self.store.cleared = action.generation
            case EvictCodes():
                state = self.store.state(action.models, self.metrics)
                assert not state.to_score, "codes that are still needed"
                self.store.codes -= set(action.models)

    def _create(self, action: CreateJob) -> None:
        assert action.num_groups <= MAX_GROUPS
        assert 1 <= action.parallelism <= action.num_groups
        if action.name in self.jobs:
            self.copy[action.name] = self.jobs[action.name].view()
            return
        self._assert_needed(action)
        self.made += 1
        is_queued = bool(self.wanted.queue)
        job = Job(action, f"uid-{self.made}", action.parallelism, is_queued, is_suspended=is_queued)
        self.jobs[action.name] = job
        self.copy[action.name] = job.view()
        self.most_jobs = max(self.most_jobs, len(self.jobs))

    def _assert_needed(self, action: CreateJob) -> None:
        state, models = self.store.state(action.models, self.metrics), set(action.models)
        match action.step:
            case "train":
                assert not models & (state.trained | state.has_failed("train")), "done or failed work is made again"
            case "postprocess":
                assert models <= state.trained & state.to_score, "nobody needs these codes"
                assert not models & state.extracted & state.with_codes, "the codes are there"
                assert not models & state.has_failed("postprocess")
            case "evaluate":
                assert models <= state.to_score & state.extracted & state.with_codes, "no scores are missing, or codes"
        for job in self.jobs.values():
            if job.made.step == action.step and not job.end:
                open_models = {number for i in range(job.made.num_groups) if i not in job.completed | job.failed
                               for number in job.models(i)}  # fmt: skip
                assert not models & open_models, "two Jobs at the same work"

    def _update(self, action: UpdateJob) -> None:
        job = self.jobs.get(action.name)
        if job is None:
            self.copy.pop(action.name, None)
            return
        if action.parallelism is not None:
            job.parallelism = action.parallelism
        if action.suspend is not None:
            job.is_suspended = action.suspend
        if action.ttl_s is not None:
            self._assert_may_be_forgotten(job)
            job.ttl_s = action.ttl_s
        self._shrink(job)
        self.copy[action.name] = job.view()

    def _delete(self, action: DeleteJob) -> None:
        job = self.jobs.get(action.name)
        if job is not None and job.uid == action.uid:
            self._assert_may_be_forgotten(job)
            job.is_deleting = True
            for pod in job.pods:
                pod.is_ending = True
        self.hear(action.name)

    def _assert_may_be_forgotten(self, job: Job) -> None:
        if job.made.generation < self.wanted.generation:
            return  # a retry forgets
        models = {number for index in job.failed - job.excused for number in job.models(index)}
        state = self.store.state(models, self.metrics)
        lacking = {
            "train": models - state.trained - state.has_failed("train"),
            "postprocess": models - state.extracted - state.has_failed("postprocess"),
            "evaluate": models & state.to_score & state.with_codes & state.extracted,
        }[job.made.step]
        assert not lacking or job.made.plan != self.wanted.plan, "a failure is forgotten before it is written down"

    def _record(self, action: RecordFailures) -> None:
        job = self.jobs.get(action.job)
        if job is not None and action.index not in job.blamed:
            job.excused.add(action.index)
            self.hear(action.job)
            return
        state = self.store.state(action.models, self.metrics)
        for number in action.models:
            if action.step == "evaluate":
                missing = {(number, metric) for metric in range(self.metrics)} - self.store.scores
                assert missing
                is_evaluation = self.copy[action.job].step == "evaluate"
                assert not is_evaluation or missing <= self.store.tried_scores, "a failure of scores never tried"
                self.store.failed_scores |= missing
            else:
                done = state.trained if action.step == "train" else state.extracted
                assert number not in done, "a failure of committed work"
                self.store.failed.add((action.step, number))

    # ----------------------------------------------------------------------------------------------------- Kubernetes
    def heavy_pods(self) -> int:
        """Pods that train or extract, those that are ending included."""
        return sum(len(job.pods) for job in self.jobs.values() if job.made.step != "evaluate")

    def start_pods(self) -> None:
        """Every Job gets the pods that it may have."""
        for job in self.jobs.values():
            if job.is_queued:
                job.is_suspended = job.is_suspended and bool(job.end)  # Kueue admits whatever comes
            self._shrink(job)
            if job.end or job.is_suspended or job.is_deleting:
                continue
            room = job.parallelism - len(job.pods)
            for index in job.open_indexes[: max(0, room)]:
                job.pods.append(Pod(index))
        assert self.heavy_pods() <= max(self.limit, self.wanted.parallelism), "more pods than parallelism allows"

    def _shrink(self, job: Job) -> None:
        allowed = 0 if job.is_suspended or job.is_deleting else job.parallelism
        going = [pod for pod in job.pods if not pod.is_ending]
        for pod in going[allowed:]:
            pod.is_ending = True

    def running(self) -> list[tuple[Job, Pod]]:
        """Every pod."""
        return [(job, pod) for job in self.jobs.values() for pod in job.pods]

    def finish(self, job: Job, pod: Pod) -> None:
        """A pod comes to its end; one that was asked to stop has done nothing."""
        job.pods.remove(pod)
        self.clock += 1
        if pod.is_ending or job.end:
            self._settle(job)
            return
        ends = [self._work(job, number) for number in job.models(pod.index)]
        if Fate.OTHER_CONTRACT in ends:
            job.end, job.end_reason, job.ended_at = "Failed", POD_FAILURE_POLICY, self.clock
            for other in job.pods:
                other.is_ending = True
            return
        if all(end is Fate.DONE for end in ends):
            job.completed.add(pod.index)
        else:
            job.tries[pod.index] = job.tries.get(pod.index, 0) + 1
            if not set(ends) <= {Fate.DONE, Fate.WAITS}:
                job.blamed.add(pod.index)
            if job.tries[pod.index] >= LAST_TRY or set(ends) <= {Fate.DONE, Fate.REFUSED}:
                job.failed.add(pod.index)
        self._settle(job)

    def lose(self, job: Job) -> None:
        """The first open index of an evaluation fails at all of its tries."""
        if job.end or not job.open_indexes:
            return
        index = job.open_indexes[0]
        self.store.tried_scores |= {score for number in job.models(index) for score in self._scores_of(job, number)}
        job.failed.add(index)
        job.blamed.add(index)
        self.clock += 1
        self._settle(job)

    def _settle(self, job: Job) -> None:
        if job.end or job.pods or len(job.completed | job.failed) < job.made.num_groups:
            return
        job.ended_at = self.clock
        job.end, job.end_reason = ("Failed", FAILED_INDEXES) if job.failed else ("Complete", "")

    def vanish(self, *, after_s: int = 10**9) -> bool:
        """Ended Jobs whose time is up are forgotten, deleted ones are gone; whether there were any."""
        gone = [
            name
            for name, job in self.jobs.items()
            if (job.is_deleting and not job.pods) or (job.end and job.ttl_s is not None and job.ttl_s <= after_s)
        ]
        for name in gone:
            del self.jobs[name]
        return bool(gone)

    # -------------------------------------------------------------------------------------------------------- workers
    def _work(self, job: Job, number: int) -> Fate:
        step = job.made.step
        if step == "evaluate":
            self.store.tried_scores |= set(self._scores_of(job, number))
        if self._has_failed(step, number):
            return Fate.REFUSED
        fate = self.choose(step, number, job.made.generation)
        if fate is Fate.RETRIED:
            fate = Fate.DONE if job.tries or number % 2 else Fate.LOST
        if fate is Fate.WAITS:
            waits = self.store.waits[step, number] = self.store.waits.get((step, number), 0) + 1
            fate = Fate.REFUSED if waits > MOST_WAITS else fate
        if fate in (Fate.LOST, Fate.WAITS) and step == "train" and number in self.store.trained:
            fate = Fate.DONE
        if fate is Fate.DONE:
            return self._commit(job, number)
        if fate is Fate.REFUSED:
            self._refuse(step, number)
        return fate

    def _has_failed(self, step: Step, number: int) -> bool:
        if step == "evaluate":
            return False
        done = self.store.trained if step == "train" else self.store.extracted
        return (step, number) in self.store.failed and number not in done

    def _commit(self, job: Job, number: int) -> Fate:
        store = self.store
        match job.made.step:
            case "train":
                store.trained.add(number)
                if job.made.with_codes:
                    store.extracted.add(number)
                    store.codes.add(number)
            case "postprocess":
                if number not in store.trained:
                    return Fate.WAITS
                store.extracted.add(number)
                store.codes.add(number)
            case "evaluate":
                missing = set(self._scores_of(job, number)) - store.scores - store.failed_scores
                if missing and number not in store.codes:
                    return Fate.WAITS
                store.scores |= missing
                if set(self._scores_of(job, number)) & (store.failed_scores - store.scores):
                    return Fate.REFUSED
        return Fate.DONE

    def _scores_of(self, job: Job, number: int) -> Iterator[tuple[int, int]]:
        """Those of the plan that the Job was made for."""
        yield from ((number, metric) for metric in range(int(job.made.plan)))

    def _refuse(self, step: Step, number: int) -> None:
        if step != "evaluate":
            done = self.store.trained if step == "train" else self.store.extracted
            if number not in done:
                self.store.failed.add((step, number))
        elif number in self.store.codes:
            self.store.failed_scores.add((number, 0))
            self.store.scores |= {(number, metric) for metric in range(1, self.metrics)}


def settle(cluster: SmallCluster, *, rounds: int = 300) -> None:
    """Nothing disturbs any more: to the end, which has to come.

    Raises:
        AssertionError: there is still something to do after so many rounds.
    """
    for _ in range(rounds):
        cluster.relist()
        actions = cluster.act()
        cluster.start_pods()
        running = cluster.running()
        for job, pod in running:
            cluster.finish(job, pod)
        if not (actions or running) and not cluster.vanish():
            return
    raise AssertionError(f"no end after {rounds} rounds: {cluster.decide()[:5]} {list(cluster.jobs.values())[:5]}")
