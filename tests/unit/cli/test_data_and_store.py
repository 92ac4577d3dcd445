"""`disentangle data`, `store` and `metrics`."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from disentanglement.metrics.catalog import METRICS
from disentanglement.specs import StepKey
from disentanglement.storage.commit import Attempt, commit, committed
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import ArtifactKey, new_attempt

KEY = StepKey("dummy_data", "beta_vae", "a" * 52)


def test_a_data_set_is_imported_once(run: Any) -> None:
    first = run("data", "import", "dummy_data", "--json").json
    second = run("data", "import", "dummy_data", "--json").json
    assert (first["is_new"], second["is_new"]) == (True, False)
    assert first["digest"] == second["digest"]
    assert first["origin"] == "generated"


def test_what_the_store_holds_is_listed(run: Any, dummy_data: str) -> None:
    rows = {row["data_set"]: row for row in run("data", "list", "--json").json}
    assert rows["dummy_data"]["digest"] == dummy_data
    assert rows["dummy_data"]["default"] is True
    assert rows["dsprites_full"]["in_store"] == "no"


def test_a_card_is_shown(run: Any, dummy_data: str) -> None:
    assert run("data", "info", "dummy_data", "--json").json["digest"] == dummy_data
    assert "not comparable" in run("data", "info", "dummy_data").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("info", "dsprites_full"), 3),
        (("info", "nosuch"), 2),
        (("import", "nosuch"), 2),
        (("import", "cars3d"), 2),
        (("import", "dsprites_full", "/no/such/file.npz"), 3),
        (("import", "dummy_data", __file__), 2),
        (("import", "dsprites_full", __file__), 2),
        (("render", "dummy_data", "-o", "x.npz"), 2),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], code: int, run: Any) -> None:
    ended = run("data", *arguments)
    assert ended.code == code
    assert "error: " in ended.err


def test_a_file_is_not_written_over(run: Any, tmp_path: Path) -> None:
    (tmp_path / "there.npz").write_bytes(b"precious")
    assert run("data", "render", "dsprites_full", "-o", tmp_path / "there.npz").code == 2
    assert (tmp_path / "there.npz").read_bytes() == b"precious"


def test_a_sound_store_passes_and_a_damaged_one_does_not(run: Any, dummy_data: str, tmp_path: Path) -> None:
    assert run("store", "check", "--json").json["findings"] == []
    (images,) = (tmp_path / "store").rglob("images.npy*")
    images.chmod(0o644)
    images.write_bytes(b"x" + images.read_bytes()[1:])
    ended = run("store", "check", "--json")
    assert ended.code == 5
    assert "sha256" in ended.json["findings"][0]["problem"]


def test_a_repair_removes_the_manifest_of_a_damaged_step_and_says_so(run: Any, store: DirectoryStore) -> None:
    attempt = Attempt(store, "train", KEY)
    attempt.put("weights.safetensors", b"weights")
    commit(store, attempt.manifest(spec={}, contract="1.1"))
    store.put(attempt.key("weights.safetensors"), b"Weights")
    assert run("store", "check").code == 5
    ended = run("store", "check", "--repair", "--json")
    assert (ended.code, ended.json["removed"]) == (0, [f"manifests/train/{KEY}.json"])
    assert committed(store, "train", KEY) is None
    assert run("store", "check", "--json").json["findings"] == []


def test_a_data_set_is_not_repaired(run: Any, dummy_data: str, tmp_path: Path) -> None:
    (images,) = (tmp_path / "store").rglob("images.npy*")
    images.unlink()
    ended = run("store", "check", "--repair", "--json")
    assert (ended.code, ended.json["removed"]) == (5, [])


def test_collecting_only_says_what_would_go_unless_told_to_delete(run: Any, store: DirectoryStore) -> None:
    key = ArtifactKey("train", KEY, new_attempt(), "weights.safetensors")
    store.put(key, b"nobody names me")
    assert run("store", "collect", "--older-than-days", "0", "--json").json["objects"] == []  # too young
    seconds = time.time() - 7200
    os.utime(store.local_path(key), (seconds, seconds))
    assert run("store", "collect", "--json").json["objects"] == []  # still too young
    dry = run("store", "collect", "--older-than-days", "0", "--json").json
    assert (dry["deleted"], dry["objects"], dry["bytes"]) == (False, [str(key)], 15)
    assert store.head(key) is not None
    assert run("store", "collect", "--older-than-days", "0", "--delete", "--json").json["objects"] == [str(key)]
    assert store.head(key) is None


def test_every_metric_is_listed_with_its_defaults(run: Any) -> None:
    rows = {row["metric"]: row for row in run("metrics", "list", "--json").json}
    assert set(rows) == set(METRICS)
    assert rows["dci"]["parameters"] == {"num_train": 10000, "num_test": 5000, "batch_size": 16}
    labelled = rows["dci_validation"]["parameters"]
    assert (labelled["train_percentage"], labelled["labeller"]) == (None, {"perfect_labeller": {}})
    assert all(row["needs"] and row["description"] for row in rows.values())
    assert all(word in run("metrics", "list").out for word in METRICS)


def test_a_directory_is_no_bucket_to_be_made(run: Any) -> None:
    ended = run("store", "create-bucket")
    assert ended.code == 2
    assert "a directory is made by itself" in ended.err


def test_a_picture_shows_a_line_for_each_factor(run: Any, dummy_data: str, tmp_path: Path) -> None:
    ended = run("data", "info", "dummy_data", "--picture", str(tmp_path / "sheet.png"))
    assert "factor_0, factor_1" in ended.err
    picture = (tmp_path / "sheet.png").read_bytes()
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (16 * 66 + 2, 10 * 66 + 2)
