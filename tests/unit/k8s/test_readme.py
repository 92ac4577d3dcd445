"""The admin's guide: it names every condition that we write, and nothing in it that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from manifests import K8S

from disentanglement import cluster

README = (K8S / "README.md").read_text()
TABLE = "\n".join(re.findall(r"^\| `.*?\|", README.partition("## Troubleshooting")[2], flags=re.MULTILINE))
SOURCES = [path.read_text() for path in Path(next(iter(cluster.__path__))).glob("*.py")]
REASONS = sorted(
    {
        reason
        for source in SOURCES
        for reason in re.findall(r"""(?:Problem|Refused|Obstacle)\(\s*"([A-Z][A-Za-z]+)\"""", source)
    }
)


def test_there_are_reasons_to_be_explained() -> None:
    assert {"InvalidSpec", "ImageNotPulled", "KueueMissing", "OtherContract"} <= set(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_a_condition_is_in_the_table(reason: str) -> None:
    assert f"`{reason}`" in README


@pytest.mark.parametrize("reason", re.findall(r"`([A-Z][A-Za-z]+)`(?=[^|]*\|)", TABLE))
def test_every_reason_in_the_table_is_one_that_we_write(reason: str) -> None:
    assert any(f'"{reason}"' in source for source in SOURCES)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\bk8s/[A-Za-z0-9_./-]*[A-Za-z0-9_]", README))))
def test_files_that_are_named_are_there(path: str) -> None:
    assert (K8S.parent / path).exists()


def test_lines_are_not_longer_than_the_others() -> None:
    lines = [line for line in README.splitlines() if not line.startswith("|")]
    assert max(map(len, lines)) <= 150
