"""Code of users behind services: refused unless the administrator lists its modules, and then run like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from service_processes import start_stack

from disentanglement import Client
from disentanglement.cli.data_sets import obtain
from disentanglement.errors import SpecError
from disentanglement.storage.directory_store import DirectoryStore

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
STUDY: dict[str, Any] = yaml.safe_load((EXAMPLES / "study.yaml").read_text())
OWN_MODEL = STUDY["grid"]["product"][0]["sweep"]["objective"][-1]
OWN_METRIC = STUDY["metrics"][-1]
TRAIN = {**STUDY["model"], "objective": OWN_MODEL, "training_steps": 4, "eval_steps": 1, "batch_size": 4}
SMALL = {"name": "own", "model": TRAIN, "representations": ["mean"], "metrics": [OWN_METRIC]}
Pair = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of services whose administrator lists the example's modules."""
    folder = tmp_path_factory.mktemp("trusting")
    obtain(DirectoryStore(folder / "store"), "dummy_data", released=None, report=lambda share, note: None)
    listed = {"DISENTANGLEMENT_PLUGINS": "my_model,my_networks,my_metric", "PYTHONPATH": str(EXAMPLES)}
    stack = start_stack(folder, listed)
    try:
        with Client(stack.address) as connected:
            yield connected
    finally:
        stack.stop()


def test_services_run_nobodys_code_unasked(client: Client, codes_and_factors: Pair) -> None:
    calls: dict[str, Callable[[], object]] = {
        "objective.plugin.name": lambda: client.train({**TRAIN, "architecture": {}}),
        "architecture.encoder.plugin.name": lambda: client.train({**TRAIN, "objective": {"beta_vae": {"beta": 1}}}),
        "metric.plugin.name": lambda: client.score(*codes_and_factors, metrics=[OWN_METRIC]),
    }
    for field, call in calls.items():
        with pytest.raises(SpecError, match="DISENTANGLEMENT_PLUGINS") as refused:
            call()
        assert [violation.field for violation in refused.value.violations] == [field]
    with pytest.raises(SpecError, match="DISENTANGLEMENT_PLUGINS"):
        client.submit(SMALL)


def test_a_digest_from_outside_opens_no_door(client: Client) -> None:
    chosen = {"plugin": {**OWN_MODEL["plugin"], "source_digest": "0" * 64}}
    with pytest.raises(SpecError, match="DISENTANGLEMENT_PLUGINS"):
        client.train({**TRAIN, "objective": chosen, "architecture": {}})


def test_listed_code_is_trained_and_scored(trusting: Client, codes_and_factors: Pair) -> None:
    trusting.submit(SMALL)
    assert [view.state for view in trusting.watch("own")][-1] == "succeeded"
    table = trusting.results("own")
    assert set(table["method"]) == {"plugin_bottleneck_vae"}
    assert set(table["key"]) == {"agreement", "agreement_by_chance"}

    scores = trusting.score(*codes_and_factors, metrics=["mig", OWN_METRIC])
    assert list(scores) == ["mig", "plugin_neighbour_agreement"]
    agreement: Any = scores["plugin_neighbour_agreement"]
    assert agreement["agreement"] > agreement["agreement_by_chance"]


def test_another_source_than_the_workers_is_refused_with_both_digests(trusting: Client) -> None:
    chosen = {"plugin": {**OWN_MODEL["plugin"], "source_digest": "0" * 64}}
    job = trusting.train({**TRAIN, "objective": chosen, "random_seed": 1}, wait_s=60)
    assert str(job.state) == "failed"
    assert "0" * 64 in str(job.error)
    assert "my_model.py" in str(job.error)
