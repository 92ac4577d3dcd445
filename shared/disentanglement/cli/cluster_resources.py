"""What an argument of `disentangle study` means in a cluster: the resource of a Study, or its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from disentanglement.cli.local_study import is_file
from disentanglement.cli.published_studies import varied
from disentanglement.errors import ArtifactNotFound, SpecError

if TYPE_CHECKING:
    from disentanglement.cluster.kinds import Object


def resource(study: str, variation: Mapping[str, Any], changes: Mapping[str, Any]) -> Object:
    """The resource that an argument means: a Study or a study file, or a published study, or a part of it.

    Raises:
        SpecError: it is none of these, or a field is wrong.
    """
    from disentanglement.cluster.submission import changed, check_metric_names, resource_of
    from disentanglement.specs import StudySpec, parse_spec
    from disentanglement.studies.published import STUDIES

    document = _document(Path(study)) if is_file(study) else None
    if isinstance(document, Mapping) and "kind" in document:
        _check_no_options(variation)
        return changed(resource_of(document), changes)
    if document is None and study not in STUDIES:
        raise SpecError.of("study", f"a file, or a published study ({', '.join(STUDIES)})", study)
    check_metric_names(document)
    return _varied(STUDIES[study].spec if document is None else parse_spec(StudySpec, document), variation, changes)


def name_of(study: str) -> str:
    """The name of a study, or the one in a file."""
    return str(resource(study, {}, {})["metadata"]["name"]) if is_file(study) else study


def _varied(whole: Any, variation: Mapping[str, Any], changes: Mapping[str, Any]) -> Object:
    from disentanglement.cluster.submission import changed, resource_spec, study_resource

    wanted = varied(whole, **variation)
    return changed(study_resource(wanted.name, resource_spec(wanted)), changes)


def _check_no_options(variation: Mapping[str, Any]) -> None:
    if given := [name for name, value in variation.items() if value is not None]:
        option = f"--{given[0].strip('_')}"
        raise SpecError.of(option, "nothing with a Study resource, which has fields for it", "a value")


def _document(path: Path) -> Any:
    from disentanglement.specs.parsing import load_yaml

    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactNotFound(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError.of("file", "a text file that can be read", f"{path}: {error}") from error
