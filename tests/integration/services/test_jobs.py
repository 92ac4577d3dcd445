"""Work through the public client: training, studies, scoring one's own arrays."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from service_processes import Stack, listing

from disentanglement import AsyncClient, Client
from disentanglement.errors import (
    ArtifactNotFound,
    CorruptArtifact,
    DeadlineExceeded,
    MetricUndefined,
    SpecError,
    StepNotCommitted,
    Unavailable,
)
from disentanglement.jobs.states import JobState
from disentanglement.rpc.channels import Patience
from disentanglement.rpc.operations import Call, Metric
from disentanglement.v1 import evaluator_service_pb2 as evaluator
from disentanglement.v1 import metric_pb2

TRAIN = {
    "dataset": "dummy_data",
    "objective": {"beta_vae": {"beta": 4}},
    "training_steps": 10,
    "eval_steps": 1,
    "batch_size": 4,
}
LONG = {**TRAIN, "training_steps": 1_000_000}
STUDY = {
    "name": "tiny",
    "model": TRAIN,
    "grid": {"sweep": {"objective.beta_vae.beta": [1, 4]}},
    "representations": ["mean"],
    "metrics": [{"mig": {"num_train": 100}}],
}
Pair = tuple[np.ndarray, np.ndarray]


def test_training_is_watched_cancelled_and_taken_up_again_from_its_checkpoint(stack: Stack, client: Client) -> None:
    job = client.train(LONG)
    assert not job.state.is_final
    views = client.watch_training(job.name)
    assert next(view for view in views if view.done > 0).state is JobState.RUNNING
    again = client.watch_training(job.name)  # a second watcher begins with the present
    assert next(again).done > 0

    assert client.cancel_training(job.name).state is JobState.CANCELLED
    assert [view.state for view in views][-1] is JobState.CANCELLED
    checkpoints = [name for name in listing(stack.store) if job.step_key in name and "checkpoint" in name]
    assert checkpoints

    resumed = client.train(LONG)
    assert resumed.name == job.name
    assert not resumed.state.is_final
    reached = next(view for view in client.watch_training(job.name) if view.done > 0)
    assert reached.done > 50  # a fresh start reports 50 updates first
    assert client.cancel_training(job.name).state is JobState.CANCELLED


def test_a_study_is_driven_through_the_other_services_to_its_table(client: Client, tmp_path: Path) -> None:
    cost = client.validate(STUDY)
    assert (cost.models, cost.representations, cost.evaluations) == (2, 2, 2)
    with pytest.raises(ArtifactNotFound):
        client.status("tiny")  # only validated

    submitted = client.submit(STUDY)
    assert submitted.total == 6
    views = list(client.watch("tiny"))
    assert views[-1].state == "succeeded"
    assert views[-1].steps["evaluate"].committed == 2
    assert client.submit(STUDY).plan == submitted.plan
    assert client.validate(STUDY).committed_steps == 6

    table = client.results("tiny")
    assert sorted(table["number"]) == [0, 1]
    assert set(table["key"]) == {"discrete_mig"}
    models = client.models("tiny")
    assert [model.step_keys["mean/mig"] for model in models] == list(table.sort_values("number")["evaluate_key"])
    weights = client.download("tiny:0", "weights.safetensors", tmp_path)
    assert weights.stat().st_size > 1000
    assert client.evaluate("tiny:0/mean", [{"mig": {"num_train": 100}}]).outcomes["mig"] == {
        "discrete_mig": table.sort_values("number")["value"].iloc[0]
    }
    rows = [line.split(",") for line in client.export("tiny", "csv").decode().splitlines()]
    assert len(rows) == 3
    assert client.retry("tiny") == 0


def test_a_study_of_the_same_name_with_other_models_is_refused(client: Client) -> None:
    client.submit({**STUDY, "name": "taken"})
    with pytest.raises(SpecError) as refused:
        client.submit({**STUDY, "name": "taken", "grid": {"sweep": {"objective.beta_vae.beta": [2]}}})
    assert [violation.field for violation in refused.value.violations] == ["spec.name"]
    assert client.cancel("taken").state in ("cancelled", "succeeded")


def test_own_codes_are_scored_alike_inline_uploaded_and_without_services(
    client: Client, codes_and_factors: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, factors = codes_and_factors
    metrics: list[Metric] = ["mig", {"sap_score": {"continuous_factors": True}}]
    inline = client.score(codes, factors, metrics=metrics, seed=3)
    monkeypatch.setattr("disentanglement.rpc.operations.MAX_INLINE_BYTES", 100)
    assert client.score(codes, factors, metrics=metrics, seed=3) == inline

    from disentanglement import score
    from disentanglement.specs import MetricSpec, parse_spec

    local = score(codes, factors, metrics=[parse_spec(MetricSpec, metric) for metric in metrics], seed=3)
    assert inline == local


def test_a_metric_without_a_value_fails_alone(client: Client, codes_and_factors: Pair) -> None:
    codes, factors = codes_and_factors
    outcomes = client.score(codes, factors, metrics=["mig", "factor_vae_score"])
    assert isinstance(outcomes["factor_vae_score"], MetricUndefined)
    assert isinstance(outcomes["mig"], dict)


def test_an_upload_whose_digest_is_wrong_stores_nothing(stack: Stack, client: Client) -> None:
    before = listing(stack.store)
    header = evaluator.UploadArrayHeader(
        parent="projects/default", dtype=metric_pb2.DTYPE_FLOAT32, shape=[2], sha256="0" * 64
    )
    requests = [evaluator.UploadArrayRequest(header=header), evaluator.UploadArrayRequest(chunk=bytes(8))]
    method = "/disentanglement.v1.EvaluatorService/UploadArray"
    with pytest.raises(SpecError) as refused:
        client._call(Call(method, requests, evaluator.UploadArrayResponse, is_upload=True))
    assert [violation.field for violation in refused.value.violations] == ["header.sha256"]
    assert listing(stack.store) == before


def test_statuses_become_our_exceptions(client: Client, codes_and_factors: Pair) -> None:
    codes, factors = codes_and_factors
    key = f"dummy_data.beta_vae.{'a' * 52}"
    with pytest.raises(ArtifactNotFound):
        client.training_job(key)
    with pytest.raises(StepNotCommitted):
        client.extract(key)
    with pytest.raises(StepNotCommitted):
        client.evaluate(key, ["mig"])
    with pytest.raises(SpecError, match=r"codes\.factors\.shape"):
        client.score(codes, factors[:10], metrics=["mig"])
    with pytest.raises(SpecError, match=r"metrics\.0"):
        client.score(codes, factors, metrics=["no_such_metric"])
    with pytest.raises(SpecError, match=r"spec\.dataset\.name|dataset\.name"):
        client.train({**TRAIN, "dataset": "no_such_data"})
    fresh = np.random.default_rng(uuid.uuid4().int).normal(size=codes.shape)
    with pytest.raises(DeadlineExceeded):
        client.score(fresh, factors, metrics=["dci"], timeout_s=0)


async def test_the_asynchronous_client_does_the_same(stack: Stack, client: Client, codes_and_factors: Pair) -> None:
    async with AsyncClient(stack.address) as other:
        assert await other.metrics() == client.metrics()
        codes, factors = codes_and_factors
        assert await other.score(codes, factors, metrics=["mig"]) == client.score(codes, factors, metrics=["mig"])
        job = await other.train(TRAIN, wait_s=100)
        assert job.state is JobState.SUCCEEDED
        assert [view.state async for view in other.watch_training(job.name)] == [JobState.SUCCEEDED]
        with pytest.raises(ArtifactNotFound):
            await other.status("no_such_study")


def test_a_broken_watch_is_taken_up_again_until_patience_ends() -> None:
    patience = Patience(longest_s=1.0)
    assert [patience.pause_after(Unavailable("gone")) for _ in range(2)] == [0.5, 1.0]
    with pytest.raises(Unavailable):
        patience.pause_after(Unavailable("gone"))
    with pytest.raises(CorruptArtifact):
        Patience(longest_s=1.0).pause_after(CorruptArtifact("no"))
