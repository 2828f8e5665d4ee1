"""Arguments of the launch files, and nodes from process specs: the only file that imports `launch`, and only inside."""

from __future__ import annotations

from coedge_ros.nodes.camera_topics import topics_of_text
from coedge_ros.nodes.composition import PACKAGE, ClusterOptions, cluster_of, cluster_processes, dds_environment
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE

# name: (default, description)
_COMMON = {
    "cluster": ("", "Cluster file: workers, powers, links. Empty for the one that is shipped."),
    "model": ("mobilenet_v2", "Model: a zoo name, package.module:factory, or a .pt2 file."),
    "weights": ("imagenet", "File of weights, or imagenet or faces for the zoo's own; empty for random ones."),
    "height": ("0", "Input rows of the model; 0 for the model's own."),
    "width": ("0", "Input columns of the model; 0 for the model's own."),
    "namespace": (DEFAULT_NAMESPACE, "Namespace of all nodes and relative topics."),
    "enclave": ("", "Prefix of the SROS2 enclaves, as for `coedge security`: worker_1 runs in PREFIX/worker_1. Empty "
                "for none."),
    "autostart": ("true", "Whether manager and workers configure and activate themselves; else `ros2 lifecycle set`."),
    "use_sim_time": ("false", "Whether stamps come from /clock."),
    "log_level": ("info", "Log level of the nodes: debug, info, warn, error."),
}  # fmt: skip
_HOST = {"host": ("", "Start only the workers that the cluster file puts on this host. Empty for all.")}
_IMAGES = {
    "image_topic": ("image", "Topic of the images, relative to the namespace or absolute."),
    "image_topics": ("", "Topics of several cameras with commas between them, instead of image_topic."),
    "image_transport": ("raw", "How images come: raw, or compressed on TOPIC/compressed, as image_transport names it."),
    "source": ("example", "What the camera node publishes: folder, picture, video, webcam number, example, "
               "example_video. Empty for no camera node, when a robot's camera publishes image_topic."),
    "rate_hz": ("10.0", "Images per second of the camera node."),
    "loop": ("false", "Whether the camera node plays its source again and again."),
    "planner": ("fused", "How rows are shared out."),
    "objective": ("latency", "What is made small: latency, energy or throughput. Energy without a deadline splits "
                  "nothing, because the least energy is one worker."),
    "deadline_s": ("0.0", "Latency deadline of a frame in seconds; 0 for none."),
    "deadline_factor": ("0.0", "Deadline as a multiple of the predicted best single worker, instead of deadline_s."),
    "codec": ("raw", "Coarsest coding of rows between workers: raw, float16, int8. Used where it pays."),
    "self_check_every": ("0", "Recompute every Nth frame whole and compare; 0 for never."),
}  # fmt: skip
_RVIZ = {"rviz": ("false", "Open rviz with the package's configuration.")}

CLUSTER_ARGUMENTS = {**_COMMON, **_HOST, **_IMAGES, **_RVIZ}
WORKER_ARGUMENTS = {**_COMMON, **_HOST}
MANAGER_ARGUMENTS = {**_COMMON, **_IMAGES}


def _values(context, configurations) -> dict[str, str]:
    """Texts of the launch arguments; a pair of quotes is empty, because `ros2 launch` refuses `source:=`."""
    values = {name: configuration.perform(context) for name, configuration in configurations.items()}
    return {name: "" if text in ("''", '""') else text for name, text in values.items()}


def _common(values: dict[str, str]) -> dict:
    return {
        **{name: values[name] for name in ("cluster", "model", "weights", "namespace", "enclave")},
        "use_sim_time": values["use_sim_time"].lower() == "true",
        "autostart": values["autostart"].lower() == "true",
        "height": int(values["height"]),
        "width": int(values["width"]),
    }


def _manager(values: dict[str, str]) -> dict:
    return {
        "image_topic": values["image_topic"],
        "image_topics": topics_of_text(values["image_topics"]),
        "image_transport": values["image_transport"],
        "source": values["source"],
        "camera": {
            "rate_hz": float(values["rate_hz"]),
            "loop": values["loop"].lower() == "true",
            "wait_for_subscribers": 2,
            "wait_timeout_s": 300.0,
        },
        "manager": {
            "planner": values["planner"],
            "objective": values["objective"],
            "deadline_s": float(values["deadline_s"]),
            "deadline_factor": float(values["deadline_factor"]),
            "codec": values["codec"],
            "self_check_every": int(values["self_check_every"]),
        },
    }


def cluster_options(context, configurations) -> ClusterOptions:
    """Options of cluster.launch.py."""
    values = _values(context, configurations)
    return ClusterOptions(**_common(values), **_manager(values), host=values["host"])


def worker_options(context, configurations) -> ClusterOptions:
    """Options of worker.launch.py."""
    values = _values(context, configurations)
    return ClusterOptions(**_common(values), host=values["host"], with_manager=False)


def manager_options(context, configurations) -> ClusterOptions:
    """Options of manager.launch.py."""
    values = _values(context, configurations)
    return ClusterOptions(**_common(values), **_manager(values), with_workers=False)


def actions_of(options: ClusterOptions, context) -> list:
    """Launch actions: the DDS profile that fits the cluster's network, then the processes."""
    from launch.actions import SetEnvironmentVariable
    from launch_ros.actions import Node

    level = context.launch_configurations.get("log_level", "info")
    variables = dds_environment(cluster_of(options.cluster).network)
    profile = [SetEnvironmentVariable(name, value) for name, value in variables.items()]
    return profile + [
        Node(
            package=PACKAGE,
            executable=spec.executable,
            name=spec.name,
            namespace=spec.namespace,
            parameters=[_as_parameters(spec.parameters)],
            remappings=list(spec.remappings),
            arguments=["--ros-args", "--log-level", level, *(["--enclave", spec.enclave] if spec.enclave else [])],
            additional_env=spec.environment,
            output="screen",
        )
        for spec in cluster_processes(options)
    ]


def _as_parameters(values: dict) -> dict:
    """Lists as lists; launch would read an empty text as nothing, so those parameters keep their defaults."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v != ""}
