"""Every file belongs to pip: an install is complete, and an uninstall leaves nothing."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Wheel of the checkout; seconds, because the CMake build of the installed package is reused."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", folder, CHECKOUT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.timeout(300)
def test_the_wheel_has_every_module_of_the_checkout_and_no_other(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("coedge_ros/") and name.endswith(".py")}
    generated = {name for name in packed if name.startswith(("coedge_ros/msg/", "coedge_ros/srv/"))}
    assert generated
    assert packed - generated == {str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("coedge_ros/**/*.py")}


@pytest.mark.timeout(300)
def test_uninstall_leaves_no_file_and_no_folder(wheel, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=60)
    before = set(environment.rglob("*"))
    pip("--python", environment, "install", "--no-deps", "--no-index", wheel)
    installed = {str(path.relative_to(environment)) for path in environment.rglob("*")}
    assert {
        "bin/coedge",
        "lib/coedge_ros/worker",
        "lib/libcoedge_ros__rosidl_typesupport_fastrtps_c.so",
        "share/ament_index/resource_index/packages/coedge_ros",
        "share/coedge_ros/package.xml",
    } <= installed
    pip("--python", environment, "uninstall", "--yes", "coedge_ros")
    # Folders such as share/ament_index belong to all ROS packages together; here, alone, they stay and are empty.
    left = {path for path in environment.rglob("*") if path.is_file() or "coedge" in str(path.relative_to(environment))}
    assert left <= before
