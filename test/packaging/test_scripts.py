"""The set-up says what is missing, and CI refuses a skip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
TOOLS = ["awk", "bash", "cat", "cut", "dirname", "env", "find", "grep", "mkdir", "realpath"]
TOOLS += ["rm", "sha256sum", "sort", "tail", "tee", "uname", "xargs"]


def set_up(folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """Run scripts/setup.sh from another folder with nothing on the path but the tools it may use."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name in TOOLS:
        if not (tools / name).exists():
            (tools / name).symlink_to(shutil.which(name))
    environment = {"PATH": str(tools), "COEDGE_VENV": str(folder / "venv"), **variables}
    return subprocess.run(
        ["/bin/bash", CHECKOUT / "scripts" / "setup.sh"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def python_without(folder: Path, *words: str) -> str:
    """Interpreter that fails for code with one of the words, as a Debian without its packages does."""
    path = folder / "some-python"
    cases = "".join(f"*{word}*) exit 1;;" for word in words)
    path.write_text(f'#!/bin/sh\ncase "$2" in {cases} esac\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_all_that_is_missing_is_named_at_once_with_the_line_that_installs_it(tmp_path):
    done = set_up(tmp_path, COEDGE_PYTHON=python_without(tmp_path, "ensurepip", "Python.h"))
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert done.returncode == 1
    assert f"sudo apt install {python}-venv {python}-dev g++" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_that_is_too_old_is_refused(tmp_path):
    done = set_up(tmp_path, COEDGE_PYTHON=python_without(tmp_path, "version_info"))
    assert done.returncode == 1
    assert "3.11" in done.stderr


def test_an_unknown_ros_distribution_is_refused(tmp_path):
    done = set_up(tmp_path, COEDGE_ROS_DISTRO="noetic")
    assert done.returncode == 1
    assert "neither kilted nor jazzy" in done.stderr


def test_a_folder_that_is_no_environment_is_never_removed(tmp_path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "thesis.tex").touch()
    done = set_up(tmp_path, COEDGE_PYTHON=python_without(tmp_path, "nothing"), CXX="/bin/sh")
    assert done.returncode == 1
    assert "no Python environment" in done.stderr
    assert (tmp_path / "venv" / "thesis.tex").exists()


@pytest.mark.parametrize("name", ["demo.sh", "test.sh", "setup.sh"])
def test_a_script_is_executable_and_parses(name):
    path = CHECKOUT / "scripts" / name
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True, timeout=10)


@pytest.mark.parametrize(
    ("allowed", "verdict"),
    [("", 1), ("test_b::needs_camera # no webcam on a server\n", 0), ("test_b::other # a reason\n", 1)],
)
def test_ci_refuses_a_skip_that_is_not_on_the_list(tmp_path, allowed, verdict):
    listing = tmp_path / "allowed.txt"
    for name in ("one", "two"):
        case = '<testcase classname="test_a" name="runs"/>'
        (tmp_path / f"{name}.xml").write_text(f'<testsuites><testsuite time="1.5">{case}</testsuite></testsuites>')
    (tmp_path / "three.xml").write_text(
        '<testsuites><testsuite time="1"><testcase classname="test_b" name="needs_camera">'
        '<skipped message="no camera"/></testcase>'
        "</testsuite></testsuites>"
    )
    listing.write_text(allowed)
    command = [sys.executable, CHECKOUT / ".ci" / "check_reports.py", tmp_path, listing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == verdict, done.stdout + done.stderr
    assert "test_b::needs_camera (no camera)" in done.stdout
    assert done.stdout.splitlines()[-1] == "===== 2 passed, 1 skipped in 4.00s ====="


def test_ci_refuses_a_run_without_a_test(tmp_path):
    listing = tmp_path / "allowed.txt"
    listing.write_text("")
    command = [sys.executable, CHECKOUT / ".ci" / "check_reports.py", tmp_path, listing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "no test was run"


def test_ci_refuses_an_allowed_skip_without_a_reason(tmp_path):
    listing = tmp_path / "allowed.txt"
    listing.write_text("test_b::needs_camera\n")
    command = [sys.executable, CHECKOUT / ".ci" / "check_reports.py", tmp_path, listing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "no reason" in done.stderr
