"""Stands in for ROS's `launch` and `launch_ros`, which are not among the wheels: keeps what launch files make.

It shows that a launch file can be run and what it asks for, not that ROS's own launch does it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

NAMES = {
    "launch": ("LaunchDescription",),
    "launch.actions": (
        "DeclareLaunchArgument", "IncludeLaunchDescription", "OpaqueFunction", "SetEnvironmentVariable",
        "SetLaunchConfiguration",
    ),
    "launch.conditions": ("IfCondition",),
    "launch.launch_description_sources": ("PythonLaunchDescriptionSource",),
    "launch.substitutions": ("LaunchConfiguration", "PathJoinSubstitution"),
    "launch_ros": (),
    "launch_ros.actions": ("Node",),
    "launch_ros.substitutions": ("FindPackageShare",),
}  # fmt: skip


class Made:
    """Something a launch file has made: its kind and arguments."""

    def __init__(self, kind: str, *args, **options):
        self.kind, self.args, self.options = kind, args, options

    def perform(self, context) -> str:
        """Value of a launch configuration."""
        return context.launch_configurations[self.args[0]]


def install(monkeypatch) -> None:
    """Put the stub in the place of `launch` and `launch_ros` for a test."""
    for module, names in NAMES.items():
        made = ModuleType(module)
        for name in names:
            setattr(made, name, lambda *args, _kind=name, **options: Made(_kind, *args, **options))
        monkeypatch.setitem(__import__("sys").modules, module, made)


def run(path: Path, **arguments: str) -> tuple[dict[str, str], list[Made]]:
    """Run a launch file: its arguments as they are in the end, and all that it makes."""
    spec = importlib.util.spec_from_file_location(path.name.replace(".", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (made,) = module.generate_launch_description().args
    declared = {m.args[0]: m.options["default_value"] for m in made if m.kind == "DeclareLaunchArgument"}
    unknown = set(arguments) - set(declared)
    assert not unknown, f"{path.name} has no argument {unknown}"
    context = SimpleNamespace(launch_configurations={**declared, **arguments})
    found = []
    for one in made:
        found += one.options["function"](context) if one.kind == "OpaqueFunction" else [one]
    return context.launch_configurations, found
