"""The example of a downstream package is complete: manifest, set-up, launch file. What its node does: test/cluster."""

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package
from support import launch_stub

from coedge_ros.nodes.launching import CLUSTER_ARGUMENTS

EXAMPLE = Path(__file__).parents[2] / "examples" / "coedge_consumer"


def test_the_manifest_is_valid_and_names_what_is_imported():
    warnings = []
    package = parse_package(str(EXAMPLE / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert not warnings and package.get_build_type() == "ament_python"
    declared = {dependency.name for dependency in package.exec_depends}
    for path in (*EXAMPLE.glob("coedge_consumer/*.py"), *EXAMPLE.glob("launch/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {m.partition(".")[0] for m in modules} <= declared | set(sys.stdlib_module_names)


def test_its_launch_file_starts_a_cluster_in_a_namespace_on_the_robots_camera(monkeypatch):
    launch_stub.install(monkeypatch)
    _, made = launch_stub.run(EXAMPLE / "launch" / "stop.launch.py")
    (cluster,) = (m for m in made if m.kind == "IncludeLaunchDescription")
    given = dict(cluster.options["launch_arguments"])
    assert set(given) <= set(CLUSTER_ARGUMENTS)
    assert given["source"] == "" and given["image_topic"].args == ("image",)
    (node,) = (m.options for m in made if m.kind == "Node")
    assert node["namespace"] == given["namespace"]
    assert (node["package"], node["executable"]) == ("coedge_consumer", "stop_node")


def test_pip_installs_its_module_its_executable_and_its_share(tmp_path):
    source, target = tmp_path / "coedge_consumer", tmp_path / "target"
    shutil.copytree(EXAMPLE, source)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for file in (
        "coedge_consumer/stop_node.py",
        "bin/stop_node",
        "share/coedge_consumer/package.xml",
        "share/coedge_consumer/launch/stop.launch.py",
        "share/ament_index/resource_index/packages/coedge_consumer",
    ):
        assert (target / file).exists(), file


@pytest.mark.skipif(importlib.util.find_spec("colcon_core") is None, reason="colcon is not installed")
def test_colcon_builds_it(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "src" / "coedge_consumer")
    command = [sys.executable, "-m", "colcon", "build", "--packages-select", "coedge_consumer"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    installed = tmp_path / "install" / "coedge_consumer"
    assert (installed / "lib" / "coedge_consumer" / "stop_node").exists()
    assert (installed / "share" / "coedge_consumer" / "launch" / "stop.launch.py").exists()
