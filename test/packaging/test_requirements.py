"""Requirements are pinned, and what runs here is what is pinned."""

import importlib.metadata
import os
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "requirements"
INSTALLED = [f"ros-{os.environ.get('COEDGE_ROS_DISTRO', 'kilted')}.txt", "runtime.txt", "test.txt", "examples.txt"]


def lines_of(path: Path) -> list[str]:
    return [text for line in path.read_text().splitlines() if (text := line.partition("#")[0].strip())]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.name)
def test_every_requirement_names_one_version(path):
    assert lines_of(path)
    assert [line for line in lines_of(path) if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line)] == []


@pytest.mark.parametrize("name", INSTALLED)
def test_the_installed_versions_are_the_pinned_ones(name):
    differing = {}
    for line in lines_of(FOLDER / name):
        package, _, version = line.partition("==")
        installed = importlib.metadata.version(package)
        if installed.partition("+")[0] != version:  # "+cpu" names a build, not a version
            differing[package] = (version, installed)
    assert not differing
