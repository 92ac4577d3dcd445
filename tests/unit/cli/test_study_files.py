"""Malformed study files: each gives exit code 2 and names a field, and the store stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from disentanglement.cli import local_study
from disentanglement.cli.settings import Place
from disentanglement.errors import ArtifactConflict, DisentanglementError, NotBuiltYet, SpecError
from disentanglement.metrics.catalog import METRICS

GOOD = {
    "name": "tiny",
    "model": {
        "dataset": "dummy_data",
        "objective": {"beta_vae": {"beta": 4}},
        "training_steps": 20,
        "optimizer": {"adam": {"learning_rate": 0.001}},
    },
    "grid": {"product": [{"sweep": {"objective.beta_vae.beta": [1, 4]}}, {"sweep": {"random_seed": [0, 1]}}]},
    "representations": ["mean", {"sampled": {"random_seed": 1}}],
    "metrics": ["mig", {"dci": {"num_train": 100}}],
    "evaluation_seed": 3,
}

WRONG = st.one_of(
    st.just("1e"),
    st.just(-1),
    st.just(2**70),
    st.just([]),
    st.just({}),
    st.just({"no_such_thing": 1}),
    st.just(float("nan")),
    st.just(float("inf")),
    st.booleans(),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), st.integers(), max_size=2),
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of everything inside a document."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places(member, (*path, name))


PLACES = list(places(GOOD))


@st.composite
def changed(draw: st.DrawFn) -> str:
    """The good document with one place put wrong, left out, or with something unknown beside it."""
    document = copy.deepcopy(GOOD)
    path = draw(st.sampled_from(PLACES))
    if not path:
        return yaml.safe_dump(draw(WRONG), allow_unicode=True)
    parent: Any = document
    for name in path[:-1]:
        parent = parent[name]
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "remove":
            del parent[path[-1]]
        case "add" if isinstance(parent, dict):
            parent[draw(st.text("abcxyz_.", min_size=1, max_size=8))] = draw(WRONG)
        case _:
            parent[path[-1]] = draw(WRONG)
    return yaml.safe_dump(document, allow_unicode=True)


BYTES = st.binary(max_size=200)
TEXTS = (
    changed()
    | st.text(max_size=200)
    | st.sampled_from(["&a [*a, *a]", "{" * 5000, "[" * 5000, "a: 1\na: 2", "? {a: b} : c"])
)
DOCUMENTS = BYTES | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))


@pytest.fixture
def place(tmp_path: Path, dummy_data: str) -> Place:
    """Where the store is, with the data in it."""
    return Place(str(tmp_path / "store"), "default")


def files_below(directory: Path) -> set[tuple[str, int, int]]:
    """Name, size and time of change of every file."""
    paths = (path for path in directory.rglob("*") if path.is_file())
    return {(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def test_the_document_that_is_changed_is_good(place: Place, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(GOOD))
    assert local_study.count(place, local_study.read_file(tmp_path / "good.yaml"))["train"] == 4


def refusal(place: Place, path: Path) -> DisentanglementError | None:
    """Why a study is not taken; None for one that is good (or would be, if its name were free)."""
    try:
        local_study.submit(place, local_study.read_file(path))
    except ArtifactConflict:
        return None
    except (SpecError, NotBuiltYet) as error:
        return error
    return None


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=DOCUMENTS)
def test_a_malformed_study_names_a_field_and_leaves_the_store_unchanged(
    data: bytes, place: Place, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(data)
    before = files_below(Path(place.store_url))
    error = refusal(place, path)
    assume(error is not None)
    assert getattr(error, "violations", ()) or "not built yet" in str(error)
    assert all(violation.field and violation.wanted for violation in getattr(error, "violations", ()))
    assert files_below(Path(place.store_url)) == before


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "document"),
        ("name: tiny", "model"),
        ("name: Tiny!", "name"),
        (yaml.safe_dump({**GOOD, "metrics": ["mig", "mig"]}), "metrics"),
        (yaml.safe_dump({**GOOD, "model": {**GOOD["model"], "training_steps": "many"}}), "training_steps"),  # type: ignore[dict-item]
        (yaml.safe_dump({**GOOD, "grid": {"sweep": {"objective.beta_vae.bta": [1]}}}), "bta"),
        (yaml.safe_dump({**GOOD, "model": {**GOOD["model"], "dataset": "dsprites_full"}}), "dataset"),  # type: ignore[dict-item]
    ],
)
def test_the_command_says_which_field_and_ends_with_2(
    text: str, field: str, run: Any, place: Place, tmp_path: Path
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    before = files_below(Path(place.store_url))
    ended = run("study", "run", tmp_path / "bad.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert all(line.startswith("error: ") for line in ended.err.splitlines())
    assert field in ended.err
    assert "Traceback" not in ended.err
    assert files_below(Path(place.store_url)) == before


def test_what_is_not_built_yet_is_named(
    run: Any, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(METRICS, "irs")
    (tmp_path / "later.yaml").write_text(yaml.safe_dump({**GOOD, "metrics": ["irs"]}))
    ended = run("study", "run", tmp_path / "later.yaml")
    assert ended.code == 2
    assert "irs" in ended.err


def test_a_study_file_that_is_not_there_is_not_found(run: Any, tmp_path: Path) -> None:
    assert run("study", "run", tmp_path / "none.yaml").code == 3
