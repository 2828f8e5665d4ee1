"""Parameters of the worker."""

from __future__ import annotations

from coedge_ros.nodes.data_parameters import DATA_PARAMETERS
from coedge_ros.nodes.model_parameters import MODEL_PARAMETERS
from coedge_ros.nodes.parameters import Parameter

PARAMETERS = (
    *MODEL_PARAMETERS,
    Parameter("worker_name", "", "Name in the cluster; empty for the node's name.", read_only=True),
    Parameter("host_name", "", "Name of its host in the cluster; empty for the computer's own name.", read_only=True),
    Parameter("manager_host", "", "Name of the manager's host; empty for the same as this one.", read_only=True),
    Parameter("threads", 1, "Threads that torch computes with.", "threads", 1, 256, read_only=True),
    Parameter("device", "cpu", "Device that it computes on; this version: cpu only.", read_only=True),
    Parameter("status_rate_hz", 5.0, "Status messages per second.", "Hz", 0.5, 50.0, read_only=True),
    Parameter("idle_w", 1.3, "Modelled power when it does nothing.", "W", 0.0, 10000.0, read_only=True),
    Parameter("compute_w", 6.5, "Modelled power while it computes.", "W", 0.0, 10000.0, read_only=True),
    Parameter("transmit_w", 3.0, "Modelled power while it sends.", "W", 0.0, 10000.0, read_only=True),
    *DATA_PARAMETERS,
)
