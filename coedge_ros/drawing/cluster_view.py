"""What the terminal shows of a cluster, as plain values: no messages, no clocks. NaN stands for "not known"."""

import math
from dataclasses import dataclass, field
from enum import Enum


class Health(Enum):
    """How a worker is, in one word."""

    OK = "ok"
    SLOW = "slow"
    LOADING = "loading"
    RESTING = "resting"
    INACTIVE = "inactive"
    ERROR = "error"
    SILENT = "silent"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """One worker.

    Attributes
    ----------
    color : int
        Index into the palette, the same as in the pictures.
    silent_s : float
        How long nothing was heard of it, when it is SILENT or LOST [s]; NaN for one that was never heard.
    load : float
        Busy fraction, [0, 1].
    rows : int
        Rows of the model's input that the plan in force gives it.
    share : float
        Its part of all of those rows, [0, 1].
    compute_ms, wait_ms : float
        Mean per frame of the last seconds: in the model, and waiting for fragments [ms].
    energy_j : float
        Modelled energy per frame, mean of the last seconds [J].
    bytes_in_per_s, bytes_out_per_s : float
        Fragment bytes that it receives and sends.
    speed : float
        Its speed now, as a factor on that at its start.
    """

    name: str
    color: int
    health: Health
    silent_s: float = 0.0
    load: float = math.nan
    rows: int = 0
    share: float = math.nan
    compute_ms: float = math.nan
    wait_ms: float = math.nan
    energy_j: float = math.nan
    bytes_in_per_s: float = math.nan
    bytes_out_per_s: float = math.nan
    speed: float = math.nan


@dataclass(frozen=True, slots=True)
class PlanLines:
    """The plan in force; epoch 0 when there is none.

    Attributes
    ----------
    predicted_ms, predicted_j : float
        Latency [ms] and energy [J] of a frame, as the planner predicted them.
    deadline_ms : float
        Latency deadline [ms]; 0 for none.
    bands : tuple of (int, int)
        Colour of each worker and its rows of the model's input, from top to bottom.
    links : tuple of str
        What links between hosts carry now, one sentence each.
    """

    epoch: int = 0
    planner: str = ""
    objective: str = ""
    model: str = ""
    stages: int = 0
    head: str = ""
    predicted_ms: float = math.nan
    predicted_j: float = math.nan
    deadline_ms: float = 0.0
    bands: tuple[tuple[int, int], ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FrameLines:
    """The frames.

    Attributes
    ----------
    p50_ms, p99_ms : float
        Latency of the last seconds: image message in to result message out [ms].
    per_s : float
        Answers per second.
    history_ms : tuple of float
        Median latency second by second, oldest first; NaN for a second without answers.
    accepted, answered : int
        Since the manager's start.
    dropped : tuple of (str, int)
        Reasons and counts since the manager's start.
    lost : int
        Frames that were accepted and have no answer for seconds.
    fallbacks, again, late : int
        Of the answers heard: by the manager alone, issued more than once, past the deadline.
    checked, check_ratio : int, float
        Answers that were compared with the whole model, and the largest difference as a part of the answer's scale.
    doubt : str
        Why the workers are not believed; "" when they are.
    """

    p50_ms: float = math.nan
    p99_ms: float = math.nan
    per_s: float = 0.0
    history_ms: tuple[float, ...] = ()
    accepted: int = 0
    answered: int = 0
    dropped: tuple[tuple[str, int], ...] = ()
    lost: int = 0
    fallbacks: int = 0
    again: int = 0
    late: int = 0
    checked: int = 0
    check_ratio: float = math.nan
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class EventLine:
    """Something that happened: time of day as text, words, and whether it is `good`, `bad` or only `news`."""

    clock: str
    text: str
    kind: str = "news"


@dataclass(frozen=True, slots=True)
class ClusterView:
    """All that one picture shows. `state` is the manager's, "" while nothing was heard of it."""

    namespace: str
    clock: str = ""
    state: str = ""
    message: str = ""
    workers: tuple[WorkerLine, ...] = ()
    plan: PlanLines = field(default_factory=PlanLines)
    frames: FrameLines = field(default_factory=FrameLines)
    events: tuple[EventLine, ...] = ()
