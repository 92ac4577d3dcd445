"""A study in the cluster and the same study without one: equal keys, scores and content digests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import tiny_steps
from kube.installed import Installed

from disentanglement import Client
from disentanglement.results.tables import study_table
from disentanglement.specs import StudySpec
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.local import run_study as run_locally
from disentanglement.steps.pool import environment
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan
from disentanglement.studies.records import load_plan, load_study

PROJECT = "default"
NUMBERS = ["number", "representation", "metric", "key", "value", "train_key", "postprocess_key", "evaluate_key"]
STUDY_WITHIN_S = 900.0


def run_study(installed: Installed, folder: Path) -> str:
    """A small Study, one model per pod, from `kubectl apply` to its table; what was compared."""
    spec = tiny_steps.study(name="small")
    installed.apply_study("small", resource_spec(spec))
    installed.wait_for_phase("small", "Succeeded", STUDY_WITHIN_S)
    return compare(installed, spec, folder)


def resource_spec(study: StudySpec, **more: Any) -> Mapping[str, Any]:
    """What a Study resource says of this study."""
    plain = study.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    metrics = plain.pop("metrics")
    del plain["name"]
    return {"inline": plain, "metrics": [metric_line(metric) for metric in metrics], "parallelism": 2, **more}


def metric_line(metric: Mapping[str, Any]) -> str:
    """As the resource has it: one line of YAML."""
    [(name, parameters)] = metric.items()
    return f"{name}: {{{', '.join(f'{key}: {value}' for key, value in parameters.items())}}}" if parameters else name


def compare(installed: Installed, study: StudySpec, folder: Path) -> str:
    """Holds the cluster's table against one made here without services.

    Raises:
        AssertionError: they differ anywhere.
    """
    store = installed.store()
    plan = load_plan(store, load_study(store, PROJECT, study.name).plan)
    here = DirectoryStore(folder / study.name / "store")
    assert tiny_steps.import_dummy_data(here) == plan.models[0].train.dataset.digest
    expected = _run_here(plan, here, folder / study.name)
    exported = _exported(installed, study.name)
    pd.testing.assert_frame_equal(_numbers(exported), _numbers(study_table(here, PROJECT, plan)), check_exact=True)
    contents = {key: value for key, value in tiny_steps.contents(store).items() if key in expected}
    assert contents == expected, "keys, scores or content digests differ from the run without a cluster"
    return f"{len(plan.models)} models, {len(expected)} steps and {len(exported)} scores equal bit for bit"


def _run_here(plan: Plan, store: Store, folder: Path) -> dict[str, tuple[str, Any]]:
    ledger = StudyLedger(store, PROJECT, plan.study)
    env = environment(DISENTANGLEMENT_STORE=str(folder / "store"), DISENTANGLEMENT_CACHE=str(folder / "cache"))
    snapshot = asyncio.run(run_locally(plan, ledger, workers=2, env=env, watch=lambda event: None))
    assert all(count.failed == 0 for count in snapshot.steps.values())
    return tiny_steps.contents(store)


def _exported(installed: Installed, study: str) -> pd.DataFrame:
    """The table that the aggregator gives out, by its Service."""
    with Client(installed.address_of("aggregator", 50050), token=installed.token(), insecure=True) as client:
        return client.results(study)


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table[NUMBERS].sort_values(NUMBERS[:4], ignore_index=True)
