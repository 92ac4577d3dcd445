"""A study as the resource that a cluster works off: from a study file, a published study's name, or a spec."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from disentanglement.cluster.kinds import Object
from disentanglement.cluster.names import API_VERSION, KIND, check_study_name, resource_name
from disentanglement.cluster.resource import StudyResource, metric_line
from disentanglement.errors import SpecError
from disentanglement.specs import MetricSpec, StudySpec, parse_spec
from disentanglement.specs.parsing import shown
from disentanglement.studies.published import STUDIES
from disentanglement.studies.variants import with_metrics


def named(study: str, *, field: str = "name") -> str:
    """The name of a study's resource: `_` is `-` there.

    Raises:
        SpecError: no resource can have such a name.
    """
    try:
        return check_study_name(resource_name(study))
    except SpecError as error:
        wanted = f"{error.violations[0].wanted} (_ is as good as -), for a study in a cluster"
        raise SpecError.of(field, wanted, study) from None


def study_resource(name: str, spec: Mapping[str, Any], *, namespace: str = "") -> Object:
    """The resource of this spec (in the resource's own, camelCase words).

    Raises:
        SpecError: naming each wrong field.
    """
    return normal(
        {"apiVersion": API_VERSION, "kind": KIND, "metadata": _metadata(named(name), namespace), "spec": spec}
    )


def normal(item: Mapping[str, Any]) -> Object:
    """The resource as we send it: checked, and without what is at its default.

    Raises:
        SpecError: naming each wrong field.
    """
    return StudyResource.from_object(dict(item)).to_object()


def resource_spec(study: StudySpec) -> dict[str, Any]:
    """The spec of the resource for a study: by the name of a published one where it is that, else written out."""
    plain = study.model_dump(mode="json", exclude_none=True, exclude_unset=True)
    parts = {ours: plain.pop(theirs) for theirs, ours in PARTS.items() if plain.get(theirs)}
    parts["metrics"] = plain.pop("metrics", [])
    published = _published_name(study)
    if published is not None:
        return {"study": published, **parts}
    inline = {name: value for name, value in plain.items() if name not in ("name", *PARTS)}
    return {"inline": inline, **parts}


PARTS: Mapping[str, str] = {"changes": "set", "selection": "selection"}
"""Parts of a study that are fields of their own in a resource."""


def _published_name(study: StudySpec) -> str | None:
    """The published study that this one is, but for its name and what a resource has fields for."""
    for name, known in STUDIES.items():
        spec = with_metrics(known.spec, study.metrics)
        if study.replace(name=spec.name, changes=spec.changes, selection=spec.selection) == spec:
            return name
    return None


def resource_of(document: Any) -> Object:
    """The resource in a document: a Study as `kubectl apply` takes it, or a study file.

    Raises:
        SpecError: it is neither, naming each wrong field.
    """
    if not isinstance(document, Mapping):
        raise SpecError.of("document", "a Study or a study file", shown(document))
    check_metric_names(document)
    if "kind" not in document and "apiVersion" not in document:
        study = parse_spec(StudySpec, document)
        return study_resource(study.name, resource_spec(study))
    item = normal(document)
    return {**item, "spec": {**document["spec"], **_metrics_as_written(document["spec"])}}


def check_metric_names(document: Any) -> None:
    """Metrics of a Study or a study file, as far as it has any; the API server would only show a pattern of all names.

    Raises:
        SpecError: a metric that there is none of, with the one that is written nearly so.
    """
    spec = document.get("spec") if isinstance(document, Mapping) and "kind" in document else document
    metrics = spec.get("metrics") if isinstance(spec, Mapping) else None
    for i, entry in enumerate(metrics if isinstance(metrics, list) else ()):
        word = _word(entry)
        if word and word not in MetricSpec.model_fields:
            near = get_close_matches(word, MetricSpec.model_fields, n=1)
            wanted = f"a metric ({f'{near[0]}? ' if near else ''}all of them: disentangle metrics list)"
            raise SpecError.of(f"{'metrics' if spec is document else 'spec.metrics'}.{i}", wanted, word)


def _word(metric: Any) -> str:
    """The name in `mig`, `mig: {num_train: 100}` or `{mig: {num_train: 100}}`."""
    if isinstance(metric, Mapping):
        return str(next(iter(metric), "")) if len(metric) == 1 else ""
    return metric.partition(":")[0].strip() if isinstance(metric, str) else ""


def changed(item: Object, changes: Mapping[str, Any]) -> Object:
    """The resource with further fields of its spec; what is None or empty leaves a field as it is.

    Raises:
        SpecError: naming each wrong field.
    """
    given = {name: value for name, value in changes.items() if value not in (None, {}, [])}
    return resource_of({**item, "spec": {**item["spec"], **given}})


def _metrics_as_written(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Objects become lines; lines stay, since a metric that stands in a cluster can't be written otherwise."""
    metrics = spec.get("metrics")
    if metrics is None:
        return {}
    return {"metrics": [metric if isinstance(metric, str) else metric_line(metric) for metric in metrics]}


def _metadata(name: str, namespace: str) -> dict[str, str]:
    return {"name": name, **({"namespace": namespace} if namespace else {})}
