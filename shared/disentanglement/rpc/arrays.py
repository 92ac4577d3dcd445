"""Arrays inside messages: little-endian, row-major, with their type and shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentanglement.errors import SpecError
from disentanglement.rpc.convert import enum_number, enum_word, enum_words
from disentanglement.v1 import metric_pb2 as pb

MAX_INLINE_BYTES = 3 << 20
"""Of all arrays in one request; the limit on a whole message is 4 MiB. Larger arrays go by UploadArray."""

MAX_DIMENSIONS = 8
MAX_ELEMENTS = 1 << 40
_DTYPE = pb.Dtype.DESCRIPTOR


def array_to_proto(array: NDArray[Any], *, field: str = "array") -> pb.Array:
    """An array as a message.

    Raises:
        SpecError: a dtype without a wire type, or more than 3 MiB.
    """
    number = dtype_to_proto(array.dtype, field=f"{field}.dtype")
    check_inline_size([array.nbytes], field=field)
    wire = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return pb.Array(dtype=number, shape=array.shape, data=wire.tobytes())


def array_from_proto(message: pb.Array, *, field: str = "array") -> NDArray[Any]:
    """A read-only array in native byte order over the message's bytes.

    Raises:
        SpecError: no or an unknown dtype, too many dimensions, or data of another size than the shape says.
    """
    dtype = dtype_from_proto(message.dtype, field=f"{field}.dtype")
    shape = checked_shape(message.shape, field=f"{field}.shape")
    size = math.prod(shape) * dtype.itemsize
    if len(message.data) != size:
        wanted = f"{size} bytes for shape {list(shape)} of {dtype.name}"
        raise SpecError.of(f"{field}.data", wanted, f"{len(message.data)} bytes")
    array = np.frombuffer(message.data, dtype.newbyteorder("<")).reshape(shape).astype(dtype, copy=False)
    array.setflags(write=False)
    return array


def dtype_to_proto(dtype: np.dtype[Any], *, field: str = "dtype") -> pb.Dtype.ValueType:
    """The wire's name of a dtype; `SpecError` where it has none."""
    if dtype.name not in enum_words(_DTYPE):
        raise SpecError.of(field, f"one of {', '.join(enum_words(_DTYPE))}", dtype.name)
    return pb.Dtype.ValueType(enum_number(_DTYPE, dtype.name))


def dtype_from_proto(number: int, *, field: str = "dtype") -> np.dtype[Any]:
    """The inverse of `dtype_to_proto`; `SpecError` for zero and unknown numbers."""
    word = enum_word(_DTYPE, number)
    if word is None:
        raise SpecError.of(field, f"one of {', '.join(enum_words(_DTYPE))}", f"enum value {number}")
    return np.dtype(word)


def checked_shape(shape: Sequence[int], *, field: str = "shape") -> tuple[int, ...]:
    """The shape; `SpecError` where it has too many dimensions, or too many elements (a length of 0 counts as 1)."""
    if len(shape) > MAX_DIMENSIONS:
        raise SpecError.of(field, f"at most {MAX_DIMENSIONS} dimensions", len(shape))
    if math.prod(length or 1 for length in shape) > MAX_ELEMENTS:
        raise SpecError.of(field, f"at most {MAX_ELEMENTS} elements", list(shape))
    return tuple(shape)


def check_inline_size(sizes_bytes: Iterable[int], *, field: str) -> None:
    """`SpecError` where the arrays of one request are together more than 3 MiB."""
    if (total := sum(sizes_bytes)) > MAX_INLINE_BYTES:
        wanted = f"at most {MAX_INLINE_BYTES} bytes of arrays in a request (larger ones by UploadArray)"
        raise SpecError.of(field, wanted, f"{total} bytes")
