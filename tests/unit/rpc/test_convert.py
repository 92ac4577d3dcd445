"""Specs through the wire: nothing is lost, and what is wrong is said as it is for YAML."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from strategies import resolved_train_specs, spec_types, specs

from disentanglement.errors import SpecError
from disentanglement.rpc.convert import MAX_DEPTH, from_proto, to_proto
from disentanglement.specs import (
    DatasetSpec,
    EvaluateSpec,
    GridSpec,
    MetricSpec,
    ObjectiveSpec,
    Plugin,
    Spec,
    StudySpec,
    TrainSpec,
    canonical,
    parse_spec,
    parse_yaml,
    step_key,
)
from disentanglement.specs.datasets import CorrelatedFactors, HeldOutFactors
from disentanglement.specs.metrics import Mig, UnifiedScores
from disentanglement.specs.objectives import BetaVae, DipVae
from disentanglement.v1 import dataset_pb2, job_pb2, metric_pb2, model_pb2, study_pb2

FILES = (dataset_pb2, job_pb2, metric_pb2, model_pb2, study_pb2)
few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def message_of(kind: type[Spec]) -> type[Message]:
    [descriptor] = [
        file.DESCRIPTOR.message_types_by_name[kind.__name__] for file in FILES if kind.__name__ in dir(file)
    ]
    return GetMessageClass(descriptor)


def violations(error: pytest.ExceptionInfo[SpecError]) -> dict[str, str]:
    return {violation.field: violation.wanted for violation in error.value.violations}


def train_message(**fields: Any) -> job_pb2.TrainSpec:
    dataset = dataset_pb2.DatasetSpec(name="dsprites_full")
    objective = model_pb2.ObjectiveSpec(beta_vae=model_pb2.BetaVae(beta=4.0))
    return job_pb2.TrainSpec(**{"dataset": dataset, "objective": objective, **fields})


# ------------------------------------------------------------------------------------------------- by hand


def test_an_objective_is_the_message_that_a_person_would_write() -> None:
    spec = ObjectiveSpec(dip_vae=DipVae(lambda_od=2.0, lambda_d_factor=10.0, dip_type="ii"))
    by_hand = model_pb2.DipVae(lambda_od=2.0, lambda_d_factor=10.0, dip_type=model_pb2.DIP_TYPE_II)
    assert to_proto(spec, model_pb2.ObjectiveSpec) == model_pb2.ObjectiveSpec(dip_vae=by_hand)


def test_fields_at_their_defaults_are_not_sent() -> None:
    message = to_proto(Mig(num_train=10000, num_bins=30), metric_pb2.Mig)
    assert message == metric_pb2.Mig(num_bins=30)


def test_fields_that_are_not_set_have_the_types_own_defaults() -> None:
    spec = from_proto(train_message(), TrainSpec)
    assert spec == TrainSpec(
        dataset=DatasetSpec(name="dsprites_full"), objective=ObjectiveSpec(beta_vae=BetaVae(beta=4.0))
    )


def test_a_field_that_is_set_to_zero_is_not_taken_for_its_default() -> None:
    assert from_proto(model_pb2.L2Supervision(learn_scale=False), _spec_type("L2Supervision")).learn_scale is False  # type: ignore[attr-defined]
    with pytest.raises(SpecError, match="num_train: wanted greater than or equal to 1, got 0"):
        from_proto(metric_pb2.Mig(num_train=0), Mig)


def test_an_unspecified_enum_means_the_default() -> None:
    message = model_pb2.DipVae(lambda_od=1.0, lambda_d_factor=1.0, dip_type=model_pb2.DIP_TYPE_UNSPECIFIED)
    assert from_proto(message, DipVae).dip_type == "i"


def test_rows_of_held_out_factors_keep_their_places() -> None:
    spec = HeldOutFactors(factors=("shape", "scale"), values=((0, 1), (2,), ()))
    message = to_proto(spec, dataset_pb2.HeldOutFactors)
    assert [list(row.values) for row in message.values] == [[0, 1], [2], []]
    assert from_proto(message, HeldOutFactors) == spec


def test_whole_numbers_in_parameters_come_back_as_integers() -> None:
    plugin = Plugin(name="mine", parameters={"steps": 5, "rate": 0.5, "on": True, "names": ["a", None]})
    message = to_proto(plugin, dataset_pb2.Plugin)
    assert message.parameters.fields["steps"].number_value == 5.0
    assert json.dumps(canonical(from_proto(message, Plugin))["parameters"], sort_keys=True) == (
        '{"names": ["a", null], "on": true, "rate": 0.5, "steps": 5}'
    )


def test_an_object_of_changes_is_read_outer_paths_first() -> None:
    changes: dict[str, JsonValue] = {"objective.beta_vae.beta": 4, "objective": "beta_vae"}
    grid = from_proto(to_proto(GridSpec(fixed=changes), study_pb2.GridSpec), GridSpec)
    assert list(grid.fixed or ()) == ["objective", "objective.beta_vae.beta"]


# ------------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize("kind", spec_types(), ids=lambda kind: kind.__name__)
def test_every_spec_survives_the_wire(kind: type[Spec]) -> None:
    message_type = message_of(kind)

    @few
    @given(spec=specs(kind))
    def survives(spec: Spec) -> None:
        data = to_proto(spec, message_type).SerializeToString()
        assert from_proto(message_type.FromString(data), kind) == spec

    survives()


@few
@given(spec=resolved_train_specs(), evaluation=specs(EvaluateSpec))
def test_yaml_and_the_wire_give_the_same_step_keys(spec: TrainSpec, evaluation: EvaluateSpec) -> None:
    for each, message_type in ((spec, job_pb2.TrainSpec), (evaluation, job_pb2.EvaluateSpec)):
        upstream = (step_key(spec),) if each is evaluation else ()
        data = to_proto(each, message_type).SerializeToString()
        from_wire = from_proto(message_type.FromString(data), type(each))
        from_yaml = parse_yaml(type(each), yaml.safe_dump(canonical(each)))
        assert step_key(from_wire, upstream) == step_key(from_yaml, upstream) == step_key(each, upstream)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=60), kind=st.sampled_from(spec_types()))
def test_any_message_gives_a_spec_or_a_spec_error(data: bytes, kind: type[Spec]) -> None:
    message = message_of(kind)()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return  # gRPC refuses it
    found = outcome(message, kind)
    if isinstance(found, SpecError):
        assert all(violation.field for violation in found.violations)


def outcome(message: Message, kind: type[Spec]) -> Spec | SpecError:
    try:
        return from_proto(message, kind)
    except SpecError as error:
        return error


# ----------------------------------------------------------------------------------------------- what is wrong


def test_errors_have_the_field_paths_of_yaml() -> None:
    message = train_message(objective=model_pb2.ObjectiveSpec(beta_vae=model_pb2.BetaVae(beta=-1.0)))
    with pytest.raises(SpecError) as from_wire:
        from_proto(message, TrainSpec)
    with pytest.raises(SpecError) as from_yaml:
        parse_yaml(TrainSpec, "{dataset: dsprites_full, objective: {beta_vae: {beta: -1.0}}}")
    assert from_wire.value.violations == from_yaml.value.violations
    assert violations(from_wire) == {"objective.beta_vae.beta": "greater than or equal to 0"}


def test_a_prefix_says_where_in_the_request_the_spec_is() -> None:
    message = metric_pb2.MetricSpec(mig=metric_pb2.Mig(num_bins=1))
    with pytest.raises(SpecError) as error:
        from_proto(message, MetricSpec, field="metrics.0")
    assert violations(error) == {"metrics.0.mig.num_bins": "greater than or equal to 2"}


def test_required_fields_that_are_not_set_are_named() -> None:
    with pytest.raises(SpecError) as error:
        from_proto(job_pb2.TrainSpec(dataset=dataset_pb2.DatasetSpec()), TrainSpec)
    assert set(violations(error)) == {"dataset.name", "objective"}


def test_an_empty_oneof_is_named() -> None:
    with pytest.raises(SpecError) as error:
        from_proto(train_message(objective=model_pb2.ObjectiveSpec()), TrainSpec)
    assert violations(error)["objective"].startswith("exactly one of beta_vae, annealed_vae")


def test_unknown_enum_values_are_named_with_the_known_words() -> None:
    message = metric_pb2.UnifiedScores(num_train=1, num_test=1, matrix_fns=[1, 9, 0])  # type: ignore[list-item]  # 9 is not in the enum
    with pytest.raises(SpecError) as error:
        from_proto(message, UnifiedScores)
    words = "one of importance_gbt_matrix, mutual_information_matrix, accuracy_svm_matrix"
    assert violations(error) == {"matrix_fns.1": words, "matrix_fns.2": words}


def test_fields_of_a_later_release_are_refused_not_dropped() -> None:
    message = metric_pb2.MetricSpec.FromString(b"\x1a\x03\xf8\x06\x01")  # mig { field 111: 1 }
    with pytest.raises(SpecError, match="mig: wanted the fields of Mig, got field number 111"):
        from_proto(message, MetricSpec)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_named(value: float) -> None:
    with pytest.raises(SpecError) as error:
        from_proto(model_pb2.BetaVae(beta=value), BetaVae)
    assert set(violations(error)) == {"beta"}
    message = dataset_pb2.Plugin(name="mine")
    message.parameters.fields["rate"].number_value = value
    with pytest.raises(SpecError) as error:
        from_proto(message, Plugin)
    assert set(violations(error)) == {"parameters"}


def test_an_empty_value_in_parameters_is_named() -> None:
    message = dataset_pb2.Plugin(name="mine")
    message.parameters.fields["rates"].list_value.values.add()
    with pytest.raises(SpecError) as error:
        from_proto(message, Plugin)
    assert set(violations(error)) == {"parameters.rates.0"}


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_integers_beyond_the_wire_are_named_when_sent(number: int) -> None:
    spec = HeldOutFactors.model_construct(factors=("shape",), values=((0, 1), (number,)))
    with pytest.raises(SpecError) as error:
        to_proto(spec, dataset_pb2.HeldOutFactors, field="options.0")
    assert set(violations(error)) == {"options.0.values.1"}


def test_integers_beyond_the_fields_bounds_are_named_when_received() -> None:
    with pytest.raises(SpecError) as error:
        from_proto(train_message(batch_size=2**32 - 1), TrainSpec)
    assert violations(error) == {"batch_size": "less than 2147483648"}


@pytest.mark.parametrize("parameters", [{"a": "\ud800"}, {"\ud800": 1}, {"a": ["\ud800"]}])
def test_parameters_are_unicode_before_they_reach_the_wire(parameters: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="parameters: wanted text must be valid Unicode"):
        parse_spec(Plugin, {"name": "mine", "parameters": parameters})


def test_text_that_is_not_unicode_is_named_when_sent() -> None:
    with pytest.raises(SpecError, match="factors: wanted a value that fits Unicode text"):
        to_proto(CorrelatedFactors(factors=("shape", "\ud800"), strength=1.0), dataset_pb2.CorrelatedFactors)


def nested_grid(levels: int) -> study_pb2.GridSpec:
    message = study_pb2.GridSpec()
    inner = message
    for _ in range(levels):
        inner = inner.chain.values.add()
    inner.fixed.SetInParent()
    return message


def test_what_is_nested_too_deeply_is_a_spec_error_both_ways() -> None:
    with pytest.raises(SpecError, match="grid"):
        from_proto(nested_grid(5000), GridSpec, field="grid")
    deep = from_proto(nested_grid(MAX_DEPTH), GridSpec)
    with pytest.raises(SpecError, match="less nesting"):
        to_proto(deep, study_pb2.GridSpec)


@pytest.mark.parametrize("wrap", ["grids", "objects", "lists"])
def test_the_deepest_spec_that_is_sent_can_be_read_inside_a_request(wrap: str) -> None:
    sent = 0
    for levels in range(MAX_DEPTH):
        try:
            study = study_pb2.Study(
                spec=study_pb2.StudySpec(grid=to_proto(deep_grid(wrap, levels), study_pb2.GridSpec))
            )
        except SpecError:
            break
        assert study_pb2.Study.FromString(study.SerializeToString()) == study
        sent = levels
    assert 20 < sent < MAX_DEPTH - 1


def deep_grid(wrap: str, levels: int) -> GridSpec:
    if wrap == "grids":
        return from_proto(nested_grid(levels), GridSpec)
    value: Any = 0
    for _ in range(levels):
        value = {"in": value} if wrap == "objects" else [value]
    return GridSpec(fixed={"path": value})


def test_a_message_of_another_type_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(TypeError):
        from_proto(metric_pb2.Mig(), StudySpec)
    with pytest.raises(TypeError):
        to_proto(Mig(), metric_pb2.Dci)


def _spec_type(name: str) -> type[Spec]:
    return next(kind for kind in spec_types() if kind.__name__ == name)
