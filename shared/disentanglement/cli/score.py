"""`disentangle score`: one's own codes, without a model or a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from disentanglement.cli.console import complaints, print_json, say
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.options import JsonOption, SetOption, StandardErrorOption, StoreOption
from disentanglement.cli.score_files import factor_names, named, read_arrays
from disentanglement.cli.settings import Place
from disentanglement.errors import DisentanglementError, SpecError


def score(
    metrics: Annotated[str, typer.Option("--metrics", "-m", help="Comma-separated, e.g. mig,sap_score,dci")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Codes and factors: .npz, .csv or .parquet")
    ] = None,
    onnx: Annotated[
        Path | None, typer.Option("--onnx", metavar="ENCODER", help="Instead of FILE: an encoder, with --dataset")
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="What to encode; it is in the store")] = None,
    store: StoreOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="For what a metric draws")] = 0,
    set_: SetOption = None,
    standard_error: StandardErrorOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score your own codes. Needs no model, no data set, no torch.

    An .npz file holds `codes` [N, D] (numbers) and `factors` [N, K] (integers), one
    row per point. With `test_codes` and `test_factors`, those are the points that
    classifiers are tested on; without them a random third is held out. With
    `factor_names` [K], messages name factors.

    A .csv or .parquet file has columns code_..., factor_... (integers) in the order in
    which they are numbered, and perhaps `split`, which says train or test in each row.

    With --onnx somebody's encoder is applied to all images of a data set, and every
    metric draws its points from them, as in the published studies.

    With --json the output is {metric: {key: value}}; a metric without a value has
    {"error": reason}.

    Examples:

      python -c "import numpy as np; f = np.random.randint(0, 4, (3000, 3));
      np.savez('codes.npz', codes=f + 0.1 * np.random.randn(3000, 3), factors=f)"

      disentangle score codes.npz --metrics mig,sap_score,dci

      disentangle score codes.csv --metrics dci --set dci.num_train=5000 --seed 3 --json

      disentangle score --onnx encoder.onnx --dataset dsprites_full --metrics mig,factor_vae_score
    """
    from disentanglement.cli.parameters import assignments, metric_specs
    from disentanglement.cli.progress_bar import bar
    from disentanglement.metrics.catalog import find_metric
    from disentanglement.steps.scoring import score as score_anything

    specs = metric_specs(metrics, assignments(set_))
    for spec in specs:
        find_metric(spec)
    source, names = _source(file, onnx, dataset, store)
    with bar("scoring") as update:
        outcomes = score_anything(
            **source,
            metrics=specs,
            seed=seed,
            standard_error=standard_error,
            progress=lambda share: update(share, specs[min(len(specs) - 1, int(share * len(specs)))].word),
        )
    _show(outcomes, names, as_json=as_json)
    if any(isinstance(outcome, DisentanglementError) for outcome in outcomes.values()):
        raise typer.Exit(ExitCode.FAILED)


def _source(
    file: Path | None, onnx: Path | None, dataset: str | None, store: str | None
) -> tuple[dict[str, Any], dict[int, str]]:
    """What is scored, as `disentanglement.score` takes it, and names of factors."""
    if file is not None and onnx is None and dataset is None:
        arrays = read_arrays(file)
        names = factor_names(arrays)
        arrays.pop("factor_names", None)
        return dict(arrays), names
    if file is not None or onnx is None or dataset is None:
        raise SpecError.of("file", "FILE, or --onnx and --dataset", "something else")
    from disentanglement.steps.scoring import onnx_encoder, open_images

    place = Place.of(store).store_url
    data = open_images(dataset, place)
    source = {"encode": onnx_encoder(onnx, data.observation_shape), "dataset": dataset, "store": place}
    return source, dict(enumerate(data.factor_names))


def _show(
    outcomes: Mapping[str, dict[str, float] | DisentanglementError], names: Mapping[int, str], *, as_json: bool
) -> None:
    if as_json:
        print_json({metric: plain(outcome, names) for metric, outcome in outcomes.items()})
        return
    from disentanglement.cli.tables import print_records

    rows = [
        {"metric": metric, "key": key, "value": text}
        for metric, outcome in outcomes.items()
        if not isinstance(outcome, DisentanglementError)
        for key, text in with_errors(outcome)
    ]
    if rows:
        print_records(rows, as_json=False, nothing="")
    for metric, outcome in outcomes.items():
        if isinstance(outcome, DisentanglementError):
            for line in complaints(outcome):
                say(f"{metric}: {named(line, names)}", style="red")


def with_errors(scores: Mapping[str, float]) -> Iterator[tuple[str, float | str]]:
    """Each score by its key, `0.4321 ± 0.0123` where it has a standard error."""
    from disentanglement.specs.steps import STANDARD_ERROR

    for key, value in scores.items():
        error = scores.get(f"{key}{STANDARD_ERROR}")
        if not key.endswith(STANDARD_ERROR):
            yield key, float(value) if error is None else f"{value:.4f} ± {error:.4f}"


def plain(outcome: dict[str, float] | DisentanglementError, names: Mapping[int, str]) -> dict[str, Any]:
    """The scores, or why there are none."""
    if isinstance(outcome, DisentanglementError):
        return {"error": {"reason": outcome.reason, "message": named(str(outcome), names)}}
    return {key: float(value) for key, value in outcome.items()}
