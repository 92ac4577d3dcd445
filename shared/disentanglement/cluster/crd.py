"""The CustomResourceDefinition of Study, written from the types: what `kubectl explain` shows and the server checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from disentanglement.cluster.names import GROUP, KIND, MAX_NAME, NAME_PATTERN, PLURAL, SINGULAR, VERSION
from disentanglement.cluster.resource import MAX_METRIC_LENGTH, MAX_METRICS, StudyResourceSpec, StudyStatus
from disentanglement.specs import MetricSpec, StudySpec

Plain = dict[str, Any]

KEPT = ("type", "description", "enum", "pattern", "format", "minimum", "maximum", "minLength", "maxLength", "minItems",
        "maxItems", "required")  # fmt: skip
"""What a structural schema takes over as it is."""
SCALARS = ("integer", "number", "boolean", "string")
ANYTHING = "x-kubernetes-preserve-unknown-fields"
RULES = "x-kubernetes-validations"
NOT_INLINE = ("name", "metrics")
FIXED = ("study", "inline", "set", "selection", "modelsPerPod", "pool", "evaluationPool", "queue", "retention")
"""Fields that may not change. Those that may: metrics, parallelism, priorityClass, paused, retryGeneration."""
COLUMNS = (
    ("Total", "integer", ".status.counts.total", "All models."),
    ("Trained", "integer", ".status.counts.trained", "Models with a committed training."),
    ("Evaluated", "integer", ".status.counts.evaluated", "Models with all scores."),
    ("Failed", "integer", ".status.counts.failed", "Models with a step that has failed for good."),
    ("Phase", "string", ".status.phase", "How the study stands."),
    ("Age", "date", ".metadata.creationTimestamp", "Since it was made."),
)
HEADER = "# Written by `make schema` from shared/disentanglement/cluster/resource.py. Not to be edited by hand.\n"


def definition() -> Plain:
    """The object to apply."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": about} for name, kind, path, about in COLUMNS
        ],
        "schema": {"openAPIV3Schema": _root()},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "disentanglement"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": SINGULAR},
            "versions": [version],
        },
    }


def definition_text() -> str:
    """As it is kept in `k8s/base/crd/studies.yaml`."""
    return HEADER + yaml.safe_dump(definition(), sort_keys=False, width=120, allow_unicode=True)


def _root() -> Plain:
    return {
        "type": "object",
        "description": "A sweep of models that are trained, and scored by disentanglement metrics, in this cluster.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": _name()}},
            "spec": _spec(),
            "status": _structural(StudyStatus.model_json_schema(by_alias=True, mode="serialization"))
            | {"description": "How far the study is, as the controller sees it."},
        },
    }


def _name() -> Plain:
    return {"type": "string", "maxLength": MAX_NAME, "pattern": NAME_PATTERN}


def _spec() -> Plain:
    schema = _structural(StudyResourceSpec.model_json_schema(by_alias=True, mode="validation"))
    properties = schema["properties"]
    properties["metrics"] = _metrics(properties["metrics"]["description"])
    properties["inline"] = _inline(properties["inline"]["description"])
    return schema | {RULES: _rules()}


def _metrics(description: str) -> Plain:
    """A list of lines, so that the server can compare it with the one before: it sees into nothing untyped."""
    names = "|".join(MetricSpec.model_fields)
    example = "A metric's name, or name and parameters in one line of YAML in quotes, e.g. 'dci: {num_train: 1000}'."
    item = {
        "type": "string",
        "description": f"{example} Metrics: {', '.join(MetricSpec.model_fields)}.",
        "maxLength": MAX_METRIC_LENGTH,
        "pattern": rf"^({names})(:\s*\{{.*\}})?$",
    }
    return {
        "type": "array",
        "description": description,
        "maxItems": MAX_METRICS,
        "x-kubernetes-list-type": "set",
        "items": item,
    }


def _inline(description: str) -> Plain:
    schema = StudySpec.model_json_schema(mode="validation")
    for name in NOT_INLINE:
        del schema["properties"][name]
    schema["required"] = [name for name in schema["required"] if name not in NOT_INLINE]
    return _structural(schema, with_defaults=False) | {"description": description}


def _rules() -> list[Plain]:
    """What one field alone can't say, in CEL."""
    rules = [
        {"rule": "has(self.study) != has(self.inline)", "message": "exactly one of study and inline is needed"},
        {
            "rule": "!has(self.inline) || has(self.metrics)",
            "message": "metrics is needed with inline (an empty list: the models are only trained)",
        },
        {
            "rule": "has(oldSelf.metrics) ? has(self.metrics) && oldSelf.metrics.all(metric, metric in self.metrics) "
            ": !has(self.metrics)",
            "message": "metrics may only grow; to take one away, delete the Study and apply it again (what is computed "
            "stays)",
            "fieldPath": ".metrics",
        },
        {
            "rule": "self.retryGeneration >= oldSelf.retryGeneration",
            "message": "retryGeneration may only rise",
            "fieldPath": ".retryGeneration",
        },
    ]
    return rules + [_fixed(name) for name in FIXED]


def _fixed(name: str) -> Plain:
    same = f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
    message = f"{name} can not be changed: delete the Study and make another one (what is computed stays)"
    return {"rule": same, "message": message}


# -------------------------------------------------------------------------------------------------- structural schemas
def _structural(schema: Mapping[str, Any], *, with_defaults: bool = True) -> Plain:
    """A JSON Schema without references, titles and alternatives, as CustomResourceDefinitions want it.

    With defaults, the server writes them into what it is given.
    """
    return _Structural(schema.get("$defs", {}), with_defaults).of(schema)


class _Structural:
    def __init__(self, definitions: Mapping[str, Mapping[str, Any]], with_defaults: bool) -> None:
        self._definitions = definitions
        self._with_defaults = with_defaults

    def of(self, schema: Mapping[str, Any], inside: tuple[str, ...] = ()) -> Plain:
        """The schema of one field; `inside` names the types around it: one inside itself is not followed."""
        whole, inside = self._resolved(schema, inside)
        if whole is None:
            return {ANYTHING: True, **_described(schema)}
        options = [option for option in whole.get("anyOf", ()) if option != {"type": "null"}]
        if len(options) == 1:
            return self.of({**options[0], **_described(whole)}, inside)
        if options:  # a text may stand for an object, and no structural schema can say so
            return self._alternatives(whole, options, inside)
        return self._plain(whole, inside)

    def _resolved(
        self, schema: Mapping[str, Any], inside: tuple[str, ...]
    ) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
        if "$ref" not in schema:
            return schema, inside
        name = schema["$ref"].rpartition("/")[2]
        if name in inside:
            return None, inside
        return {**self._definitions[name], **{k: v for k, v in schema.items() if k != "$ref"}}, (*inside, name)

    def _alternatives(
        self, whole: Mapping[str, Any], options: list[Mapping[str, Any]], inside: tuple[str, ...]
    ) -> Plain:
        about = [whole.get("description", "").strip()]
        for option in options:
            found, _ = self._resolved(option, inside)
            if found and (members := ", ".join(found.get("properties", ()))):
                about.append(f"{'One' if found.get('maxProperties') == 1 else 'A name, or any'} of: {members}.")
        told = " ".join(part for part in about if part)
        return {ANYTHING: True, **({"description": told} if told else {})}

    def _plain(self, schema: Mapping[str, Any], inside: tuple[str, ...]) -> Plain:
        found: Plain = {name: schema[name] for name in KEPT if name in schema}
        if "const" in schema:
            found["enum"] = [schema["const"]]
        if "exclusiveMaximum" in schema:
            found |= {"maximum": schema["exclusiveMaximum"], "exclusiveMaximum": True}
        if "exclusiveMinimum" in schema:
            found |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
        if found.get("type") == "integer":
            found["format"] = "int64"
        if self._with_defaults and found.get("type") in SCALARS and schema.get("default") not in (None, ""):
            found["default"] = schema["default"]
        if found.get("type") == "array":
            found["items"] = self.of(schema.get("items", {}), inside)
        if found.get("type") == "object":
            found |= self._object(schema, inside)
        return found if "type" in found else {ANYTHING: True, **_described(schema)}

    def _object(self, schema: Mapping[str, Any], inside: tuple[str, ...]) -> Plain:
        properties = {name: self.of(value, inside) for name, value in schema.get("properties", {}).items()}
        return {"properties": properties} if properties else {ANYTHING: True}


def _described(schema: Mapping[str, Any]) -> Plain:
    return {name: schema[name] for name in ("description",) if schema.get(name)}
