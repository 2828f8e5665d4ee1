"""How planners look in the pictures of `coedge compare`: the same colour, mark and name everywhere."""

from dataclasses import dataclass

from coedge_ros.drawing.figures import QUIET, as_hex, hex_color
from coedge_ros.drawing.palette import WORKER_COLORS


@dataclass(frozen=True, slots=True)
class PlannerStyle:
    """Colour of areas and of lines, marker, and the name that people know."""

    label: str
    fill: str
    line: str
    marker: str


def _style(label: str, index: int, marker: str) -> PlannerStyle:
    line = as_hex(tuple(round(0.78 * part) for part in WORKER_COLORS[index]))
    return PlannerStyle(label, hex_color(index), line, marker)


_STYLES = {
    "local": PlannerStyle("best single worker", "#b9c0cb", "#aab2be", "s"),
    "modnn": _style("MoDNN", 1, "^"),
    "musical_chair": _style("Musical Chair", 3, "v"),
    "deepthings": _style("DeepThings", 5, "P"),
    "coedge": _style("CoEdge", 0, "D"),
    "exact": _style("exact, one share", 7, "X"),
    "fused": _style("fused (ours)", 2, "o"),
}


def planner_style(name: str) -> PlannerStyle:
    """Style of a planner; grey under its own name for one that is not known."""
    return _STYLES.get(name, PlannerStyle(name, QUIET, QUIET, "*"))
