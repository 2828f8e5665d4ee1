"""Every page keeps its promises: links lead somewhere, commands and launch arguments exist, cluster files load."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from coedge_ros.cli.main import COMMANDS, main
from coedge_ros.nodes import launching
from coedge_ros.spec.cluster_file import load_cluster

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
ARGUMENTS = {
    "cluster.launch.py": launching.CLUSTER_ARGUMENTS,
    "worker.launch.py": launching.WORKER_ARGUMENTS,
    "manager.launch.py": launching.MANAGER_ARGUMENTS,
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def lines(page: Path) -> list[list[str]]:
    """Command lines of a page's shell blocks, in words, without what they pipe into."""
    found = []
    for kind, text in _BLOCK.findall(page.read_text()):
        if kind in ("sh", "bash"):
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(re.split(r"\s(?:\|\||&&|\||>)\s", line)[0], comments=True)
                found += [words] if words else []
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings_that_exist(page):
    broken = []
    for link in _LINK.findall(page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def _commands(page: Path) -> list[list[str]]:
    """Arguments of every `coedge` call: `coedge x`, `.venv/bin/coedge x`, `ros2 run coedge_ros coedge x`."""
    calls = []
    for words in lines(page):
        at = next((i for i, word in enumerate(words) if word == "coedge" or word.endswith("/coedge")), None)
        if at is not None and at + 1 < len(words) and words[at + 1] in COMMANDS and "..." not in words:
            calls.append(words[at + 1 :])
    return calls


def test_every_command_of_every_page_is_understood(monkeypatch):
    seen = 0
    for page in PAGES:
        for arguments in _commands(page):
            monkeypatch.setattr(importlib.import_module(f"coedge_ros.cli.{arguments[0]}"), "run", lambda _: 0)
            try:
                assert main(arguments) == 0
            except SystemExit:
                pytest.fail(f"{name_of(page)}: coedge {shlex.join(arguments)}")
            seen += 1
    assert seen >= 25


def test_every_launch_argument_of_every_page_exists():
    seen = 0
    for page in PAGES:
        for words in lines(page):
            known = next((ARGUMENTS[word] for word in words if word in ARGUMENTS), None)
            if known is not None:
                given = {word.partition(":=")[0] for word in words if ":=" in word}
                assert given <= set(known), f"{name_of(page)}: {given - set(known)}"
                seen += 1
    assert seen >= 5


def test_every_cluster_file_of_every_page_loads(tmp_path):
    seen = 0
    for page in PAGES:
        for kind, text in _BLOCK.findall(page.read_text()):
            if kind == "yaml" and "workers" in yaml.safe_load(text):
                path = tmp_path / "cluster.yaml"
                path.write_text(text)
                assert load_cluster(path).workers, name_of(page)
                seen += 1
    assert seen
