"""Images as they are stored: integers, bits where they are binary, usually a memory map.

Shapes: P stored images, N rows asked for, H, W, C image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from disentanglement.errors import ArtifactNotFound, CorruptArtifact, SpecError

Encoding = Literal["packed_bits", "uint8", "int16"]
Stored = NDArray[np.integer[Any]]
DTYPES: dict[Encoding, type[np.integer[Any]]] = {"packed_bits": np.uint8, "uint8": np.uint8, "int16": np.int16}
Rows = NDArray[np.int64]
Progress = Callable[[int, int], None]
"""(images done, images in all)."""
BAD_HEADER = (ValueError, TypeError, SyntaxError, TokenError, ArithmeticError, RecursionError, MemoryError)
"""What NumPy may raise on the header of a damaged `.npy` file, which it parses as a Python literal."""


@dataclass(frozen=True, slots=True)
class StoredImages:
    """`stored` is `[P, H, W, C]`, or bits `[P, H, W / 8]` of binary one-channel images (first pixel highest).

    255 is full brightness; int16 is for images whose scaling left values outside 0 to 255 (SmallNORB).
    """

    stored: Stored
    encoding: Encoding

    def __post_init__(self) -> None:
        wanted_ndim = 3 if self.encoding == "packed_bits" else 4
        wanted = np.dtype(DTYPES[self.encoding])
        if self.stored.dtype != wanted or self.stored.ndim != wanted_ndim:
            given = f"{self.stored.dtype} with {self.stored.ndim} axes"
            raise SpecError.of("images", f"{wanted} with {wanted_ndim} axes ({self.encoding})", given)

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        if self.encoding == "packed_bits":
            return self.stored.shape[1], 8 * self.stored.shape[2], 1
        return self.stored.shape[1], self.stored.shape[2], self.stored.shape[3]

    def gather(self, rows_N: Rows) -> Stored:
        """As stored, `[N, H, W, C]`; binary images are 0 and 1."""
        chosen: Stored = np.asarray(self.stored[rows_N])
        if self.encoding == "packed_bits":
            return np.unpackbits(chosen.view(np.uint8), axis=-1)[..., np.newaxis]
        return chosen

    def gather_float32(self, rows_N: Rows) -> NDArray[np.float32]:
        """float32 `[N, H, W, C]` in [0, 1] (int16: or a little outside)."""
        images = self.gather(rows_N).astype(np.float32)
        return images if self.encoding == "packed_bits" else images / np.float32(255)

    @classmethod
    def pack(cls, binary_PHW: NDArray[np.uint8]) -> StoredImages:
        """Bits of binary images `[P, H, W]` with values 0 and 1 and W a multiple of 8."""
        if binary_PHW.dtype != np.uint8 or binary_PHW.ndim != 3 or binary_PHW.shape[2] % 8:
            given = f"{binary_PHW.dtype} {list(binary_PHW.shape)}"
            raise SpecError.of("images", "uint8 [P, H, multiple of 8]", given)
        if (largest := int(binary_PHW.max(initial=0))) > 1:
            raise SpecError.of("images", "values 0 and 1", largest)
        return cls(np.packbits(binary_PHW, axis=-1), "packed_bits")

    @staticmethod
    def allocate(path: Path, encoding: Encoding, num_images: int, shape: tuple[int, int, int]) -> Stored:
        """A new `.npy` file of black images, mapped into memory to be filled."""
        height, width, channels = shape
        kept = (height, width // 8) if encoding == "packed_bits" else (height, width, channels)
        made: Stored = np.lib.format.open_memmap(path, "w+", DTYPES[encoding], (num_images, *kept))
        return made

    @classmethod
    def open(cls, path: Path, encoding: Encoding) -> StoredImages:
        """Maps a `.npy` file.

        Raises:
            ArtifactNotFound: there is no such file.
            CorruptArtifact: it is not the file of such images.
        """
        try:
            with np.errstate(over="raise"):  # in the product of a shape
                return cls(np.lib.format.open_memmap(path, mode="r"), encoding)
        except FileNotFoundError as error:
            raise ArtifactNotFound(f"{path}: wanted a .npy file of images, found none") from error
        except (*BAD_HEADER, OSError, SpecError) as error:
            raise CorruptArtifact(f"{path}: wanted a .npy file of images ({encoding}), got {error}") from error
