"""Files with somebody's own codes: NumPy's `.npz`, or a table as CSV or Parquet. Nothing in them is ever executed.

Shapes: N points, D codes, K factors.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentanglement.errors import ArtifactNotFound, ResourceExhausted, SpecError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]

NEEDED = ("codes", "factors")
ALLOWED = (*NEEDED, "test_codes", "test_factors", "factor_names")
CODE, FACTOR, SPLIT = "code_", "factor_", "split"
"""Beginnings of the names of a table's columns, and the column that says `train` or `test`."""
MAX_BYTES = 8 << 30
"""Largest array that is read, so that a small file that unpacks to terabytes is refused before it is unpacked."""

DAMAGED = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy, pandas, pyarrow and the standard library raise for files that are damaged, or made to do harm."""


def read_arrays(path: Path) -> Arrays:
    """`codes` [N, D], `factors` [N, K], and where there are, `test_codes`, `test_factors`, `factor_names` [K].

    Raises:
        ArtifactNotFound: there is no such file.
        SpecError: it is of another kind, damaged, lacks an array, or holds Python objects.
        ResourceExhausted: an array is larger than `MAX_BYTES`.
    """
    kind, read = _reader(path)
    try:
        return read(path)
    except FileNotFoundError:
        raise ArtifactNotFound(f"there is no file {path}") from None
    except IsADirectoryError:
        raise SpecError.of("file", kind, f"the directory {path}") from None
    except PermissionError as error:
        raise SpecError.of("file", "a file that can be read", f"{path}: {error.strerror}") from None
    except MemoryError:
        raise ResourceExhausted(f"{path} needs more memory than there is") from None
    except SpecError:
        raise
    except DAMAGED as error:
        raise SpecError.of("file", kind, f"{path}: {_short(error)}") from None


def _reader(path: Path) -> tuple[str, Callable[[Path], Arrays]]:
    match path.suffix.lower():
        case ".csv":
            return "a table of comma-separated values with a line of names", _read_csv
        case ".parquet":
            return "a Parquet file", _read_parquet
        case ".npy":
            raise SpecError.of("file", "an .npz file with the arrays codes and factors", f"one array in {path}")
        case _:
            return "an .npz file made by numpy.savez, a .csv or a .parquet file", _read_npz


def _read_npz(path: Path) -> Arrays:
    import numpy as np

    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        missing = [name for name in NEEDED if name not in archive]
        if missing:
            found = ", ".join(list(archive)[:10]) or "none"
            raise SpecError.of(missing[0], f"an array of this name in {path}", f"arrays {found}")
        _check_unpacked(path)
        return {name: archive[name] for name in ALLOWED if name in archive}


def _check_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _check_size(info.filename.removesuffix(".npy"), info.file_size)


def _check_size(field: str, num_bytes: int) -> None:
    if num_bytes > MAX_BYTES:
        raise SpecError.of(field, f"at most {MAX_BYTES} bytes unpacked", f"{num_bytes} bytes")


def _read_csv(path: Path) -> Arrays:
    from pyarrow import csv

    _check_size("file", path.stat().st_size)
    with path.open("rb") as stream:
        table = csv.read_csv(stream).to_pandas()  # unlike some versions of pandas, it reads the nearest number
    return _arrays_of(table.rename(columns=lambda name: str(name).strip()), path)


def _read_parquet(path: Path) -> Arrays:
    import pandas as pd
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        metadata = pq.ParquetFile(stream).metadata
        _check_size("file", metadata.num_rows * metadata.num_columns * 8)
        columns = [name for name in metadata.schema.names if name.startswith((CODE, FACTOR)) or name == SPLIT]
        return _arrays_of(pd.read_parquet(stream, columns=columns), path)


def _arrays_of(table: pd.DataFrame, path: Path) -> Arrays:
    """Columns `code_*` and `factor_*` in the order of the file; a column `split` says which rows are for testing."""
    import numpy as np

    chosen = {array: [str(name) for name in table if str(name).startswith(start)] for array, start in _STARTS.items()}
    for array, names in chosen.items():
        if not names:
            found = ", ".join(map(str, list(table)[:10])) or "none"
            raise SpecError.of(array, f"columns {_STARTS[array]}... in {path}", f"columns {found}")
    arrays = {"factor_names": np.array([name.removeprefix(FACTOR) for name in chosen["factors"]])}
    for prefix, rows_N in _rows(table):
        arrays |= {f"{prefix}{array}": _numbers(table.loc[rows_N, names]) for array, names in chosen.items()}
    return arrays


_STARTS = {"codes": CODE, "factors": FACTOR}


def _rows(table: pd.DataFrame) -> list[tuple[str, Any]]:
    """What the arrays' names begin with, and which rows they have."""
    import numpy as np

    if SPLIT not in table:
        return [("", np.ones(len(table), dtype=np.bool_))]
    split_N = table[SPLIT].astype(str).to_numpy()
    if unknown := sorted(set(split_N) - {"train", "test"}):
        raise SpecError.of(SPLIT, "train or test in each row", unknown[0])
    parts = [("", split_N == "train"), ("test_", split_N == "test")]
    return [part for part in parts if part[1].any() or not part[0]]


def _numbers(part: pd.DataFrame) -> NDArray[Any]:
    """One array; a column of text or with holes is named."""
    for name, column in part.items():
        if column.dtype.kind not in "iufb":
            raise SpecError.of(str(name), "a number in each row", f"{column.dtype} such as {column.iloc[0]!r}")
    return part.to_numpy()


def named(message: str, names: Mapping[int, str]) -> str:
    """A message about `factors[:, 1]` with that factor's name."""
    import re

    def replaced(match: re.Match[str]) -> str:
        name = names.get(int(match[1]))
        return match[0] if name is None else f"{match[0]} ({name})"

    return re.sub(r"factors\[:, (\d+)\]", replaced, message)


def factor_names(arrays: Arrays) -> dict[int, str]:
    """Names by position, none where the file has none.

    Raises:
        SpecError: they are no texts, or not as many as there are factors.
    """
    if "factor_names" not in arrays:
        return {}
    names, num_factors = arrays["factor_names"], arrays["factors"].shape[-1]
    if names.dtype.kind != "U" or names.shape != (num_factors,):
        raise SpecError.of("factor_names", f"{num_factors} texts, one for each factor", f"{names.dtype} {names.shape}")
    return dict(enumerate(names.tolist()))


def _short(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:200] or type(error).__name__
