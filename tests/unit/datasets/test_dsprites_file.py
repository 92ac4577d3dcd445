"""The released file's format: read in pieces, checked, refused by name."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from disentanglement.datasets import dsprites_file
from disentanglement.datasets.card import Origin
from disentanglement.datasets.dsprites import latents_classes
from disentanglement.datasets.dsprites_file import is_released_file, read_released, says_rendered, write_released
from disentanglement.datasets.images import Progress
from disentanglement.errors import SpecError

NUM = 40
IMGS: NDArray[np.uint8] = np.random.default_rng(0).integers(2, size=(NUM, 64, 64), dtype=np.uint8)
PACKED = np.packbits(IMGS, axis=-1)
MEMBERS: Mapping[str, Any] = {"imgs": IMGS, "latents_classes": latents_classes(0, NUM)}


def written(path: Path, members: Mapping[str, Any] = MEMBERS) -> Path:
    """An archive like the released one, the pickled `metadata` included."""
    metadata = np.array({"latents_sizes": [1, 3, 6, 40, 32, 32]}, dtype=object)
    np.savez_compressed(path, metadata=metadata, latents_values=np.zeros((NUM, 6)), **members)
    return path


def read(path: Path, progress: Progress | None = None, *, num: int = NUM) -> NDArray[np.uint8]:
    packed = np.zeros((num, 64, 8), np.uint8)
    read_released(path, packed, progress)
    return packed


def refusal(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value).removeprefix(str(path))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return written(tmp_path / "dsprites.npz")


def test_images_are_read_as_bits(archive: Path) -> None:
    np.testing.assert_array_equal(read(archive), PACKED)


def test_images_are_read_in_pieces_and_progress_is_told(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsprites_file, "IMAGES_PER_CHUNK", 16)
    seen: list[tuple[int, int]] = []
    packed = read(archive, lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(packed, PACKED)
    assert seen == [(16, 40), (32, 40), (40, 40)]


def test_the_pickled_metadata_is_not_opened(tmp_path: Path) -> None:
    path = written(tmp_path / "dsprites.npz")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "other.npz", "w") as other:
        for name in whole.namelist():
            other.writestr(name, b"no array" if name == "metadata.npy" else whole.read(name))
    np.testing.assert_array_equal(read(tmp_path / "other.npz"), PACKED)


def test_what_is_written_has_the_released_members_and_is_read_back(tmp_path: Path) -> None:
    path, num, seen = tmp_path / "made.npz", 1100, list[tuple[int, int]]()
    packed = np.random.default_rng(1).integers(256, size=(num, 64, 8), dtype=np.uint8)
    write_released(path, packed, lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(read(path, num=num), packed)
    assert seen[-1] == (num, num)
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {"imgs", "latents_classes", "latents_values"}
        assert (arrays["imgs"].dtype, arrays["imgs"].shape) == (np.uint8, (num, 64, 64))
        assert arrays["latents_classes"].dtype == np.int64
        assert arrays["latents_values"].dtype == np.float64
        assert arrays["latents_classes"][1061].tolist() == [0, 0, 0, 1, 1, 5]
        np.testing.assert_allclose(arrays["latents_values"][1061], [1, 1, 0.5, 2 * np.pi / 39, 1 / 31, 5 / 31])


@pytest.mark.parametrize(("origin", "rendered"), [(Origin.RENDERED, True), (Origin.RELEASED, False)])
def test_a_written_file_says_whether_it_was_rendered(origin: Origin, rendered: bool, tmp_path: Path) -> None:
    write_released(tmp_path / "made.npz", PACKED, origin=origin)
    assert says_rendered(tmp_path / "made.npz") == rendered


def test_the_released_file_is_known_by_the_name_that_git_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hello.txt"
    path.write_bytes(b"hello\n")
    assert not is_released_file(path)
    monkeypatch.setattr(dsprites_file, "RELEASED_GIT_BLOB", "ce013625030ba8dba906f756967f9e9ca394464a")
    assert is_released_file(path)  # as `git hash-object` says


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"imgs": IMGS[:-1]}, ": imgs: wanted uint8 [40, 64, 64], got uint8 [39, 64, 64]"),
        ({"imgs": IMGS.astype(np.float32)}, ": imgs: wanted uint8 [40, 64, 64], got float32 [40, 64, 64]"),
        ({"imgs": np.asfortranarray(IMGS)}, ": imgs: wanted uint8 [40, 64, 64], got column-major uint8 [40, 64, 64]"),
        ({"imgs": IMGS * np.uint8(255)}, ": imgs: wanted values 0 and 1, got 255"),
        ({"latents_classes": latents_classes(1, NUM + 1)}, ": latents_classes: wanted colour, shape, scale"),
        (
            {"latents_classes": np.zeros((NUM, 5), np.int64)},
            ": latents_classes: wanted int64 [40, 6], got int64 [40, 5]",
        ),
    ],
)
def test_another_array_is_refused(members: Mapping[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(written(tmp_path / "other.npz", {**MEMBERS, **members}))


@pytest.mark.parametrize("missing", ["imgs", "latents_classes"])
def test_an_archive_without_an_array_is_refused(missing: str, tmp_path: Path) -> None:
    path = written(tmp_path / "other.npz", {name: array for name, array in MEMBERS.items() if name != missing})
    assert f"with the member {missing}.npy, got metadata.npy, latents_values.npy" in refusal(path)


def test_a_wrong_order_of_the_last_images_is_seen_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsprites_file, "IMAGES_PER_CHUNK", 16)
    classes = latents_classes(0, NUM)
    classes[[38, 39]] = classes[[39, 38]]
    path = written(tmp_path / "other.npz", {**MEMBERS, "latents_classes": classes})
    assert "another one among images 32 to 39" in refusal(path)


def shortened(member: bytes) -> bytes:
    return member[:-1]


def lengthened(member: bytes) -> bytes:
    return member + b"\0"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shortened, "imgs: wanted 40 rows, got an end after 0 or more"),
        (lengthened, "wanted 40 rows, got more"),
        (lambda member: b"no array", "wanted an array in NumPy's format"),
        (lambda member: b"", "wanted an array in NumPy's format"),
    ],
)
def test_a_member_of_another_length_is_refused(
    change: Callable[[bytes], bytes], message: str, archive: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(tmp_path / "other.npz", "w") as other:
        for name in whole.namelist():
            other.writestr(name, change(whole.read(name)) if name == "imgs.npy" else whole.read(name))
    assert message in refusal(tmp_path / "other.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.npz").write_bytes(content)
    assert "wanted the released dSprites .npz" in refusal(tmp_path / "other.npz")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "FileNotFoundError" in refusal(tmp_path / "none.npz")
    assert "IsADirectoryError" in refusal(tmp_path)


def test_an_encrypted_archive_is_refused(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(signature, at + 1)) >= 0:
            content[at + offset] |= 1
    archive.write_bytes(content)
    assert "wanted the released dSprites .npz" in refusal(archive)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("damage") / "dsprites.npz"
    return path, written(path).read_bytes()


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(share: float, whole: tuple[Path, bytes]) -> None:
    path, content = whole
    path.write_bytes(content[: int(share * len(content))])
    assert refusal(path)


@given(data=st.data())
def test_a_damaged_byte_is_refused_or_does_no_harm(data: st.DataObject, whole: tuple[Path, bytes]) -> None:
    path, content = whole
    near_headers = [at for at in range(len(content)) if b"PK" in content[max(0, at - 60) : at + 4]]
    at = data.draw(st.sampled_from(near_headers) | st.integers(0, len(content) - 1))
    damaged = bytearray(content)
    damaged[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    with suppress(SpecError):
        np.testing.assert_array_equal(read(path), PACKED)
