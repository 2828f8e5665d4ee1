"""A whole cluster on one machine: workers, manager, visualizer and camera.

ros2 launch coedge_ros cluster.launch.py model:=mobilenet_v2 image_topic:=/camera/image_raw source:="''"
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetLaunchConfiguration
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

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
    # Looked for before anything starts: launch that fails half-way leaves what it has started running.
    is_rviz = IfCondition(configurations["rviz"])
    rviz_found = SetLaunchConfiguration("rviz2_share", FindPackageShare("rviz2"), condition=is_rviz)
    nodes = OpaqueFunction(function=lambda context: actions_of(cluster_options(context, configurations), context))
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        arguments=["-d", str(share_folder() / "config" / "coedge.rviz")],
        condition=is_rviz,
    )
    return LaunchDescription([*arguments, rviz_found, nodes, rviz])
