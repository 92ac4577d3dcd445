"""A client of the services, one call after the other.

with Client("127.0.0.1:50050") as client:
    client.submit(Path("study.yaml"))
    for study in client.watch("my_study"):
        print(study.done, study.total)
    table = client.results("my_study")
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from disentanglement.errors import DisentanglementError
from disentanglement.rpc.channels import STREAM_S, Connection, Patience
from disentanglement.rpc.downloads import Download
from disentanglement.rpc.operations import Call, Metric, Operations, Pause, Steps, Stream, Study, Train, Watch
from disentanglement.rpc.security import Authority, Security
from disentanglement.rpc.status import from_rpc_error
from disentanglement.rpc.views import (
    CostView,
    EvaluationView,
    JobView,
    MetricView,
    ModelView,
    Outcome,
    StudyView,
)
from disentanglement.specs import RepresentationSpec

Result = TypeVar("Result")
View = TypeVar("View")

DAY_S = 86_400.0


class Client:
    """Calls the services at one address: the aggregator's, which passes calls on to the others.

    Every method raises our own exceptions: `SpecError` with the fields that are wrong, `ArtifactNotFound`,
    `StepNotCommitted`, `CodesMissing`, `NotBuiltYet`, `ResourceExhausted`, `Unavailable`, `DeadlineExceeded`,
    `Unauthenticated`, ... Every call has a deadline; idempotent ones are repeated where no answer came.
    Needs no torch.
    """

    def __init__(
        self,
        target: str,
        token: str | None = None,
        *,
        project: str = "default",
        tls_ca: Authority | None = None,
        insecure: bool = False,
        timeout_s: float = 60.0,
        patience_s: float = 60.0,
    ) -> None:
        """`target` is `host:port`. With `tls_ca` (a PEM file, or "system") the connection is encrypted; without it a
        token is sent to this machine alone, unless `insecure` says that it may be sent in clear.

        Raises:
            SpecError: the file is not there, or the token would be sent to another host in clear.
        """
        self._connection = Connection(target, token, Security(tls_ca, insecure), timeout_s, patience_s)
        self._operations = Operations(project)
        credentials, options = self._connection.credentials, self._connection.options
        if credentials is None:
            self._channel = grpc.insecure_channel(target, options)
        else:
            self._channel = grpc.secure_channel(target, credentials, options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    # ------------------------------------------------------------------------------------------------------ studies

    def submit(self, study: Study) -> StudyView:
        """Begins a study: a spec, plain data, a file (`Path`) or YAML text. Twice gives the same study."""
        return self._run(self._operations.submit(study))

    def validate(self, study: Study) -> CostView:
        """Checks a study and says what it takes; changes nothing."""
        return self._run(self._operations.validate(study))

    def status(self, study: str) -> StudyView:
        """A study as it stands, by its name."""
        return self._run(self._operations.status(study))

    def studies(self) -> list[StudyView]:
        """Every study of the project."""
        return self._run(self._operations.studies())

    def models(self, study: str) -> list[ModelView]:
        """Every model of a study."""
        return self._run(self._operations.models(study))

    def watch(self, study: str) -> Iterator[StudyView]:
        """A study now, and after every change, until it is settled. A broken connection is taken up again."""
        return self._watch(self._operations.watch(study))

    def cancel(self, study: str) -> StudyView:
        """Stops a study for good; what is committed stays, and submitting it again goes on."""
        return self._run(self._operations.cancel(study))

    def retry(self, study: str, models: Sequence[int] = ()) -> int:
        """Lets failed steps (of some models, or of all) be tried again; how many there were."""
        return self._run(self._operations.retry(study, models))

    def results(self, study: str) -> pd.DataFrame:
        """The scores that are committed by now, one row per model x representation x metric x key."""
        return pd.read_parquet(io.BytesIO(self.export(study, "parquet")))

    def export(self, study: str, format: str = "csv") -> bytes:
        """The table as one file: `csv`, `json`, `parquet`, or `reference_json` (the reference's own keys)."""
        stream = self._operations.export(study, format)
        return b"".join(message.chunk for message in self._stream(stream))

    def download(self, reference: str, file: str, to: Path) -> Path:
        """One file of a committed step into a folder or file; `reference` is a step key, a name, or `STUDY:42`.

        Raises:
            CorruptArtifact: what arrived has another digest.
        """
        with Download(file, to) as download:
            for message in self._stream(self._operations.download(reference, file)):
                download.add(message)
        return download.path

    # --------------------------------------------------------------------------------------------------------- steps

    def train(self, spec: Train, *, wait_s: float = 0.0) -> JobView:
        """Asks for one trained model. Twice gives the same job; `wait_s` is how long to wait for it."""
        return self._run(self._operations.train(spec, wait_s))

    def training_job(self, job: str) -> JobView:
        """A training job, by its name or step key."""
        return self._run(self._operations.training_job(job))

    def watch_training(self, job: str) -> Iterator[JobView]:
        """A training job now, and after every change, until it is settled."""
        return self._watch(self._operations.watch_training(job))

    def cancel_training(self, job: str) -> JobView:
        """Stops a training job for good; checkpoints stay, and asking for it again goes on from them."""
        return self._run(self._operations.cancel_training(job))

    def extract(
        self,
        model: str,
        representation: str | Mapping[str, Any] | RepresentationSpec = "mean",
        *,
        wait_s: float = DAY_S,
    ) -> JobView:
        """A representation (`mean`, `sampled`) of a model: a step key, a name, or `STUDY:42`."""
        return self._run(self._operations.extract(model, representation, wait_s))

    def representation(self, name: str) -> JobView:
        """A representation, by its name or step key."""
        return self._run(self._operations.representation(name))

    def metrics(self) -> list[MetricView]:
        """The metrics that the protocol knows, and which of them the server computes."""
        return self._run(self._operations.metrics())

    def evaluate(
        self, representation: str, metrics: Sequence[Metric], *, seed: int = 0, wait_s: float = DAY_S
    ) -> EvaluationView:
        """Scores a representation: a step key, a name, or `STUDY:42/mean` (extracted where it is not)."""
        return self._run(self._operations.evaluate(representation, metrics, seed, wait_s))

    def evaluation(self, name: str) -> EvaluationView:
        """An evaluation by its name."""
        return self._run(self._operations.evaluation(name))

    def cancel_evaluation(self, name: str) -> EvaluationView:
        """Stops an evaluation for good; outcomes that are there stay."""
        return self._run(self._operations.cancel_evaluation(name))

    def score(
        self,
        codes: ArrayLike,
        factors: ArrayLike,
        *,
        metrics: Sequence[Metric],
        test_codes: ArrayLike | None = None,
        test_factors: ArrayLike | None = None,
        seed: int = 0,
        timeout_s: float = DAY_S,
    ) -> dict[str, Outcome]:
        """Scores of codes [N, D] against factors [N, K] of one's own: by metric, the scores or why there are none.

        Test points are used exactly as they are by the metrics that train a classifier; without them those hold out a
        random third. More than 3 MiB of arrays are uploaded first; the same arrays are scored once.
        """
        arrays = {"codes": codes, "factors": factors, "test_codes": test_codes, "test_factors": test_factors}
        return self._run(self._operations.score(arrays, metrics, seed, timeout_s))

    def upload(self, array: NDArray[Any]) -> str:
        """Stores an array on the server; its sha256."""
        return self._run(self._operations.upload(array))

    # ------------------------------------------------------------------------------------------------------ transport

    def _run(self, steps: Steps[Result]) -> Result:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._call(step)

    def _call(self, call: Call[Any]) -> Any:
        kind: Any = self._channel.stream_unary if call.is_upload else self._channel.unary_unary
        method = kind(call.method, lambda message: message.SerializeToString(), call.response.FromString)
        request = iter(call.requests) if call.is_upload else next(iter(call.requests))
        timeout_s = STREAM_S if call.is_upload else self._connection.timeout_s + call.waits_s
        try:
            return method(request, timeout=timeout_s, metadata=self._connection.metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def _stream(self, stream: Stream[Any]) -> Iterator[Any]:
        method: Any = self._channel.unary_stream(
            stream.method, lambda message: message.SerializeToString(), stream.response.FromString
        )
        messages = method(stream.request, timeout=STREAM_S, metadata=self._connection.metadata)
        try:
            yield from messages
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            messages.cancel()

    def _watch(self, watch: Watch[View]) -> Iterator[View]:
        cursor, patience = "", Patience(self._connection.patience_s)
        while True:
            try:
                for message in self._stream(watch.stream(cursor)):
                    cursor = message.cursor
                    patience.succeeded()
                    view = watch.view(message)
                    yield view
                    if watch.is_final(view):
                        return
                return
            except DisentanglementError as error:
                time.sleep(patience.pause_after(error))
