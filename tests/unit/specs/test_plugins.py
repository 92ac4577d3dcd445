"""Plugins: where their source is found, what its digest covers, whose code runs, and what an edited source says."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_files import plugin_files

from disentanglement.errors import SpecError
from disentanglement.specs import (
    EvaluateSpec,
    MetricSpec,
    Plugin,
    StepKey,
    StudySpec,
    TrainSpec,
    parse_spec,
    step_key,
)
from disentanglement.specs.parsing import load_yaml
from disentanglement.specs.plugins import (
    EVERYTHING,
    Trusted,
    check_runnable,
    plugins_of,
    source_digests,
    with_digests,
)
from disentanglement.specs.sources import find_source, load, make

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "plugins.md"
ONE = "class MyLoss:\n    def __init__(self, weight=1):\n        self.weight = weight\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Writes modules where they can be imported."""
    with plugin_files(tmp_path) as files:
        yield files.write


@pytest.fixture
def installed(tmp_path: Path, write: Write) -> None:
    """A package `installed_one` that offers the entry point `mine`."""
    write("installed_one.py", ONE)
    write("installed_one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: installed_one\nVersion: 1.0\n")
    write("installed_one-1.0.dist-info/entry_points.txt", "[disentanglement.plugins]\nmine = installed_one:MyLoss\n")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def train(**parts: Any) -> TrainSpec:
    plain = {"dataset": "dummy_data", "objective": {"beta_vae": {"beta": 1}}, **parts}
    return parse_spec(TrainSpec, plain)


def plugin(name: str, **more: Any) -> dict[str, Any]:
    return {"plugin": {"name": name, **more}}


def test_the_digest_of_a_file_is_what_sha256sum_says(write: Write) -> None:
    path = write("one_file.py", ONE)
    source = find_source("one_file:MyLoss")
    assert (source.digest, source.files) == (sha256(ONE), (path,))
    printed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == source.digest


def test_the_digest_of_a_package_covers_every_python_file_in_it(write: Write) -> None:
    texts = {"__init__.py": "", "losses/__init__.py": "#", "losses/smooth.py": ONE, "helpers.py": "X = 1\n"}
    for name, text in texts.items():
        write(f"a_package/{name}", text)
    write("a_package/notes.txt", "not Python")
    lines = "".join(f"{sha256(texts[name])}  {name}\n" for name in sorted(texts))
    assert find_source("a_package.losses.smooth:MyLoss").digest == sha256(lines)


def test_what_is_documented_prints_the_digest_of_a_package(write: Write, tmp_path: Path) -> None:
    for name in ("__init__.py", "losses/smooth.py", "losses_of_others.py", "losses/__init__.py"):
        write(f"my_package/{name}", f"# {name}\n")
    documented = re.search(r"`(cd my_package && .*)`\)", DOCUMENTATION.read_text())
    assert documented is not None
    if subprocess.run(["find", tmp_path, "-printf", ""], capture_output=True, check=False).returncode:
        pytest.skip("GNU find is not installed")
    ended = subprocess.run(documented[1], shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.split()[0] == find_source("my_package.losses.smooth:MyLoss").digest


def test_what_is_documented_is_a_study() -> None:
    block = re.search(r"```yaml\n(objective: .*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert block is not None
    plain = load_yaml(block[1])
    model = {"dataset": "dummy_data", "objective": plain["objective"]}
    study = {"name": "s", "model": model, "representations": ["mean"], "metrics": plain["metrics"]}
    names = {found.name for _, found in plugins_of([parse_spec(StudySpec, study)])}
    assert names == {"my_model:BottleneckVae", "my_metric:NeighbourAgreement"}


def test_a_namespace_package_is_looked_through(write: Write) -> None:
    write("a_namespace/part/__init__.py", ONE)
    write("a_namespace/another/__init__.py", "")
    assert [path.parent.name for path in find_source("a_namespace.part:MyLoss").files] == ["part"]
    write("a_namespace/alone.py", ONE)
    assert find_source("a_namespace.alone:MyLoss").digest == sha256(ONE)


# Edits that change what a plugin computes, and one that does not.
@pytest.mark.parametrize(
    ("path", "text", "changes"),
    [
        ("edited/smooth.py", ONE + "\n", True),
        ("edited/helpers.py", "X = 2\n", True),
        ("edited/deeper/new.py", "", True),
        ("edited/notes.txt", "other notes", False),
    ],
)
def test_an_edit_anywhere_in_the_package_changes_the_digest(write: Write, path: str, text: str, changes: bool) -> None:
    for name, old in (("__init__.py", ""), ("smooth.py", ONE), ("helpers.py", "X = 1\n"), ("notes.txt", "notes")):
        write(f"edited/{name}", old)
    before = find_source("edited.smooth:MyLoss").digest
    write(path, text)
    assert (find_source("edited.smooth:MyLoss").digest != before) is changes


def test_finding_a_source_runs_none_of_it(write: Write) -> None:
    for name in ("__init__", "losses"):
        write(f"not_to_be_run/{name}.py", "raise RuntimeError('was run')\n")
    assert len(find_source("not_to_be_run.losses:MyLoss").digest) == 64
    assert not any(name.startswith("not_to_be_run") for name in sys.modules)


def test_finding_a_source_needs_no_torch(write: Write) -> None:
    write("wants_torch.py", f"import torch\n{ONE}")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"sys.path.insert(0, {str(write('x', '').parent)!r})\n"
        "from disentanglement.specs.sources import find_source\n"
        "print(find_source('wants_torch:MyLoss').digest)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == sha256(f"import torch\n{ONE}")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("nowhere_at_all:MyLoss", "PYTHONPATH"),
        ("numpy.nowhere:MyLoss", "PYTHONPATH"),
        ("numpy.version.deeper:MyLoss", "PYTHONPATH"),
        ("zlib:crc32", "Python itself"),
        ("subprocess:run", "Python itself"),
        ("os.path:join", "Python itself"),
        ("pydantic_core._pydantic_core:PydanticUndefined", "Python source"),
        ("no_such_entry_point", "an entry point of disentanglement.plugins"),
        ("json:", "module:name"),
        ("json:a.b", "module:name"),
        ("json:a:b", "module:name"),
    ],
)
def test_a_missing_source_is_named_with_what_helps(name: str, wanted: str) -> None:
    with pytest.raises(SpecError, match=wanted) as caught:
        find_source(name, "objective.plugin")
    assert caught.value.violations[0].field == "objective.plugin.name"
    assert name in caught.value.violations[0].given


def test_an_entry_point_stands_for_a_module_and_a_name(installed: None) -> None:
    source = find_source("mine")
    assert (source.module, source.name, source.digest) == ("installed_one", "MyLoss", sha256(ONE))
    assert make(Plugin(name="mine", parameters={"weight": 3}), "objective.plugin", object).weight == 3  # type: ignore[attr-defined]


def test_an_edited_source_is_refused_with_both_digests(write: Write) -> None:
    write("was_edited.py", ONE)
    submitted = Plugin(name="was_edited:MyLoss", source_digest=find_source("was_edited:MyLoss").digest)
    write("was_edited.py", ONE + "# edited\n")
    with pytest.raises(SpecError) as caught:
        load(submitted, "objective.plugin")
    assert caught.value.violations[0].field == "objective.plugin.source_digest"
    assert sha256(ONE) in str(caught.value)
    assert sha256(ONE + "# edited\n") in str(caught.value)
    assert "was_edited" not in sys.modules


def test_a_source_edited_after_its_import_needs_a_new_process(write: Write) -> None:
    write("edited_later.py", ONE)
    load(Plugin(name="edited_later:MyLoss"), "objective.plugin")
    write("edited_later.py", ONE + "# edited\n")
    edited = Plugin(name="edited_later:MyLoss", source_digest=sha256(ONE + "# edited\n"))
    with pytest.raises(SpecError, match="a new process"):
        load(edited, "objective.plugin")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("import no_such_package\n", "MyLoss", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("1 / 0\n", "MyLoss", "ZeroDivisionError"),
        ("MyLoss = 3\n", "MyLoss", "a class or function"),
        ("", "MyLoss", "a class or function"),
        ("from os import system\n", "system", "defined in a_broken_one"),
        ("import os\n", "os", "a class or function"),
    ],
)
def test_what_cannot_be_loaded_says_why(write: Write, text: str, name: str, message: str) -> None:
    write("a_broken_one.py", text)
    with pytest.raises(SpecError, match=message):
        load(Plugin(name=f"a_broken_one:{name}"), "objective.plugin")


@pytest.mark.parametrize("parameters", [{"wieght": 2}, {"weight": 1, "more": 2}])
def test_unknown_parameters_are_refused_by_name(write: Write, parameters: dict[str, Any]) -> None:
    write("with_weight.py", ONE)
    with pytest.raises(SpecError, match="unexpected keyword argument") as caught:
        make(Plugin(name="with_weight:MyLoss", parameters=parameters), "objective.plugin", object)
    assert caught.value.violations[0].field == "objective.plugin.parameters"


class Scored(Protocol):
    def score(self) -> float: ...


@pytest.mark.parametrize(("kind", "wanted"), [(Scored, r"Scored \(score\)"), (dict, "dict")])
def test_what_makes_something_else_is_refused(write: Write, kind: type, wanted: str) -> None:
    write("of_another_kind.py", ONE)
    with pytest.raises(SpecError, match=f"{wanted}.*which makes MyLoss"):
        make(Plugin(name="of_another_kind:MyLoss"), "objective.plugin", kind)


ALL_PARTS = {
    "objective": {"factor_vae": {"gamma": 1, "discriminator": plugin("a:discriminator")}},
    "architecture": {"encoder": plugin("a:encoder"), "decoder": plugin("a:decoder")},
    "reconstruction": plugin("a:reconstruction"),
    "optimizer": plugin("a:optimizer"),
}


def test_plugins_are_found_wherever_they_stand() -> None:
    metric = EvaluateSpec(metric=MetricSpec.model_validate(plugin("a:metric")))
    found = {field: found.name for field, found in plugins_of([train(**ALL_PARTS), metric])}
    assert found == {
        "objective.factor_vae.discriminator.plugin": "a:discriminator",
        "architecture.encoder.plugin": "a:encoder",
        "architecture.decoder.plugin": "a:decoder",
        "reconstruction.plugin": "a:reconstruction",
        "optimizer.plugin": "a:optimizer",
        "metric.plugin": "a:metric",
    }
    assert not list(plugins_of([train()]))


def test_digests_are_filled_in_where_there_is_none_yet() -> None:
    spec = train(objective=plugin("a:loss"), reconstruction=plugin("b:loss", source_digest="b" * 64))
    filled = with_digests(spec, {"a:loss": "1" * 64, "b:loss": "2" * 64})
    digests = {field: found.source_digest for field, found in plugins_of([filled])}
    assert digests == {"objective.plugin": "1" * 64, "reconstruction.plugin": "b" * 64}
    assert with_digests(train(), {"a:loss": "1" * 64}) == train()


def test_the_source_decides_the_key(write: Write) -> None:
    def key() -> StepKey:
        spec = train(dataset={"name": "dummy_data", "digest": "0" * 64}, objective=plugin("keyed:MyLoss"))
        return step_key(with_digests(spec, source_digests([spec], EVERYTHING)))

    write("keyed.py", ONE)
    first, again = key(), key()
    write("keyed.py", ONE + "# edited\n")
    assert first == again != key()
    assert first.cell == "dummy_data.plugin_my_loss"


@pytest.mark.parametrize(
    ("listed", "name", "is_trusted"),
    [
        ("", "my_model:Loss", False),
        ("my_model", "my_model:Loss", True),
        (" other , my_model ", "my_model:Loss", True),
        ("my_mod", "my_model:Loss", False),
        ("my_package", "my_package.losses:Loss", True),
        ("my_package.losses", "my_package.losses:Loss", True),
        ("my_package.losses", "my_package:Loss", False),
        ("my_package.losses", "my_package.lossesandmore:Loss", False),
        ("my_model:Loss", "my_model:Loss", True),
        ("my_model:Loss", "my_model:Other", False),
        ("*", "os:system", True),
        ("", "mine", True),
        ("", "installed_one:MyLoss", True),
        ("", "installed_one:Other", False),
        ("", "no_such_entry_point", False),
        ("no_such_entry_point", "no_such_entry_point", True),
    ],
)
def test_code_runs_where_it_is_installed_or_listed(installed: None, listed: str, name: str, is_trusted: bool) -> None:
    trusted = Trusted.from_env({"DISENTANGLEMENT_PLUGINS": listed})
    specs = [train(objective=plugin(name))]
    if is_trusted:
        trusted.check(specs)
    else:
        with pytest.raises(SpecError, match=r"objective\.plugin\.name: .*DISENTANGLEMENT_PLUGINS"):
            trusted.check(specs)


def test_nothing_is_trusted_unless_the_environment_says_so() -> None:
    assert Trusted.from_env({}) == Trusted()
    with pytest.raises(SpecError):
        source_digests([train(objective=plugin("json:loads"))], Trusted())


def test_a_worker_runs_no_plugin_without_a_digest() -> None:
    with pytest.raises(SpecError, match=r"objective\.plugin\.source_digest"):
        check_runnable([train(objective=plugin("json:loads"))], EVERYTHING)
    check_runnable([train(objective=plugin("json:loads", source_digest="0" * 64)), train()], EVERYTHING)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("my_package.losses:SmoothVae", "plugin_smooth_vae"),
        ("m:BetaTCVae2", "plugin_beta_tc_vae2"),
        ("m:make_loss", "plugin_make_loss"),
        ("an-entry.Point", "plugin_point"),
        ("m:___", "plugin"),
        ("größe:Maß", "plugin_ma"),
    ],
)
def test_a_plugin_has_a_word_for_cells_and_tables(name: str, word: str) -> None:
    assert Plugin(name=name).word == word
    assert train(objective=plugin(name)).cell == f"dummy_data.{word}"
    assert MetricSpec.model_validate(plugin(name)).label == word


@given(st.from_regex(re.compile(r"[A-Za-z_][\w.:-]{0,199}", re.ASCII), fullmatch=True))
def test_every_word_is_a_part_of_a_key(name: str) -> None:
    key = StepKey("dummy_data", Plugin(name=name).word, "a" * 52)
    assert StepKey.parse(str(key)) == key
    assert len(key.method) <= 63
