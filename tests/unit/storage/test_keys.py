"""Keys: written and parsed, and nothing else gets through."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disentanglement.errors import SpecError
from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.keys import (
    KEY_TYPES,
    ArtifactKey,
    CodesKey,
    CodesManifestKey,
    DatasetKey,
    FailureKey,
    JobKey,
    Key,
    ManifestKey,
    NameKey,
    PlanKey,
    RequestKey,
    RetryKey,
    UploadKey,
    new_attempt,
    parse_key,
)

STEP_KEY = StepKey("dsprites_full", "beta_vae", "abcdefghijklmnopqrstuvwxyz234567" + "a" * 20)
DIGEST = "0123456789abcdef" * 4
ATTEMPT = "0123456789abcdef"

LAYOUTS: list[tuple[Key, str]] = [
    (DatasetKey("dsprites_full", DIGEST, "images.npy"), f"datasets/dsprites_full/{DIGEST}/images.npy"),
    (UploadKey(DIGEST), f"uploads/{DIGEST}"),
    (
        ArtifactKey("train", STEP_KEY, ATTEMPT, "weights.safetensors"),
        f"attempts/train/{STEP_KEY}/{ATTEMPT}/weights.safetensors",
    ),
    (ManifestKey("evaluate", STEP_KEY), f"manifests/evaluate/{STEP_KEY}.json"),
    (CodesManifestKey(STEP_KEY, DIGEST), f"codes/{STEP_KEY}/{DIGEST}/draws-1/manifest.json"),
    (CodesKey(STEP_KEY, DIGEST, 3, ATTEMPT, "mean.npy"), f"codes/{STEP_KEY}/{DIGEST}/draws-3/{ATTEMPT}/mean.npy"),
    (PlanKey(DIGEST, "dsprites_full.beta_vae"), f"plans/{DIGEST}/dsprites_full.beta_vae.json"),
    (FailureKey("p", "s", "train", STEP_KEY), f"projects/p/studies/s/failures/train/{STEP_KEY}.json"),
    (RetryKey("p", "s"), "projects/p/studies/s/retries.json"),
    (JobKey("default", "train", "job-1"), "projects/default/jobs/train/job-1/job.json"),
]

texts = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}(\.[A-Za-z0-9_-]{1,10})?", fullmatch=True)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
step_keys = st.builds(
    StepKey,
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=52, max_size=52),
)
PARTS = {
    "step": st.sampled_from(["train", "postprocess", "evaluate"]),
    "step_key": step_keys,
    "train_key": step_keys,
    "digest": digests,
    "data_digest": digests,
    "sha256": digests,
    "attempt": st.text("0123456789abcdef", min_size=16, max_size=16),
    "draws": st.integers(1, 999_999),
}


def part_names(kind: type[Key]) -> list[str]:
    return [field.name for field in fields(kind)]


def keys_of(kind: type[Key]) -> st.SearchStrategy[Key]:
    return st.builds(kind, **{name: PARTS.get(name, texts) for name in part_names(kind)})


any_key = st.one_of([keys_of(kind) for kind in KEY_TYPES])


@pytest.mark.parametrize(("key", "text"), LAYOUTS)
def test_an_object_lives_where_the_layout_says(key: Key, text: str) -> None:
    assert str(key) == text
    assert parse_key(text) == key


@given(key=any_key)
def test_a_key_survives_being_written_and_parsed(key: Key) -> None:
    assert type(key).parse(str(key)) == key
    assert parse_key(str(key)) == key


@given(one=any_key, other=any_key)
def test_no_object_stands_where_another_needs_a_directory(one: Key, other: Key) -> None:
    assert not str(other).startswith(f"{one}/")


@given(key=any_key, junk=st.text(min_size=1, max_size=3), at=st.integers(0, 300))
def test_a_key_with_something_put_into_it_is_another_key_or_none(key: Key, junk: str, at: int) -> None:
    text = str(key)
    changed = text[:at] + junk + text[at:]
    try:
        parsed = parse_key(changed)
    except SpecError:
        return
    assert str(parsed) == changed
    assert parsed != key


@given(text=st.text(max_size=60))
def test_a_text_is_a_key_that_writes_it_or_refused(text: str) -> None:
    with suppress(SpecError):
        assert str(parse_key(text)) == text


@pytest.mark.parametrize(
    "part", ["", ".", "..", "../x", "a/b", "/a", "a/", "a\\b", "a..b", ".hidden", "a.", "a\n", "a\0", "ä", "a b", "-a"]
)
def test_a_part_cannot_climb_out_or_hide(part: str) -> None:
    for make in (
        lambda: NameKey("p", part),
        lambda: NameKey(part, "n"),
        lambda: ArtifactKey("train", STEP_KEY, ATTEMPT, part),
        lambda: DatasetKey("d", DIGEST, part),
    ):
        with pytest.raises(SpecError, match=r"Key\.(name|project|file)"):
            make()


@pytest.mark.parametrize("text", ["manifests/train/../x.json", f"manifests/train/{STEP_KEY}.json\n", "", "manifests/"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_key(text)
    with pytest.raises(SpecError):
        ManifestKey.parse(text)


def test_a_part_that_no_file_system_takes_is_refused() -> None:
    with pytest.raises(SpecError):
        NameKey("p", "n" * 201)
    assert len(str(NameKey("p", "n" * 200)).split("/")[-1]) < 255


def test_a_digest_must_be_one() -> None:
    for wrong in ("", "0" * 63, "g" * 64, DIGEST.upper()):
        with pytest.raises(SpecError, match="sha256"):
            UploadKey(wrong)


def test_the_message_names_the_part_and_what_was_given() -> None:
    with pytest.raises(SpecError, match=r"NameKey\.name: wanted .* got '\.\./x'"):
        NameKey("p", "../x")


def test_attempts_are_never_named_twice() -> None:
    assert len({new_attempt() for _ in range(1000)}) == 1000


def test_a_request_id_may_be_any_text_and_belongs_to_its_method() -> None:
    key = RequestKey.of("p", "CreateStudy", "../../etc/passwd\0")
    assert str(key).startswith("projects/p/requests/")
    assert key == RequestKey.of("p", "CreateStudy", "../../etc/passwd\0")
    assert key != RequestKey.of("p", "CreateTrainingJob", "../../etc/passwd\0")


def test_a_cell_is_one_prefix() -> None:
    assert str(prefixes.manifests("train", "dsprites_full.beta_vae")) == "manifests/train/dsprites_full.beta_vae."
    assert str(prefixes.manifests("train")) == "manifests/train/"
    assert str(prefixes.failures("p", "s", "train", "a.b")) == "projects/p/studies/s/failures/train/a.b."


def test_an_attempt_is_one_prefix() -> None:
    assert str(prefixes.attempts()) == "attempts/"
    assert str(prefixes.attempts("train", STEP_KEY)) == f"attempts/train/{STEP_KEY}/"
    assert str(prefixes.attempts("train", STEP_KEY, ATTEMPT)) == f"attempts/train/{STEP_KEY}/{ATTEMPT}/"


@pytest.mark.parametrize("text", ["..", "../", "a/../b", "/", "/a", "a//b", "a\n", ".writing/", "a/.b"])
def test_a_prefix_cannot_climb_out_or_see_what_is_hidden(text: str) -> None:
    with pytest.raises(SpecError):
        prefixes.Prefix(text)


def test_a_cell_that_is_none_is_refused() -> None:
    for cell in ("dsprites_full", "a.b.c", "../x.y"):
        with pytest.raises(SpecError):
            prefixes.manifests("train", cell)
