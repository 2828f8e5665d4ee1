"""The manager and the visualizer alone: workers are started with worker.launch.py on their hosts.

ros2 launch coedge_ros manager.launch.py cluster:=my_robots.yaml image_topic:=/camera/image_raw
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from coedge_ros.nodes.launching import MANAGER_ARGUMENTS, actions_of, manager_options
from launch import LaunchDescription


def generate_launch_description():
    """Arguments, then DDS profile, then manager, visualizer and, when a source is named, camera."""
    configurations = {name: LaunchConfiguration(name) for name in MANAGER_ARGUMENTS}
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in MANAGER_ARGUMENTS.items()
    ]
    nodes = OpaqueFunction(function=lambda context: actions_of(manager_options(context, configurations), context))
    return LaunchDescription([*arguments, nodes])
