"""Options that several commands share, each described once."""

from __future__ import annotations

from typing import Annotated

import typer

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="DISENTANGLEMENT_STORE",
        metavar="PATH|s3://BUCKET",
        help="Where results are kept; by default ./.disentangle/store",
        show_default=False,
    ),
]
ProjectOption = Annotated[
    str, typer.Option("--project", envvar="DISENTANGLEMENT_PROJECT", help="Owner of studies and names")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print strict JSON on standard output")]
StandardErrorOption = Annotated[
    bool, typer.Option("--standard-error", help="Bootstrap standard errors of the scores for which they have a meaning")
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="DISENTANGLEMENT_SERVER",
        metavar="HOST:PORT",
        help="Work through the services behind this aggregator, instead of in this process's own workers",
        show_default=False,
    ),
]
TokenOption = Annotated[
    str | None, typer.Option("--token", envvar="DISENTANGLEMENT_TOKEN", help="Token for --server", show_default=False)
]
TlsCaOption = Annotated[
    str | None,
    typer.Option(
        "--tls-ca",
        envvar="DISENTANGLEMENT_TLS_CA",
        metavar="FILE|system",
        help="Speak TLS with --server: certificate authorities (PEM), or the system's",
        show_default=False,
    ),
]
ClusterOption = Annotated[
    bool, typer.Option("--cluster", help="Work through a Kubernetes cluster: the one of the kubeconfig's context")
]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", metavar="NAME", help="With --cluster: the kubeconfig's context", show_default=False),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="With --cluster: the namespace of the Study; by default the context's, else `disentanglement`",
        show_default=False,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda:0, ... (or just the number of a GPU)")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be given several times", show_default=False),
]
NoCacheOption = Annotated[
    bool, typer.Option("--no-cache", help="Compute again although it is committed, and compare (exit code 6: differs)")
]
DEFAULT_PROJECT = "default"
