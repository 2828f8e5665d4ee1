"""Parameters of the worker."""

from __future__ import annotations

from coedge_ros.nodes.data_parameters import DATA_PARAMETERS
from coedge_ros.nodes.managed import AUTOSTART
from coedge_ros.nodes.model_parameters import MODEL_PARAMETERS, SWITCHABLE_MODELS
from coedge_ros.nodes.parameters import Parameter
from coedge_ros.profiling.meters import SOURCES

PARAMETERS = (
    *MODEL_PARAMETERS,
    SWITCHABLE_MODELS,
    AUTOSTART,
    Parameter("worker_name", "", "Name in the cluster; empty for the node's name.", read_only=True),
    Parameter("host_name", "", "Name of its host in the cluster; empty for the computer's own name.", read_only=True),
    Parameter("manager_host", "", "Name of the manager's host; empty for the same as this one.", read_only=True),
    Parameter("threads", 1, "Threads that torch computes with.", "threads", 1, 256, read_only=True),
    Parameter("device", "cpu", "Device that it computes on: cpu, cuda or cuda:N.", read_only=True),
    Parameter("profile_budget_s", 2.0, "Time to measure its speed in.", "s", 0.0, 600.0, read_only=True),
    Parameter("profile_cache", True, "Keep its speed on disk for the next start.", read_only=True),
    Parameter("status_rate_hz", 5.0, "Status messages per second.", "Hz", 0.5, 50.0, read_only=True),
    Parameter("idle_w", 1.3, "Modelled power when it does nothing.", "W", 0.0, 10000.0, read_only=True),
    Parameter("compute_w", 6.5, "Modelled power while it computes.", "W", 0.0, 10000.0, read_only=True),
    Parameter("transmit_w", 3.0, "Modelled power while it sends.", "W", 0.0, 10000.0, read_only=True),
    Parameter(
        "power_source", "modelled", "What power is read from: modelled, auto (what the host has), rapl or ina.",
        choices=SOURCES, read_only=True,
    ),
    Parameter("sysfs_root", "/sys", "Folder with sensors, as Linux has it.", read_only=True),
    Parameter("battery_topic", "", "Topic of sensor_msgs/BatteryState; empty for none.", read_only=True),
    Parameter(
        "battery_floor", 0.0, "Below this part of its capacity it is not used; 0 for no floor.", "", 0.0, 1.0,
        read_only=True,
    ),
    Parameter(
        "max_temperature_c", 0.0, "Above this temperature it is not used; 0 for no limit.", "degrees Celsius",
        0.0, 150.0, read_only=True,
    ),
    Parameter(
        "flight_record",
        "",
        "Folder in which it keeps a file that says at which stage of which frame it is.",
        read_only=True,
    ),
    *DATA_PARAMETERS,
)  # fmt: skip
