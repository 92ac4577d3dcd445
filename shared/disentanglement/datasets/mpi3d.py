"""MPI3D (Gondal et al., 2019, arXiv:1906.03292): a robot arm with an object, filmed and simulated.

Three sets in one format: an `.npz` archive whose `images` lie in row-major order of the factors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from disentanglement.datasets.card import Factor
from disentanglement.datasets.images import Progress
from disentanglement.datasets.npz_file import copy_images, open_archive, open_member

NAMES = ("object_color", "object_shape", "object_size", "camera_height", "background_color", "first_dof", "second_dof")
SIMULATED_SIZES = (4, 4, 2, 3, 3, 40, 40)
REAL_SIZES = (6, 6, 2, 3, 3, 40, 40)
SHAPE = (64, 64, 3)

SOURCE = "https://github.com/rr-learning/disentanglement_dataset"
LICENCE = "CC-BY-4.0"
CITATION = (
    "Gondal et al.: On the Transfer of Inductive Bias from Simulation to the Real World: a New Disentanglement"
    " Dataset (NeurIPS 2019)"
)


def factors(sizes: tuple[int, ...]) -> tuple[Factor, ...]:
    """The seven factors, all of them latent."""
    return tuple(Factor(name=name, size=size) for name, size in zip(NAMES, sizes, strict=True))


def read_released(path: Path, images_PHWC: NDArray[np.uint8], progress: Progress | None = None) -> None:
    """Fills `images`, uint8 [P, 64, 64, 3], from the released archive.

    Later releases of the simulated sets have 6 colours and 6 shapes; they are refused, as another number of images.

    Raises:
        SpecError: the file is missing, damaged or another one: what was wanted, what was found.
    """
    with (
        open_archive(path, "the released MPI3D .npz") as archive,
        open_member(archive, "images", np.uint8, images_PHWC.shape) as member,
    ):
        copy_images(member, images_PHWC, progress)
