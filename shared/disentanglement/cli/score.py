"""`disentangle score`: one's own codes, without a model or a data set."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from disentanglement.cli.console import complaints, print_json, say
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.options import JsonOption, SetOption
from disentanglement.errors import ArtifactNotFound, DisentanglementError, ResourceExhausted, SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEEDED, ALLOWED = ("codes", "factors"), ("codes", "factors", "test_codes", "test_factors")
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
"""What NumPy and the standard library raise for files that are damaged, or made to do harm."""


def score(
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="Arrays codes [N, D] and factors [N, K]")],
    metrics: Annotated[str, typer.Option("--metrics", "-m", help="Comma-separated, e.g. mig,sap_score,dci")],
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="For what a metric draws")] = 0,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score your own codes. Needs no model, no data set, no torch.

    FILE.npz holds `codes` [N, D] (numbers) and `factors` [N, K] (integers), one row
    per point. With `test_codes` and `test_factors`, those are the points that
    classifiers are tested on; without them a random third is held out.

    With --json the output is {metric: {key: value}}; a metric without a value has
    {"error": reason}.

    Examples:

      python -c "import numpy as np; f = np.random.randint(0, 4, (3000, 3));
      np.savez('codes.npz', codes=f + 0.1 * np.random.randn(3000, 3), factors=f)"

      disentangle score codes.npz --metrics mig,sap_score,dci
    """
    from disentanglement.cli.parameters import assignments, metric_specs
    from disentanglement.cli.progress_bar import bar
    from disentanglement.metrics.catalog import find_metric
    from disentanglement.metrics.scoring import score_arrays

    specs = metric_specs(metrics, assignments(set_))
    for spec in specs:
        find_metric(spec)
    arrays = read_arrays(file)
    with bar("scoring") as update:
        outcomes = score_arrays(
            arrays["codes"],
            arrays["factors"],
            test_codes=arrays.get("test_codes"),
            test_factors=arrays.get("test_factors"),
            metrics=specs,
            seed=seed,
            progress=lambda share: update(share, specs[min(len(specs) - 1, int(share * len(specs)))].word),
        )
    _show(outcomes, as_json=as_json)
    if any(isinstance(outcome, DisentanglementError) for outcome in outcomes.values()):
        raise typer.Exit(ExitCode.FAILED)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file. Nothing in it is ever executed.

    Raises:
        ArtifactNotFound: there is no such file.
        SpecError: it is no `.npz` file, damaged, lacks an array, or holds Python objects.
        ResourceExhausted: an array is larger than `MAX_BYTES`.
    """
    import numpy as np

    if path.suffix == ".npy":
        raise SpecError.of("file", "an .npz file with the arrays codes and factors", f"one array in {path}")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return _arrays(archive, path)
    except FileNotFoundError:
        raise ArtifactNotFound(f"there is no file {path}") from None
    except IsADirectoryError:
        raise SpecError.of("file", "an .npz file", f"the directory {path}") from None
    except PermissionError as error:
        raise SpecError.of("file", "a file that can be read", f"{path}: {error.strerror}") from None
    except MemoryError:
        raise ResourceExhausted(f"{path} needs more memory than there is") from None
    except SpecError:
        raise
    except DAMAGED as error:
        raise SpecError.of("file", "an .npz file made by numpy.savez", f"{path}: {_short(error)}") from None


def _arrays(archive: Mapping[str, NDArray[Any]], path: Path) -> dict[str, NDArray[Any]]:
    missing = [name for name in NEEDED if name not in archive]
    if missing:
        found = ", ".join(list(archive)[:10]) or "none"
        raise SpecError.of(missing[0], f"an array of this name in {path}", f"arrays {found}")
    _check_sizes(path)
    return {name: archive[name] for name in ALLOWED if name in archive}


def _check_sizes(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.file_size > MAX_BYTES:
                wanted = f"at most {MAX_BYTES} bytes unpacked"
                raise SpecError.of(info.filename.removesuffix(".npy"), wanted, f"{info.file_size} bytes")


def _show(outcomes: Mapping[str, dict[str, float] | DisentanglementError], *, as_json: bool) -> None:
    if as_json:
        print_json({metric: plain(outcome) for metric, outcome in outcomes.items()})
        return
    from disentanglement.cli.tables import print_records

    rows = [
        {"metric": metric, "key": key, "value": float(value)}
        for metric, outcome in outcomes.items()
        if not isinstance(outcome, DisentanglementError)
        for key, value in outcome.items()
    ]
    if rows:
        print_records(rows, as_json=False, nothing="")
    for metric, outcome in outcomes.items():
        if isinstance(outcome, DisentanglementError):
            for line in complaints(outcome):
                say(f"{metric}: {line}", style="red")


def plain(outcome: dict[str, float] | DisentanglementError) -> dict[str, Any]:
    """The scores, or why there are none."""
    if isinstance(outcome, DisentanglementError):
        return {"error": {"reason": outcome.reason, "message": str(outcome)}}
    return {key: float(value) for key, value in outcome.items()}


def _short(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:200] or type(error).__name__
