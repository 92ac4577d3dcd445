"""The guide to training with labels: its study is one, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from disentanglement.specs import ObjectiveSpec, StudySpec, parse_spec
from disentanglement.specs.parsing import load_yaml
from disentanglement.specs.supervision import LabellerSpec, SupervisedLossSpec
from disentanglement.steps.support import LABELLERS, SEMI_SUPERVISED, SUPERVISED_LOSSES
from disentanglement.studies.plan import training_specs

GUIDE = (Path(__file__).parents[3] / "docs" / "labels.md").read_text()


def test_the_study_of_the_guide_has_nine_models() -> None:
    (study,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
    models = training_specs(parse_spec(StudySpec, load_yaml(study)))
    assert len(models) == 9
    assert {spec.objective.word for spec in models.values()} == {"s2_beta_tc_vae"}


def test_the_tables_name_every_objective_loss_and_labeller_that_is_built() -> None:
    named = set(re.findall(r"^\| `(\w+)", GUIDE, re.MULTILINE))
    assert named - {"objective", "supervised_loss", "labeller"} == SEMI_SUPERVISED | SUPERVISED_LOSSES | LABELLERS
    assert set(ObjectiveSpec.model_fields) >= SEMI_SUPERVISED
    assert set(SupervisedLossSpec.model_fields) - {"plugin"} == SUPERVISED_LOSSES
    assert set(LabellerSpec.model_fields) - {"plugin"} == LABELLERS
