"""What people type for a step: a key or its beginning, `STUDY:42`, `STUDY:42/mean`, a name given before, or the name
that a service gives to a model (`projects/p/studies/s/models/42`, `projects/p/trainingJobs/KEY`)."""

from __future__ import annotations

import re

from disentanglement.errors import ArtifactNotFound, SpecError
from disentanglement.specs import Step, StepKey
from disentanglement.specs.canonical import KEY_PATTERN
from disentanglement.storage.commit import list_committed
from disentanglement.storage.keys import NameKey
from disentanglement.storage.manifests import Record
from disentanglement.storage.store import Store
from disentanglement.studies.plan import PlannedModel
from disentanglement.studies.records import load_plan, load_study

IN_STUDY = re.compile(r"(?P<study>[a-z][a-z0-9_]*):(?P<number>\d{1,9})(?:/(?P<representation>[a-z][a-z0-9_]*))?")
MODEL_RESOURCE = re.compile(r"projects/(?P<project>[^/]+)/studies/(?P<study>[^/]+)/models/(?P<number>\d{1,9})")
JOB_RESOURCE = re.compile(r"projects/[^/]+/trainingJobs/(?P<key>[^/]+)")
NAME = re.compile(r"[A-Za-z0-9_](?:\.?[A-Za-z0-9_-])*")
SHOWN = 5


class NameRecord(Record):
    """A name that a user gave to a step."""

    step: Step
    step_key: str


def give_name(store: Store, project: str, name: str, step: Step, key: StepKey) -> None:
    """Names a step; the name is free again for something else later.

    Raises:
        SpecError: the name could be taken for a key or holds strange characters.
    """
    if NAME.fullmatch(name) is None or name.count(".") >= 2:
        raise SpecError.of("name", "letters, digits, `_` and `-`", repr(name))
    store.put(NameKey(project, name), NameRecord(step=step, step_key=str(key)).to_bytes())


def resolve(store: Store, project: str, text: str, step: Step) -> StepKey:
    """The step key that a reference stands for; `step` is the kind wanted.

    Raises:
        ArtifactNotFound: nothing is called so.
        SpecError: several steps begin so, or the reference is of another kind.
    """
    if (match := IN_STUDY.fullmatch(text)) is not None:
        return _in_study(store, project, step, text, **match.groupdict())
    if (match := MODEL_RESOURCE.fullmatch(text)) is not None:
        return _in_study(store, match["project"], step, text, match["study"], match["number"], None)
    if (match := JOB_RESOURCE.fullmatch(text)) is not None:
        return _in_job(store, step, text, match["key"])
    if (named := _named(store, project, text)) is not None:
        if named.step != step:
            raise SpecError.of("reference", f"a {step} step", f"{text}, which names a {named.step} step")
        return StepKey.parse(named.step_key)
    return _by_beginning(store, text, step)


def is_step_key(text: str) -> bool:
    """Whether a reference is a whole step key: it means one step, in any store."""
    return re.fullmatch(KEY_PATTERN, text) is not None


def _in_study(
    store: Store, project: str, step: Step, text: str, study: str, number: str, representation: str | None
) -> StepKey:
    model = load_plan(store, load_study(store, project, study).plan).model(int(number))
    if step == "train" and representation is None:
        return model.key
    if step == "postprocess":
        return _representation_of(model, text, representation)
    raise SpecError.of("reference", f"the reference of a {step} step", text)


def _in_job(store: Store, step: Step, text: str, key: str) -> StepKey:
    if step != "train":
        raise SpecError.of("reference", f"the reference of a {step} step", text)
    return StepKey.parse(key) if is_step_key(key) else _by_beginning(store, key, step)


def _representation_of(model: PlannedModel, text: str, representation: str | None) -> StepKey:
    words = [planned.word for planned in model.representations]
    found = [planned for planned in model.representations if representation in (None, planned.word)]
    if len(found) == 1:
        return found[0].key
    if len(found) > 1 and representation is not None:
        keys = ", ".join(str(planned.key) for planned in found)
        raise SpecError.of("reference", f"one of the keys {keys}", f"{text}, which is the name of {len(found)}")
    raise SpecError.of("reference", f"{text.partition('/')[0]}/ and one of {', '.join(words)}", text)


def _named(store: Store, project: str, text: str) -> NameRecord | None:
    if NAME.fullmatch(text) is None:
        return None
    key = NameKey(project, text)
    try:
        return NameRecord.from_bytes(key, store.get(key))
    except ArtifactNotFound:
        return None


def _by_beginning(store: Store, text: str, step: Step) -> StepKey:
    cell = ".".join(text.split(".")[:2]) if text.count(".") >= 2 else ""
    keys = sorted(list_committed(store, step, cell))
    found = [key for key in keys if str(key).startswith(text) or (not cell and key.digest.startswith(text))]
    if not found or not text:
        raise ArtifactNotFound(f"no committed {step} step is called {text!r} (see `disentangle models list`)")
    if len(found) > 1:
        some = ", ".join(map(str, found[:SHOWN])) + (", ..." if len(found) > SHOWN else "")
        raise SpecError.of("reference", "the beginning of one key only", f"{text!r}, which begins {len(found)}: {some}")
    return found[0]
