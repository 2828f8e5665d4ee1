"""Imports point one way (contracts in pyproject.toml), and the tool that says so can say otherwise."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)


@pytest.fixture
def copy(tmp_path) -> Path:
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    shutil.copytree(CHECKOUT / "coedge_ros", tmp_path / "coedge_ros", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_checkout_keeps_the_order():
    done = lint(CHECKOUT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("rows", "import coedge_ros.spec"),
        ("graph", "import coedge_ros.planning"),
        ("planning", "import coedge_ros.graph"),
        ("execution", "import coedge_ros.nodes"),
        ("spec", "import torch"),
        ("planning", "from rclpy.node import Node"),
        ("profiling", "def lazily():\n    import rclpy"),
    ],
)
def test_an_import_against_the_order_is_found(copy, folder, line):
    (copy / "coedge_ros" / folder / "wrong.py").write_text(line + "\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"coedge_ros.{folder}.wrong" in done.stdout


@pytest.mark.parametrize("folder", ["rows", "spec", "planning"])
def test_importing_every_module_of_a_pure_folder_loads_neither_torch_nor_ros(folder):
    modules = [
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
        for path in (CHECKOUT / "coedge_ros" / folder).rglob("*.py")
    ]
    code = f"import importlib, sys\nfor m in {modules}: importlib.import_module(m)\n"
    code += "print(sorted({'torch', 'rclpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
