"""The package that the tests see is the installed one, and complete."""

import importlib
import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ament_index_python import get_package_prefix, get_package_share_directory, get_resource

import coedge_ros

CHECKOUT = Path(__file__).parents[2]
MESSAGES = sorted(path.stem for path in CHECKOUT.glob("msg/*.msg"))
EXECUTABLES = ["camera", "coedge", "load_visualizer", "partition_manager", "worker"]


@pytest.fixture(autouse=True)
def _ament_index(monkeypatch):
    """A ROS installation sets this when it is sourced; an environment of wheels needs no sourcing and sets nothing."""
    if not os.environ.get("AMENT_PREFIX_PATH"):
        monkeypatch.setenv("AMENT_PREFIX_PATH", sys.prefix)


def test_the_imported_package_is_not_the_checkout():
    assert CHECKOUT / "coedge_ros" not in Path(coedge_ros.__file__).parents


def test_the_package_keeps_an_empty_init_because_the_generated_one_is_empty_too():
    assert Path(coedge_ros.__file__).read_text() == ""


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_importable_and_has_its_type_support(name):
    message = getattr(importlib.import_module("coedge_ros.msg"), name)
    message.__class__.__import_type_support__()
    assert message.__class__._TYPE_SUPPORT is not None


def test_the_ament_index_knows_the_package_and_its_interfaces():
    content, _ = get_resource("rosidl_interfaces", "coedge_ros")
    assert {f"msg/{name}.msg" for name in MESSAGES} <= set(content.split())
    assert Path(get_package_prefix("coedge_ros")) in Path(coedge_ros.__file__).parents


@pytest.mark.parametrize("name", EXECUTABLES)
def test_an_executable_runs_on_this_interpreter(name):
    path = Path(get_package_prefix("coedge_ros"), "lib", "coedge_ros", name)
    assert os.access(path, os.X_OK)
    named = path.read_text().split("import sys")[0]
    assert any(f"{Path(sys.prefix, 'bin', link)}" in named for link in ("python", "python3")), named


@pytest.mark.parametrize("name, code", [("worker", 0), ("coedge", 130)])
def test_ctrl_c_while_an_executable_still_imports_ends_it_without_a_traceback(name, code):
    path = Path(get_package_prefix("coedge_ros"), "lib", "coedge_ros", name)
    # The first of our imports waits, as torch's does on a busy machine; whatever started the tests may ignore SIGINT.
    slow = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Slow:\n"
        "    def find_spec(name, *_):\n"
        "        if name.startswith('coedge_ros.'): print(flush=True), time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow)\n"
    )
    run = f"import runpy; sys.argv = [{str(path)!r}]; runpy.run_path({str(path)!r}, run_name='__main__')"
    process = subprocess.Popen([sys.executable, "-c", slow + run], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (code, b"")


@pytest.mark.parametrize("folder", ["config", "launch"])
def test_every_shared_file_is_installed(folder):
    share = Path(get_package_share_directory("coedge_ros"))
    files = [path.relative_to(CHECKOUT) for path in (CHECKOUT / folder).rglob("*") if path.is_file()]
    missing = [str(path) for path in files if "__pycache__" not in path.parts and not (share / path).is_file()]
    assert not missing


def test_the_version_is_that_of_package_xml():
    version = ElementTree.parse(CHECKOUT / "package.xml").findtext("version")
    assert importlib.metadata.version("coedge_ros") == version
