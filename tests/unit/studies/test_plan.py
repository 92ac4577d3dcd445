"""A plan holds everything that was decided at submission, and says what is still to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentanglement.errors import SpecError
from disentanglement.specs import StudySpec, parse_spec
from disentanglement.studies.pending import StepId, pending, steps_of
from disentanglement.studies.plan import Plan, PlanCell, expand_study, training_specs
from disentanglement.studies.progress import StudyProgress

DIGESTS = {"dsprites_full": "0" * 64}


def study(**changes: Any) -> StudySpec:
    plain = {
        "name": "small",
        "model": {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 1}}},
        "grid": {"product": [{"sweep": {"objective.beta_vae.beta": [1, 4]}}, {"sweep": {"random_seed": [0, 1]}}]},
        "representations": ["mean", "sampled"],
        "metrics": ["mig", "dci"],
        **changes,
    }
    return parse_spec(StudySpec, plain)


def plan(**changes: Any) -> Plan:
    return expand_study(study(**changes), DIGESTS)


def test_models_are_numbered_in_the_order_of_the_grid() -> None:
    models = plan().models
    drawn = [(m.train.objective.beta_vae.beta, m.train.random_seed) for m in models if m.train.objective.beta_vae]
    assert drawn == [(1.0, 0), (1.0, 1), (4.0, 0), (4.0, 1)]
    assert [m.number for m in models] == [0, 1, 2, 3]


def test_a_study_without_a_grid_is_one_model() -> None:
    assert len(plan(grid=None).models) == 1


def test_a_whole_objective_may_be_swept() -> None:
    objectives = [{"beta_vae": {"beta": 2}}, {"beta_tc_vae": {"beta": 2}}]
    swept = plan(grid={"sweep": {"objective": objectives}})
    assert list(swept.cells) == ["dsprites_full.beta_vae", "dsprites_full.beta_tc_vae"]
    assert swept.cells["dsprites_full.beta_tc_vae"].numbers == (1,)


def test_every_model_has_its_digest_and_contracts_written_in() -> None:
    cell = plan().cells["dsprites_full.beta_vae"]
    assert {model.dataset.digest for model in cell.models} == {"0" * 64}
    assert cell.contracts == {
        "evaluate.dci": "1.2",
        "evaluate.mig": "1.1",
        "postprocess.mean": "1.1",
        "postprocess.sampled": "1.1",
        "train.beta_vae": "1.1",
    }


def test_a_cell_survives_being_written_and_read() -> None:
    cell = plan().cells["dsprites_full.beta_vae"]
    assert PlanCell.from_json(cell.to_json()) == cell


def test_the_digest_changes_with_the_study_and_only_then() -> None:
    assert plan().digest == plan().digest
    assert plan(metrics=["mig"]).digest != plan().digest


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grid": {"sweep": {"objective.beta_vae.bta": [1]}}}, "models.0.objective.beta_vae.bta"),
        ({"grid": {"sweep": {"random_seed": [0, "x"]}}}, "models.1.random_seed"),
        ({"grid": {"sweep": {"random_seed": [1, 1]}}}, "grid"),
        ({"grid": {"fixed": {"a..b": 1}}}, "models.0"),
        ({"metrics": ["mig", {"mig": {"num_bins": 20}}]}, "metrics"),
        ({"model": {"dataset": "dsprites", "objective": {"beta_vae": {"beta": 1}}}}, "dataset.name"),
    ],
)
def test_a_wrong_study_is_refused_by_path(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        plan(**changes)
    assert field in [violation.field for violation in caught.value.violations]


def test_the_base_is_not_changed_by_the_grid() -> None:
    base = study()
    before = base.model_dump()
    training_specs(base)
    assert base.model_dump() == before


def test_adding_a_metric_changes_no_other_key() -> None:
    fewer, more = plan(metrics=["mig"]), plan(metrics=["dci", "mig"])
    ids = {item.id for model in more.models for item in steps_of(model)}
    assert {item.id for model in fewer.models for item in steps_of(model)} <= ids


def test_at_first_only_models_can_be_trained() -> None:
    assert [item.step for item in pending(plan().models, set(), set())] == ["train"] * 4


def test_one_representation_of_a_model_is_extracted_at_a_time() -> None:
    model = plan().models[0]
    items = list(pending([model], {("train", model.key)}, set()))
    assert [(item.step, item.key) for item in items] == [("postprocess", model.representations[0].key)]


def test_scores_can_be_computed_once_their_representation_is_there() -> None:
    model = plan().models[0]
    done: set[StepId] = {("train", model.key), ("postprocess", model.representations[0].key)}
    steps = [item.step for item in pending([model], done, set())]
    assert sorted(steps) == ["evaluate", "evaluate", "postprocess"]


def test_a_failed_model_leaves_nothing_to_do_for_itself_alone() -> None:
    models = plan().models
    items = list(pending(models, set(), {("train", models[0].key)}))
    assert [item.number for item in items] == [1, 2, 3]


@given(st.randoms(use_true_random=False))
def test_working_off_what_is_pending_in_any_order_ends_with_everything_done_once(random: Any) -> None:
    models = plan().models
    done: set[StepId] = set()
    while ready := list(pending(models, done, set())):
        item = random.choice(ready)
        assert item.id not in done
        done.add(item.id)
    assert done == {item.id for model in models for item in steps_of(model)}


def test_progress_reaches_one_and_its_eta_falls_to_nothing() -> None:
    now = [0.0]
    models = plan().models
    progress = StudyProgress(models, set(), set(), workers=2, clock=lambda: now[0])
    first = progress.snapshot()
    assert first.fraction == 0
    assert first.eta_s is not None
    assert first.eta_s > 0
    for model in models:
        for item in steps_of(model):
            now[0] += 1.0
            progress.commit(item.id)
    last = progress.snapshot()
    assert last.fraction == pytest.approx(1.0)
    assert last.eta_s is None
    assert last.steps["evaluate"].committed == last.steps["evaluate"].total == 16


def test_the_eta_follows_what_was_measured() -> None:
    now = [0.0]
    models = plan(grid={"sweep": {"random_seed": list(range(10))}}, metrics=["mig"]).models
    progress = StudyProgress(models, set(), set(), workers=1, clock=lambda: now[0])
    for model in models[:5]:
        now[0] += 100.0
        for item in steps_of(model):
            progress.commit(item.id)
    eta = progress.snapshot().eta_s
    assert eta == pytest.approx(500.0, rel=1e-6)


def test_a_path_is_set_after_the_paths_that_it_continues() -> None:
    changes = {"objective.beta_vae.beta": 8, "objective": {"beta_vae": {"beta": 2}}}
    [model] = plan(grid={"fixed": changes}).models
    assert model.train.objective.beta_vae is not None
    assert model.train.objective.beta_vae.beta == 8


def test_a_study_with_standard_errors_has_other_evaluations_and_the_same_models() -> None:
    plain = parse_spec(
        StudySpec,
        {
            "name": "small",
            "model": {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 1}}},
            "representations": ["mean"],
            "metrics": ["mig"],
        },
    )
    plans = [expand_study(study, {"dsprites_full": "0" * 64}) for study in (plain, plain.replace(standard_error=True))]
    models = [plan.models[0] for plan in plans]
    assert models[0].key == models[1].key
    assert models[0].representations[0].key == models[1].representations[0].key
    specs = [model.representations[0].evaluations[0] for model in models]
    assert [spec.standard_error for spec in specs] == [False, True]
    keys = {model.representations[0].evaluation_keys for model in models}
    assert len(keys) == 2
