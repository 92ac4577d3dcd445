"""What decides a result: frozen, validated, torch-free types; their canonical JSON and keys."""

from disentanglement.specs.base import OneOf, Plugin, Spec
from disentanglement.specs.canonical import StepKey, canonical, canonical_json, step_key
from disentanglement.specs.datasets import DatasetSpec
from disentanglement.specs.metrics import MetricSpec
from disentanglement.specs.objectives import ObjectiveSpec
from disentanglement.specs.parsing import parse_spec, parse_yaml
from disentanglement.specs.steps import (
    STEPS,
    THREADS_PER_STEP,
    EvaluateSpec,
    PostprocessSpec,
    RepresentationSpec,
    Step,
    StepSpec,
    TrainSpec,
)
from disentanglement.specs.study import EvaluationSeed, GridSpec, Selection, StudySpec

__all__ = [
    "STEPS",
    "THREADS_PER_STEP",
    "DatasetSpec",
    "EvaluateSpec",
    "EvaluationSeed",
    "GridSpec",
    "MetricSpec",
    "ObjectiveSpec",
    "OneOf",
    "Plugin",
    "PostprocessSpec",
    "RepresentationSpec",
    "Selection",
    "Spec",
    "Step",
    "StepKey",
    "StepSpec",
    "StudySpec",
    "TrainSpec",
    "canonical",
    "canonical_json",
    "parse_spec",
    "parse_yaml",
    "step_key",
]
