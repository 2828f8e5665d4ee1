"""A whole cluster on one machine: workers, manager, visualizer and camera.

ros2 launch coedge_ros cluster.launch.py model:=mobilenet_v2 image_topic:=/camera/image_raw source:=''
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from coedge_ros.nodes.composition import share_folder
from coedge_ros.nodes.launching import CLUSTER_ARGUMENTS, actions_of, cluster_options
from launch import LaunchDescription


def generate_launch_description():
    """Arguments, then DDS profile, then the nodes that `cluster_processes` computes, then rviz."""
    configurations = {name: LaunchConfiguration(name) for name in CLUSTER_ARGUMENTS}
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in CLUSTER_ARGUMENTS.items()
    ]
    nodes = OpaqueFunction(function=lambda context: actions_of(cluster_options(context, configurations), context))
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        arguments=["-d", str(share_folder() / "config" / "coedge.rviz")],
        condition=IfCondition(configurations["rviz"]),
    )
    return LaunchDescription([*arguments, nodes, rviz])
