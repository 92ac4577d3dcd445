"""Step keys: equal for equal specs however they were written, different for different ones, the same for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from disentanglement.errors import SpecError
from disentanglement.specs import (
    DatasetSpec,
    EvaluateSpec,
    MetricSpec,
    Plugin,
    PostprocessSpec,
    RepresentationSpec,
    Spec,
    StepKey,
    StepSpec,
    TrainSpec,
    canonical,
    canonical_json,
    parse_spec,
    parse_yaml,
    step_key,
)
from disentanglement.specs.canonical import CONTRACTS, contract_version

DIGEST = "0" * 64
GOLDEN = Path(__file__).parents[2] / "golden" / "keys" / "keys.json"


KINDS: dict[str, Any] = {"train": TrainSpec, "postprocess": PostprocessSpec, "evaluate": EvaluateSpec}


def train_spec(**changes: Any) -> TrainSpec:
    dataset = {"name": "dsprites_full", "digest": DIGEST}
    return parse_spec(TrainSpec, {"dataset": dataset, "objective": {"beta_vae": {"beta": 4}}, **changes})


def test_a_key_is_readable_and_its_cell_is_a_prefix() -> None:
    key = step_key(train_spec())
    assert str(key).startswith("dsprites_full.beta_vae.")
    assert key.cell == "dsprites_full.beta_vae"
    assert StepKey.parse(str(key)) == key


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "A.b." + "a" * 52, "a/b.c." + "a" * 52, "a.b." + "a" * 52 + "\n"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        StepKey.parse(text)


def test_a_key_needs_a_resolved_data_set() -> None:
    with pytest.raises(SpecError, match=r"dataset\.digest"):
        step_key(train_spec(dataset="dsprites_full"))


def test_canonical_json_leaves_defaults_out_and_writes_numbers_by_declared_type() -> None:
    assert canonical_json(canonical(train_spec(batch_size=64))) == (
        '{"dataset":{"digest":"' + DIGEST + '","name":"dsprites_full"},"objective":{"beta_vae":{"beta":4.0}}}'
    )


def test_the_same_spec_in_yaml_and_python_has_one_key() -> None:
    dataset = f"{{name: dsprites_full, digest: '{DIGEST}'}}"
    text = f"{{dataset: {dataset}, objective: {{beta_vae: {{beta: 4.0}}}}, batch_size: 64}}"
    assert step_key(parse_yaml(TrainSpec, text)) == step_key(train_spec())


def test_negative_zero_is_zero() -> None:
    negative = train_spec(objective={"beta_vae": {"beta": -0.0}})
    assert step_key(negative) == step_key(train_spec(objective={"beta_vae": {"beta": 0.0}}))


@pytest.mark.parametrize(
    "changes",
    [
        {"random_seed": 1},
        {"batch_size": 32},
        {"objective": {"beta_vae": {"beta": 4.5}}},
        {"objective": {"beta_tc_vae": {"beta": 4}}},
        {"precision": "bf16"},
        {"dataset": {"name": "dsprites_full", "digest": "1" * 64}},
        {"architecture": {"num_latent": 6}},
        {"optimizer": {"adam": {"learning_rate": 1e-3}}},
        {"reconstruction": {"bernoulli_loss": {"activation": "tanh"}}},
    ],
)
def test_whatever_decides_numbers_changes_the_key(changes: dict[str, Any]) -> None:
    assert step_key(train_spec(**changes)) != step_key(train_spec())


def test_a_later_step_depends_on_the_steps_before_it() -> None:
    mean = PostprocessSpec(representation=parse_spec(RepresentationSpec, "mean"))
    one, other = (step_key(mean, [step_key(train_spec(random_seed=seed))]) for seed in (0, 1))
    assert one != other
    evaluate = EvaluateSpec(metric=parse_spec(MetricSpec, "mig"))
    assert step_key(evaluate, [one]) != step_key(evaluate, [other])


def test_the_mean_has_no_seed_but_the_sample_has() -> None:
    with pytest.raises(SpecError):
        parse_spec(RepresentationSpec, {"mean": {"random_seed": 1}})
    sampled = [
        PostprocessSpec(representation=parse_spec(RepresentationSpec, {"sampled": {"random_seed": seed}}))
        for seed in (0, 1)
    ]
    keys = {step_key(spec, [step_key(train_spec())]) for spec in sampled}
    assert len(keys) == 2


def test_a_bumped_contract_version_makes_a_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = step_key(train_spec())
    monkeypatch.setitem(CONTRACTS, "train.beta_vae", 2)
    assert contract_version("train", "beta_vae") == "1.2"
    assert step_key(train_spec()) != before
    assert step_key(train_spec(objective={"beta_tc_vae": {"beta": 4}})).method == "beta_tc_vae"


def test_a_field_added_later_leaves_keys_alone() -> None:
    class Before(Spec):
        beta: float

    class After(Spec):
        beta: float
        warmup: int = 0

    assert canonical_json(canonical(Before(beta=1))) == canonical_json(canonical(After(beta=1)))
    assert canonical_json(canonical(After(beta=1))) != canonical_json(canonical(After(beta=1, warmup=1)))


def test_a_plugin_of_edited_source_is_another_step() -> None:
    def key(source: str) -> StepKey:
        plugin = {"plugin": {"name": "my.module:loss", "source_digest": source, "parameters": {"x": 4.0}}}
        return step_key(train_spec(objective=plugin))

    assert key("a" * 64) != key("b" * 64)


def test_plugin_numbers_have_one_spelling() -> None:
    floats = Plugin(name="a", parameters={"x": 4.0, "y": [1.5, 2.0]})
    assert floats == Plugin(name="a", parameters={"x": 4, "y": [1.5, 2]})


def test_keys_are_what_they_have_always_been(monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden file is only ever added to: a changed key would orphan every stored result.

    Where a contract's version was raised on purpose, the older entries say under which version their keys were made.
    """
    for name, entry in json.loads(GOLDEN.read_text()).items():
        upstream = [StepKey.parse(text) for text in entry["upstream"]]
        spec: StepSpec = parse_spec(KINDS[entry["step"]], entry["spec"])
        with monkeypatch.context() as patched:
            for member, version in entry.get("contracts", {}).items():
                patched.setitem(CONTRACTS, member, version)
            assert str(step_key(spec, upstream)) == entry["key"], name


def test_dataset_names_stand_for_specs() -> None:
    assert parse_spec(DatasetSpec, "dummy_data") == DatasetSpec(name="dummy_data")
