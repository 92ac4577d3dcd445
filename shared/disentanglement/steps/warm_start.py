"""Starting from a committed model: which one is meant, and whether its networks fit. Needs no torch.

What is checked here is what specs and data cards tell, before anything is written; the tensors themselves are compared
when the training begins (`steps.initial_weights`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from disentanglement.errors import ArtifactNotFound, SpecError, StepNotCommitted, Violation
from disentanglement.specs import StepKey, TrainSpec, parse_spec
from disentanglement.storage.commit import committed
from disentanglement.storage.data_sets import find_data_set
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import Store
from disentanglement.studies.references import is_step_key, resolve

FIELD = "init_from"


def initial_keys(store: Store, specs: Iterable[TrainSpec], *, project: str) -> dict[str, str]:
    """The step key of every model that a spec starts from, by what is written for it in `init_from`.

    Raises:
        ArtifactNotFound, SpecError: what is written stands for no model, or for several; or one model stands there
            under two names, so that two equal trainings would look different.
    """
    written = sorted({spec.init_from for spec in specs if spec.init_from})
    keys = {text: text if is_step_key(text) else _resolved(store, text, project) for text in written}
    first: dict[str, str] = {}
    for text, key in keys.items():
        if first.setdefault(key, text) != text:
            raise SpecError.of(FIELD, f"one name for the model {key}", f"{first[key]} and {text}")
    return keys


def _resolved(store: Store, text: str, project: str) -> str:
    try:
        return str(resolve(store, project, text, "train"))
    except ArtifactNotFound as error:
        raise ArtifactNotFound(f"{FIELD}: {error}; a model has to be trained before others can start from it") from None


def check_initial(store: Store, specs: Iterable[TrainSpec]) -> None:
    """Whether every model that a (resolved) spec starts from is committed, with networks like the spec's.

    Raises:
        StepNotCommitted: a model is not trained yet.
        CorruptArtifact: it is, but its files are not as recorded.
        SpecError: other networks, naming the field and both values.
    """
    models: dict[str, TrainSpec] = {}
    checked: set[tuple[str, str, str]] = set()
    for spec in (spec for spec in specs if spec.init_from):
        what = (spec.init_from, spec.architecture.model_dump_json(), spec.dataset.digest)
        if what in checked:
            continue
        checked.add(what)
        if spec.init_from not in models:
            models[spec.init_from] = parse_spec(TrainSpec, initial_model(store, spec).spec)
        if violations := list(_differences(store, spec, models[spec.init_from])):
            raise SpecError(violations)


def initial_model(store: Store, spec: TrainSpec) -> Manifest:
    """The commit of the model that a (resolved) spec starts from.

    Raises:
        StepNotCommitted: it is not trained yet.
        CorruptArtifact: it is, but its files are not as recorded.
    """
    manifest = committed(store, "train", StepKey.parse(spec.init_from))
    if manifest is None:
        raise StepNotCommitted(f"{FIELD}: the model {spec.init_from} is not trained yet")
    return manifest


def _differences(store: Store, spec: TrainSpec, initial: TrainSpec) -> Iterator[Violation]:
    def unless_equal(field: str, wanted: object, given: object) -> Iterator[Violation]:
        if wanted != given:
            yield Violation(field, f"{wanted}, as the model of {FIELD} has ({spec.init_from})", str(given))

    ours, theirs = spec.architecture, initial.architecture
    yield from unless_equal("architecture.num_latent", theirs.num_latent, ours.num_latent)
    for part in ("encoder", "decoder"):
        words = getattr(theirs, part).word, getattr(ours, part).word
        if "plugin" not in words:  # a plugin's networks are known when they are made
            yield from unless_equal(f"architecture.{part}", *words)
    shapes = _image_shape(store, initial), _image_shape(store, spec)
    if None not in shapes:
        yield from unless_equal("dataset.name", *(f"a data set of {shape} images" for shape in shapes))


def _image_shape(store: Store, spec: TrainSpec) -> str | None:
    card = find_data_set(store, spec.dataset.name, spec.dataset.digest)
    return None if card is None else "x".join(map(str, card.observation_shape))
