"""A cluster in a namespace of its own on the robot's camera, and the node that reads its answers.

ros2 launch coedge_consumer stop.launch.py
ros2 launch coedge_consumer stop.launch.py image:=/camera/image_raw cluster:=my_robots.yaml host:=robot_1
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

NAMESPACE = "front_camera"


def generate_launch_description():
    """Arguments, then the cluster, then our node."""
    arguments = [
        DeclareLaunchArgument("image", default_value="/camera/image_raw", description="Topic of the images."),
        DeclareLaunchArgument("cluster", default_value="", description="Cluster file; empty for the shipped one."),
        DeclareLaunchArgument("host", default_value="", description="This host in the cluster file; empty for all."),
    ]
    cluster = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([FindPackageShare("coedge_ros"), "launch", "cluster.launch.py"])
        ),
        launch_arguments={
            "namespace": NAMESPACE,
            "image_topic": LaunchConfiguration("image"),
            "source": "",  # no camera node: the robot's own camera publishes
            "cluster": LaunchConfiguration("cluster"),
            "host": LaunchConfiguration("host"),
        }.items(),
    )
    stop = Node(
        package="coedge_consumer",
        executable="stop_node",
        namespace=NAMESPACE,
        parameters=[{"labels": ["person", "street sign", "traffic light"], "min_probability": 0.4}],
        remappings=[("stop", "/stop")],
        output="screen",
    )
    return LaunchDescription([*arguments, cluster, stop])
