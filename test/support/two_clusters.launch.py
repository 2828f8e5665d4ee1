"""Two clusters in one graph: the installed cluster.launch.py, included twice.

One is moved as in a robot's launch file, by a namespace and remappings of a group; the other by the file's arguments.
"""

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import PushRosNamespace, SetRemap
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description():
    file = PathJoinSubstitution([FindPackageShare("coedge_ros"), "launch", "cluster.launch.py"])
    size = {"height": "97", "width": "131", "source": ""}
    common = size | {name: LaunchConfiguration(name) for name in ("cluster", "weights")}

    def cluster(**arguments):
        source = PythonLaunchDescriptionSource(file)
        return IncludeLaunchDescription(source, launch_arguments={**common, **arguments}.items())

    return LaunchDescription([
        DeclareLaunchArgument("cluster", description="Cluster file."),
        DeclareLaunchArgument("weights", description="File of weights."),
        GroupAction([
            PushRosNamespace("left"),
            SetRemap("image", "/left_camera/image_raw"),
            SetRemap("result", "/answers/left"),
            cluster(),
        ]),
        GroupAction([
            SetRemap("result", "/answers/right"),
            cluster(namespace="right", image_topic="/right_camera/image_raw"),
        ]),
    ])  # fmt: skip
