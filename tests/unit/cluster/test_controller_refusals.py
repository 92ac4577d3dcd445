"""Studies that can't be worked off as they are written, or not now: each is told with what to do about it."""

from __future__ import annotations

import pytest
import yaml
from tiny_cluster import INLINE, NAMESPACE, POOLS, TinyCluster
from tiny_steps import STUDY

from disentanglement.cluster.kinds import LOCAL_QUEUES
from disentanglement.errors import StoreRefused, Unavailable
from disentanglement.specs.canonical import CONTRACTS
from disentanglement.storage.data_sets import card_key


class DownStore:
    """A store that does not answer."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> object:
        def fail(*_: object, **__: object) -> object:
            raise self._error

        return fail


def test_an_unknown_pool_is_told_with_those_that_there_are(cluster: TinyCluster) -> None:
    cluster.apply(pool="a100")
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "UnknownPool")
    assert "cpu, gpu" in message
    assert cluster.status()["phase"] == "Invalid"
    assert cluster.kubernetes.below("/jobs/") == []


def test_a_study_goes_on_once_its_pool_is_there(cluster: TinyCluster) -> None:
    cluster.apply(pool="a100")
    cluster.look()
    cluster.pools.write_text(yaml.safe_dump({**POOLS, "pools": {**POOLS["pools"], "a100": POOLS["pools"]["cpu"]}}))
    cluster.look()
    assert cluster.condition("Accepted")[0] == "True"
    assert len(cluster.jobs_of("train")) == 1


def test_damaged_pools_are_told(cluster: TinyCluster) -> None:
    cluster.pools.write_text("pools: [")
    cluster.apply()
    cluster.look()
    assert cluster.condition("Accepted")[1] == "PoolsInvalid"


def test_a_queue_without_kueue_is_told_and_makes_no_job(cluster: TinyCluster) -> None:
    cluster.apply(queue="lab")
    cluster.look()
    assert cluster.condition("Accepted")[:2] == ("False", "KueueMissing")
    assert cluster.kubernetes.below("/jobs/") == []


def test_a_queue_that_is_not_there_is_told_with_those_that_are(cluster: TinyCluster) -> None:
    cluster.kubernetes.groups.append("kueue.x-k8s.io")
    cluster.kubernetes.put(
        LOCAL_QUEUES.path(NAMESPACE, "students"), {"metadata": {"namespace": NAMESPACE, "name": "students"}}
    )
    cluster.apply(queue="lab")
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "QueueMissing")
    assert "students" in message


def test_a_queue_that_is_there_is_put_on_the_jobs(cluster: TinyCluster) -> None:
    cluster.kubernetes.groups.append("kueue.x-k8s.io")
    cluster.kubernetes.put(LOCAL_QUEUES.path(NAMESPACE, "lab"), {"metadata": {"namespace": NAMESPACE, "name": "lab"}})
    cluster.apply(queue="lab")
    cluster.look()
    [job] = cluster.jobs_of("train")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab"
    assert job["spec"]["suspend"] is True


def test_a_plan_of_another_contract_version_is_told(cluster: TinyCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.apply()
    cluster.look()
    cluster.restart()
    monkeypatch.setitem(CONTRACTS, "train", 2)
    cluster.look()
    assert cluster.condition("Accepted")[:2] == ("False", "OtherContract")


@pytest.mark.parametrize("error", [Unavailable("no route to MinIO"), StoreRefused("wrong secret key")])
@pytest.mark.parametrize("is_new", [True, False], ids=["new study", "study under way"])
def test_a_store_that_is_down_is_told_and_waited_for(cluster: TinyCluster, error: Exception, is_new: bool) -> None:
    cluster.apply()
    if not is_new:
        cluster.look()
    store, cluster.store = cluster.store, DownStore(error)  # type: ignore[assignment]
    cluster.restart()
    with pytest.raises(type(error)):
        cluster.look()
    status, reason, message = cluster.condition("Degraded")
    assert (status, reason) == ("True", "StoreUnavailable")
    assert str(error) in message
    assert cluster.status()["counts"]["total"] == (0 if is_new else 3), "what was counted stays"
    cluster.store = store
    cluster.restart()
    cluster.look()
    assert cluster.condition("Degraded")[0] == "False"
    assert len(cluster.jobs_of("train")) == 1


def test_a_data_set_that_the_store_lacks_is_told(cluster: TinyCluster) -> None:
    cluster.store.delete(card_key("dummy_data", cluster.digest))
    cluster.apply()
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "DataSetMissing")
    assert "disentangle data import dummy_data" in message


def test_a_model_to_start_from_that_is_not_trained_is_told(cluster: TinyCluster) -> None:
    absent = f"dummy_data.beta_vae.{'a' * 52}"
    cluster.apply(inline={**INLINE, "model": {**STUDY["model"], "init_from": absent}})
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "InitialModelMissing")
    assert absent in message


def test_what_this_release_does_not_do_is_told(cluster: TinyCluster) -> None:
    options = [{"correlated_factors": {"factors": ["x", "y"], "strength": 1.0}}]
    model = {**STUDY["model"], "dataset": {"name": STUDY["model"]["dataset"], "options": options}}
    cluster.apply(inline={**INLINE, "model": model})
    cluster.look()
    assert cluster.condition("Accepted")[:2] == ("False", "NotBuiltYet")
    assert "dataset.options.correlated_factors" in cluster.condition("Accepted")[2]


def test_a_spec_that_cannot_be_is_told_with_its_field(cluster: TinyCluster) -> None:
    cluster.apply(inline={**INLINE, "grid": {"sweep": {"random_seed": [-1]}}})
    cluster.look()
    status, reason, message = cluster.condition("Accepted")
    assert (status, reason) == ("False", "InvalidSpec")
    assert "random_seed" in message
