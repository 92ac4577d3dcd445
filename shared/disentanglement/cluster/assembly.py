"""The parts of the controller and of the launcher, put together from their settings."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from disentanglement.cluster.controller import Controller
from disentanglement.cluster.kubernetes_jobs import KubernetesApi, connect
from disentanglement.cluster.launcher import Narrator, launch, own_job, read_study
from disentanglement.cluster.leadership import Leadership
from disentanglement.cluster.loading import Sources, images_from
from disentanglement.cluster.manifests import Owner
from disentanglement.cluster.names import SYSTEM_NAMESPACE, project_of
from disentanglement.cluster.settings import ControllerSettings
from disentanglement.cluster.study_work import StudyWork, Tells, Tools
from disentanglement.cluster.surroundings import Surroundings
from disentanglement.cluster.telling import ClusterTells
from disentanglement.cluster.work_queue import RateLimit
from disentanglement.storage.settings import open_store

log = logging.getLogger(__name__)

BURST = 20
"""Jobs that may be created at once."""


class ControllerProcess:
    """The controller in a thread of its own, as long as this process leads."""

    def __init__(self, env: Mapping[str, str]) -> None:
        settings = ControllerSettings.from_env(env)
        api = connect(env)
        namespaces = settings.watched(api.namespace)
        tools = _tools(api, settings, env, ClusterTells(api), own_namespace=api.namespace)
        self._api = api
        self._controller = Controller(
            api, namespaces, lambda key, jobs: StudyWork(key, jobs, tools), relist_s=settings.relist_s
        )
        self._leadership = Leadership(api, api.namespace, settings.identity, lease_s=settings.lease_s)
        self._stop, self._released = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="controller")
        log.info("controller", extra={"namespaces": ",".join(namespaces), "identity": settings.identity})

    def start(self) -> None:
        """Begins to wait for the lease."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the present look, then lets another replica begin."""
        self._stop.set()
        self._thread.join()
        sent = {f"{method} {plural}": number for (method, plural), number in sorted(self._api.requests.items())}
        log.info("stopped", extra={"requests": self._api.num_requests(), "by_kind": sent})

    def _work(self) -> None:
        try:
            if not self._leadership.acquire(self._stop):
                return
            self._leadership.keep(self._released, _die)
            self._controller.run(self._stop)
            self._released.set()
            self._leadership.release()
        except Exception:  # the outermost loop of the thread that leads: without it nobody would
            log.exception("the controller can't go on")
            _die()


def _die() -> None:
    """At once: what this process has in hand, another one may have in hand already."""
    os._exit(1)


def launch_file(path: Path, env: Mapping[str, str], stop: threading.Event) -> int:
    """Works off the study in a file; the exit code.

    Raises:
        SpecError: the file, a setting, or the namespace.
        Unavailable: the API server.
    """
    settings = ControllerSettings.from_env(env)
    api = connect(env, field_manager="disentanglement-launcher", pause=stop.wait)
    owner = own_job(api, env)
    project_of(owner.namespace, SYSTEM_NAMESPACE)
    item = read_study(path.read_text(), owner)
    narrator = Narrator()
    tools = _tools(api, settings, env, narrator, own_namespace=SYSTEM_NAMESPACE, owner=owner)
    return launch(item, tools, narrator, stop)


def _tools(
    api: KubernetesApi,
    settings: ControllerSettings,
    env: Mapping[str, str],
    tell: Tells,
    *,
    own_namespace: str,
    owner: Owner | None = None,
) -> Tools:
    sources = Sources(
        open_store=lambda: open_store(settings.store, env),
        pools=settings.pools,
        images=images_from(env),
        own_namespace=own_namespace,
        relist_s=settings.relist_s,
        owner=owner,
    )
    return Tools(
        api=api,
        sources=sources,
        surroundings=Surroundings(api),
        creations=RateLimit(settings.jobs_per_second, BURST),
        tell=tell,
        relist_s=settings.relist_s,
    )
