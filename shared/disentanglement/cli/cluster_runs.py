"""`disentangle study run|status|watch|cancel|retry --cluster`: studies that a Kubernetes cluster works off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from disentanglement.cli.cluster_resources import name_of
from disentanglement.cli.cluster_study import Cluster, Pace, counts_of, is_final, phase_of, plain, state_of
from disentanglement.cli.console import print_json, say, saying_on_interrupt
from disentanglement.cli.exit_codes import ExitCode
from disentanglement.cli.study_ends import MEND, WRONG_SPEC
from disentanglement.cli.study_view import StudyView
from disentanglement.cluster.names import store_name

if TYPE_CHECKING:
    from disentanglement.cluster.kinds import Object

CONTROLLER_LOG = "kubectl -n disentanglement logs deployment/controller"


def is_in_cluster(cluster: bool, context: str | None, namespace: str | None) -> bool:
    """Whether a command is about a cluster: who names a context or a namespace means one."""
    return cluster or context is not None or namespace is not None


def run(target: Cluster, item: Object, as_json: bool) -> None:
    """Submits a study and watches it."""
    made = target.submit(item)
    watch(target, made["metadata"]["name"], as_json)


def status(target: Cluster, study: str, as_json: bool) -> None:
    """Shows how far a study is."""
    from disentanglement.cluster.explanation import summary

    found = target.study(name_of(study))
    if as_json:
        print_json(plain(found))
        return
    typer.echo(summary(found))
    show_conditions(found)
    _show_failures(found)


def watch(target: Cluster, study: str, as_json: bool) -> None:
    """Shows a study until it ends, with a time to go."""
    pace, told, name = Pace(), set[str](), name_of(study)
    again = f"the study goes on; watch it with: disentangle study watch {name} --cluster"
    with saying_on_interrupt(again), StudyView(f"study {name}") as view:

        def show(found: Object) -> None:
            for text in () if is_final(found) else _news(found, told):
                view.note(text)
            if phase_of(found) != "Invalid" or counts_of(found)["total"]:
                view.show(state_of(found, pace))

        last = target.watch(name, show)
    _finish(last, as_json)


def cancel(target: Cluster, study: str, as_json: bool) -> None:
    """Deletes a study from the cluster."""
    name = name_of(study)
    target.cancel(name)
    if as_json:
        print_json({"study": name, "namespace": target.namespace, "phase": "Deleted"})
    say(f"{name} is deleted from the cluster and its pods stop; what is computed stays in the store")


def retry(target: Cluster, study: str, as_json: bool) -> None:
    """Lets failed models be tried again."""
    from disentanglement.cluster.conditions import counted

    name = name_of(study)
    count = target.retry(name)
    if as_json:
        print_json({"study": name, "retried_models": count})
    else:
        say(f"{counted(count, 'failed model', 'failed models')} of {name} {'is' if count == 1 else 'are'} tried again")


def show_answer(study: Object) -> None:
    """What the controller has said of a submitted study by now.

    Raises:
        typer.Exit: it does not take it as it is written.
    """
    name, where = study["metadata"]["name"], study["metadata"].get("namespace", "")
    from disentanglement.cluster.conditions import counted

    match _acceptance(study):
        case "True":
            say(f"accepted: {name} is {phase_of(study)}, {counted(counts_of(study)['total'], 'model', 'models')}")
        case "False":
            say(f"{name} is not accepted as it is written:", style="red")
        case _:
            say(
                "no answer from the controller yet: see whether it runs and watches this namespace "
                f"({CONTROLLER_LOG}), or ask again: disentangle study why {name} --cluster --namespace {where}",
                style="yellow",
            )
    show_conditions(study)
    if _acceptance(study) == "False":
        raise typer.Exit(ExitCode.USAGE)


def show_conditions(study: Object) -> None:
    """What the controller complains of."""
    for text in _bad_conditions(study):
        say(text, style="yellow")


def _acceptance(study: Object) -> str:
    """The status of the condition Accepted; nothing where it is not about the present spec."""
    status = study.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(study["metadata"].get("generation") or 0):
        return ""
    conditions = {condition.get("type"): condition for condition in status.get("conditions") or ()}
    return str(conditions.get("Accepted", {}).get("status") or "")


def _finish(study: Object, as_json: bool) -> None:
    name, phase = study["metadata"]["name"], phase_of(study)
    if as_json:
        print_json(plain(study))
    _show_end(study, with_failures=not as_json)
    if phase == "Invalid":
        raise typer.Exit(ExitCode.USAGE)
    if not as_json:
        say(f"{phase}; see the scores: disentangle results show {store_name(name)} --server AGGREGATOR")
    if phase == "Failed" or counts_of(study)["failed"]:
        raise typer.Exit(ExitCode.FAILED)


def _show_end(study: Object, *, with_failures: bool) -> None:
    if phase_of(study) == "Invalid":
        say(f"{study['metadata']['name']} is Invalid: it can't be worked off as it is written", style="red")
    show_conditions(study)
    if with_failures:
        _show_failures(study)


def _news(study: Object, told: set[str]) -> Iterable[str]:
    news = [text for text in _bad_conditions(study) if text not in told]
    told.update(news)
    return news


def _bad_conditions(study: Object) -> list[str]:
    from disentanglement.cluster.explanation import bad_conditions

    return [reason.what for reason in bad_conditions(study)]


def _show_failures(study: Object) -> None:
    name, failures = study["metadata"]["name"], (study.get("status") or {}).get("failures") or []
    for failure in failures:
        what = f"{failure.get('step')} of model {failure.get('model')}"
        say(f"failed: {what}: {failure.get('reason')}: {failure.get('message')}", style="red")
    if any(failure.get("reason") == WRONG_SPEC for failure in failures):
        say(f"{MEND} --cluster")
    if any(failure.get("reason") != WRONG_SPEC for failure in failures):
        say(f"read more: disentangle study why {name} --cluster; again: disentangle study retry {name} --cluster")
