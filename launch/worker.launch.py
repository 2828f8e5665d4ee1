"""The workers of one host: run it on every host of the cluster.

ros2 launch coedge_ros worker.launch.py cluster:=my_robots.yaml host:=robot_2
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from coedge_ros.nodes.launching import WORKER_ARGUMENTS, actions_of, worker_options
from launch import LaunchDescription


def generate_launch_description():
    """Arguments, then DDS profile, then the workers that the cluster file puts on the host."""
    configurations = {name: LaunchConfiguration(name) for name in WORKER_ARGUMENTS}
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in WORKER_ARGUMENTS.items()
    ]
    nodes = OpaqueFunction(function=lambda context: actions_of(worker_options(context, configurations), context))
    return LaunchDescription([*arguments, nodes])
