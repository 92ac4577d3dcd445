"""Readers of released files, on small files in each exact format: what is right is read, what is not is named."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import savemat

from disentanglement.datasets import cars3d, mpi3d, shapes3d, shapes3d_file, smallnorb
from disentanglement.errors import SpecError

NUM = 20
IMAGES: NDArray[np.uint8] = np.random.default_rng(0).integers(256, size=(NUM, 64, 64, 3), dtype=np.uint8)
Read = Callable[[Path, NDArray[np.uint8], Any], None]


def read_images(read: Read, path: Path) -> NDArray[np.uint8]:
    images = np.zeros_like(IMAGES)
    read(path, images, None)
    return images


def refusal(read: Read, path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read_images(read, path)
    assert str(path) in str(caught.value)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------- MPI3D


def test_mpi3d_is_read_in_file_order_and_progress_is_told(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "toy.npz", images=IMAGES)
    seen: list[tuple[int, int]] = []
    images = np.zeros_like(IMAGES)
    mpi3d.read_released(tmp_path / "toy.npz", images, lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(images, IMAGES)
    assert seen == [(NUM, NUM)]


def test_a_later_release_of_mpi3d_with_more_images_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", images=np.concatenate([IMAGES, IMAGES]))
    assert "images: wanted uint8 [20, 64, 64, 3], got uint8 [40, 64, 64, 3]" in refusal(
        mpi3d.read_released, tmp_path / "toy.npz"
    )


# ---------------------------------------------------------------------------------------------------------- Shapes3D


def write_h5(path: Path, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in {"images": IMAGES, "labels": shapes3d.labels(0, NUM), **arrays}.items():
            if array is not None:
                file.create_dataset(name, data=array, compression="gzip", chunks=True)
    return path


def test_the_released_h5_of_shapes3d_is_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_images(shapes3d_file.read_released, write_h5(tmp_path / "3dshapes.h5")), IMAGES)


def test_the_npz_that_the_reference_expected_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "3dshapes.npz", images=IMAGES)
    np.testing.assert_array_equal(read_images(shapes3d_file.read_released, tmp_path / "3dshapes.npz"), IMAGES)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": None}, "with an array images, got labels"),
        ({"images": IMAGES[:-1]}, "images: wanted uint8 [20, 64, 64, 3], got uint8 [19, 64, 64, 3]"),
        ({"images": IMAGES.astype(np.float32)}, "got float32"),
        ({"labels": shapes3d.labels(1, NUM + 1)}, "labels: wanted floor, wall and object hue"),
        ({"labels": shapes3d.labels(0, NUM)[:, ::-1]}, "labels: wanted floor, wall and object hue"),
    ],
)
def test_another_h5_is_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in refusal(shapes3d_file.read_released, write_h5(tmp_path / "3dshapes.h5", **arrays))


def test_an_h5_that_points_into_other_files_is_refused(tmp_path: Path) -> None:
    secret = write_h5(tmp_path / "secret.h5")
    for kind in ("link", "external", "virtual"):
        path = write_h5(tmp_path / f"{kind}.h5", images=None)
        with h5py.File(path, "a") as file:
            if kind == "link":
                file["images"] = h5py.ExternalLink(str(secret), "images")
            elif kind == "external":
                file.create_dataset("images", IMAGES.shape, np.uint8, external=[(str(secret), 0, IMAGES.nbytes)])
            else:
                layout = h5py.VirtualLayout(IMAGES.shape, np.uint8)
                layout[:] = h5py.VirtualSource(str(secret), "images", IMAGES.shape)
                file.create_virtual_dataset("images", layout)
        assert "images" in refusal(shapes3d_file.read_released, path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = write_h5(tmp_path_factory.mktemp("damage") / "3dshapes.h5")
    return path, path.read_bytes()


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_h5_is_refused(share: float, whole: tuple[Path, bytes]) -> None:
    path, content = whole
    path.write_bytes(content[: int(share * len(content))])
    assert refusal(shapes3d_file.read_released, path)


def test_what_labels_stand_for_is_told_in_row_major_order() -> None:
    np.testing.assert_allclose(shapes3d.labels(479_999, 480_000), [[0.9, 0.9, 0.9, 1.25, 3, 30]])
    np.testing.assert_allclose(shapes3d.labels(16, 17), [[0, 0, 0, 0.75, 1, -30 + 60 / 14]])


# ------------------------------------------------------------------------------------------------------------ Cars3D

CARS: NDArray[np.uint8] = np.random.default_rng(1).integers(256, size=(3, 128, 128, 3, 24, 4), dtype=np.uint8)


@pytest.fixture
def few_cars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cars3d, "NUM_CARS", 3)


def car_files(folder: Path) -> Path:
    (folder / "cars").mkdir()
    for name, pictures in zip(("car_002.mat", "car_001.mat", "car_003.mat"), CARS, strict=True):
        savemat(folder / "cars" / name, {"im": pictures})
    (folder / "cars" / "list.txt").write_text("car_001\n")
    return folder / "cars"


@pytest.mark.usefixtures("few_cars")
def test_cars_are_read_in_order_of_elevation_azimuth_and_sorted_name(tmp_path: Path) -> None:
    folder = car_files(tmp_path)
    images = np.zeros((4 * 24 * 3, 64, 64, 3), np.uint8)
    cars3d.read_released(folder, images)
    grid = images.reshape(4, 24, 3, 64, 64, 3)
    by_name = CARS[[1, 0, 2]]
    # Lanczos with twice the step keeps the mean of noise nearly, and of a flat picture exactly.
    near = by_name[2, :, :, :, 7, 3].reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(grid[3, 7, 2].ravel(), near.ravel())[0, 1] > 0.8
    assert np.corrcoef(grid[3, 7, 1].ravel(), near.ravel())[0, 1] < 0.1

    archive = tmp_path / "nips2015-analogy-data.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "data/cars")
        file.addfile(tarfile.TarInfo("data/sprites/other.mat"), io.BytesIO())
    again = np.zeros_like(images)
    cars3d.read_released(archive, again)
    np.testing.assert_array_equal(again, images)


@pytest.mark.usefixtures("few_cars")
def test_a_flat_picture_keeps_its_value_at_half_the_size(tmp_path: Path) -> None:
    (tmp_path / "cars").mkdir()
    for car in range(3):
        flat = np.full((128, 128, 3, 24, 4), 50 * car, np.uint8)
        savemat(tmp_path / "cars" / f"{car}.mat", {"im": flat})
    images = np.zeros((288, 64, 64, 3), np.uint8)
    cars3d.read_released(tmp_path / "cars", images)
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.tile([0, 50, 100], 96))
    np.testing.assert_array_equal(images, images[:, :1, :1, :1] + np.zeros_like(images))


@pytest.mark.usefixtures("few_cars")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "got 2 .mat files"),
        (b"", "wanted a MATLAB file"),
        (b"MATLAB 5.0" * 100, "wanted a MATLAB file"),
        ({"im": np.zeros((64, 64, 3, 24, 4), np.uint8)}, "got im: uint8 [64, 64, 3, 24, 4]"),
        ({"other": np.zeros(3)}, "got other: double [1, 3]"),
    ],
)
def test_another_file_of_cars_is_named(content: Any, message: str, tmp_path: Path) -> None:
    folder = car_files(tmp_path)
    (folder / "car_002.mat").unlink()
    if isinstance(content, bytes):
        (folder / "car_002.mat").write_bytes(content)
    elif content:
        savemat(folder / "car_002.mat", content)
    with pytest.raises(SpecError) as caught:
        cars3d.read_released(folder, np.zeros((288, 64, 64, 3), np.uint8))
    assert message in str(caught.value)
    assert (content is None) or "car_002.mat" in str(caught.value)


def test_a_broken_archive_of_cars_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cars.tar.gz").write_bytes(gzip.compress(b"hello"))
    with pytest.raises(SpecError, match=r"wanted the folder of the 183 released \.mat files"):
        cars3d.read_released(tmp_path / "cars.tar.gz", np.zeros((17568, 64, 64, 3), np.uint8))


# --------------------------------------------------------------------------------------------------------- SmallNORB

SIZES, PER_SPLIT = (2, 2, 1, 2, 1), 4
ORDER = np.array([5, 2, 7, 0, 3, 6, 1, 4])
"""Row-major position of each image in the files."""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with eight images: image at position p is p * 30 all over, but for a white corner."""
    for name, value in (("SIZES", SIZES), ("PER_SPLIT", PER_SPLIT), ("PER_CHUNK", 2)):
        monkeypatch.setattr(smallnorb, name, value)
    category, instance, elevation, azimuth, lighting = np.unravel_index(ORDER, SIZES)
    for number, split in enumerate(smallnorb.SPLITS):
        mine = slice(number * PER_SPLIT, (number + 1) * PER_SPLIT)
        pairs = np.empty((PER_SPLIT, 2, 96, 96), np.uint8)
        pairs[:] = 30 * ORDER[mine, None, None, None]
        pairs[:, 1] += 1
        pairs[:, 0, :32, :32] = 255
        info = np.stack([instance, elevation, 2 * azimuth, lighting], axis=1)[mine]
        write_matrix(tmp_path / f"smallnorb-{split}-dat.mat", smallnorb.UINT8_MAGIC, pairs)
        write_matrix(tmp_path / f"smallnorb-{split}-cat.mat", smallnorb.INT32_MAGIC, category[mine].astype("<i4"))
        write_matrix(tmp_path / f"smallnorb-{split}-info.mat", smallnorb.INT32_MAGIC, info.astype("<i4"))
    return tmp_path


def write_matrix(path: Path, magic: int, array: NDArray[Any]) -> None:
    sizes = [*array.shape, *[1] * (3 - array.ndim)]
    path.write_bytes(struct.pack(f"<{2 + len(sizes)}i", magic, array.ndim, *sizes) + array.tobytes())


def read_toys(folder: Path) -> NDArray[np.int16]:
    images = np.zeros((8, 64, 64, 1), np.int16)
    smallnorb.read_released(folder, images)
    return images


def test_toys_are_read_from_the_first_camera_in_row_major_order(toys: Path) -> None:
    images = read_toys(toys)
    assert images[:, 40, 40, 0].tolist() == [30 * position for position in range(8)]


def test_scaling_leaves_values_beyond_black_and_white_as_in_the_reference(toys: Path) -> None:
    """Lanczos overshoots beside the white corner, and 32-bit integers are not clipped."""
    images = read_toys(toys)
    assert images.max() > 255
    assert images.min() < 0
    assert images[3, 10, 10, 0] == 255


def test_packed_files_of_toys_are_read_too(toys: Path) -> None:
    plain = read_toys(toys)
    for path in list(toys.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(read_toys(toys), plain)


def changed(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (path,) = folder.glob(f"*{file}.mat")
        path.write_bytes(change(path.read_bytes()))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: next(folder.glob("*testing-cat.mat")).unlink(), "testing-cat.mat: wanted a released SmallNORB"),
        (changed("training-dat", lambda b: b"\0\0\0\0" + b[4:]), "training-dat.mat: wanted magic number 507333717"),
        (changed("training-dat", lambda b: b[:-1]), "training-dat.mat: wanted [2, 2, 96, 96] more values"),
        (changed("training-dat", lambda b: b + b"\0"), "values, got more"),
        (changed("training-cat", lambda b: b[:9]), "wanted a header, got an end before it"),
        (changed("testing-info", lambda b: b[:8] + b"\5" + b[9:]), "testing-info.mat: wanted sizes [4, 4]"),
        (changed("training-cat", lambda b: b[:20] + b"\7" + b[21:]), "factors.category: wanted 0 to 1, got 7"),
        (
            changed("training-cat", lambda b: b[:20] + bytes([1 - b[20]]) + b[21:]),
            "each combination once, got 7",
        ),
    ],
)
def test_another_file_of_toys_is_named(damage: Callable[[Path], None], message: str, toys: Path) -> None:
    damage(toys)
    with pytest.raises(SpecError) as caught:
        read_toys(toys)
    assert message in str(caught.value)
