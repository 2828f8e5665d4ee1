"""Parameters of the partition manager."""

from __future__ import annotations

from coedge_ros.nodes.data_parameters import DATA_PARAMETERS
from coedge_ros.nodes.image_input import INPUT_PARAMETERS
from coedge_ros.nodes.managed import AUTOSTART
from coedge_ros.nodes.model_parameters import MODEL_PARAMETERS, SWITCHABLE_MODELS
from coedge_ros.nodes.parameters import Parameter
from coedge_ros.nodes.task_heads import TASK_PARAMETERS
from coedge_ros.spec.codec import CODECS

PARAMETERS = (
    *MODEL_PARAMETERS,
    SWITCHABLE_MODELS,
    AUTOSTART,
    Parameter(
        "cluster", "", "Cluster file: workers, powers, links; empty for the one that is shipped.", read_only=True
    ),
    Parameter("expected_workers", (), "Workers to wait for; empty for all of the cluster file.", read_only=True),
    Parameter("wait_for_workers_s", 30.0, "Plan without those that are not there by then.", "s", 0.0, 3600.0),
    Parameter("planner", "fused", "How rows are shared out.", read_only=True),
    Parameter("rows", "", "For planner manual: rows per worker, with commas; empty: equal.", read_only=True),
    Parameter("cuts", "layers", "For planner manual: layers, none, or operator indices with commas.", read_only=True),
    Parameter("objective", "energy", "What is made small.", choices=("energy", "latency", "throughput")),
    Parameter("deadline_s", 0.0, "Latency deadline of a frame; 0 for none.", "s", 0.0, 3600.0),
    Parameter(
        "deadline_factor",
        0.0,
        "Deadline as a multiple of the predicted best single worker, instead of deadline_s.",
        "",
        0.0,
        100.0,
    ),
    Parameter(
        "codec", "raw", "Coarsest coding of rows between workers; used where it pays.", choices=CODECS, read_only=True
    ),
    Parameter("frames_in_flight", 1, "Frames with the workers at the same time.", "frames", 1, 16, read_only=True),
    Parameter(
        "queue_frames",
        1,
        "Frames of a camera that wait; a newer one replaces the oldest.",
        "frames",
        1,
        1000,
        read_only=True,
    ),
    *INPUT_PARAMETERS,
    Parameter(
        "frame_timeout_s",
        2.0,
        "A frame unanswered for so long is issued again, later where frames take long anyway.",
        "s",
        0.05,
        600.0,
    ),
    Parameter("lost_after_s", 1.5, "A worker silent for so long is gone.", "s", 0.2, 60.0, read_only=True),
    Parameter(
        "suspect_after_s", 0.3, "The same for a worker that an overdue frame waits for.", "s", 0.2, 60.0, read_only=True
    ),
    Parameter(
        "track",
        True,
        "Estimate speeds and links while frames are served, and plan again when that pays.",
        read_only=True,
    ),
    Parameter("replan_margin", 0.1, "By which part another plan must be better than the one in force.", "", 0.01, 10.0),
    Parameter("replan_after_s", 0.8, "For how long speeds or links must have changed.", "s", 0.0, 3600.0),
    Parameter("self_check_every", 0, "Recompute every Nth frame whole and compare; 0 for never.", "frames", 0),
    *TASK_PARAMETERS,
    Parameter("publish_tensors", False, "Put the outputs themselves into the result."),
    *DATA_PARAMETERS,
)
