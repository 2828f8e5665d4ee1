"""Runs a launch file as `ros2 launch` does and writes how each of its processes ended.

run_launch.py FILE ENDED.json name:=value ...
"""

import json
import sys
from pathlib import Path

from launch.actions import IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import AnyLaunchDescriptionSource

from launch import LaunchDescription, LaunchService


def main(file: str, ended_file: str, *arguments: str) -> int:
    ended = []

    def note(event, context):
        ended.append([event.process_name, event.returncode])
        Path(ended_file).write_text(json.dumps(ended))

    service = LaunchService()
    service.include_launch_description(LaunchDescription([
        RegisterEventHandler(OnProcessExit(on_exit=note)),
        IncludeLaunchDescription(
            AnyLaunchDescriptionSource(file),
            launch_arguments=[tuple(argument.split(":=", 1)) for argument in arguments],
        ),
    ]))  # fmt: skip
    return service.run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
