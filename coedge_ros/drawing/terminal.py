"""The live picture of a cluster in a terminal: a pure function from plain values to something that rich prints."""

import math
import textwrap

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from coedge_ros.drawing.cluster_view import ClusterView, EventLine, FrameLines, Health, PlanLines, WorkerLine
from coedge_ros.drawing.palette import worker_color
from coedge_ros.drawing.views import format_joules, format_ms, format_percent

LEAST_WIDTH, LEAST_HEIGHT = 80, 20  # narrower or lower terminals cut off
_HEALTH = {
    Health.OK: "green",
    Health.SLOW: "yellow",
    Health.LOADING: "cyan",
    Health.RESTING: "yellow",
    Health.INACTIVE: "yellow",
    Health.ERROR: "bold red",
    Health.SILENT: "yellow",
    Health.LOST: "bold white on red",
}
_FIGURES = {"rows": 9, "compute": 7, "wait": 7, "J/frame": 7, "in  MB/s  out": 13, "speed": 5}  # and their columns
_ONLY_WIDE, _WIDE = ("wait", "in  MB/s  out"), 96  # left out in narrower tables
_STATES = {"active": "bold green", "alone": "bold red", "error": "bold red"}
_KINDS = {"good": "green", "bad": "red", "news": "default"}
_BAR = 8  # columns of a worker's load
_BARS = " ▁▂▃▄▅▆▇█"
_MIDDLE_LINES = 7  # of the panels of plan and frames, without their borders
_LEAST_EVENTS = 3


def draw_cluster(view: ClusterView, width: int = 100, height: int = 30) -> RenderableType:
    """The picture: at most `height` lines, none longer than `width` columns.

    Workers that do not fit are counted in the last line of their table; of the events the newest are shown.
    """
    width, height = max(width, LEAST_WIDTH), max(height, LEAST_HEIGHT)
    # one line of heading, borders of three panels, the heading of the workers' table
    room = height - 1 - 6 - 1 - _MIDDLE_LINES
    shown = max(1, min(max(1, len(view.workers)), room - _LEAST_EVENTS))
    left = (width - 2) // 2 - 3
    middle = Table.grid(padding=0, expand=False)
    middle.add_row(
        _panel(_plan_lines(view.plan, left - 4), "plan in force", left),
        _panel(_frame_lines(view.frames, width - left - 4), "frames", width - left),
    )
    return Group(
        _heading(view, width),
        _panel(_workers_table(view.workers, shown, width - 4), "workers", width),
        middle,
        _panel(_event_lines(view.events, room - shown, width - 4), "lately", width),
    )


def _panel(content: RenderableType, title: str, width: int) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="bright_black", width=width)


def _heading(view: ClusterView, width: int) -> Text:
    text = Text(" coedge ", style="bold reverse", no_wrap=True, overflow="ellipsis")
    text.append(f" /{view.namespace.strip('/')}  ", style="bold")
    text.append(view.state or "no manager heard", style=_STATES.get(view.state, "yellow"))
    room = width - len(text.plain) - len(view.clock) - 5
    if view.message and view.state != "active" and room > 10:  # while it is active, the panels say it
        text.append(f"  {textwrap.shorten(view.message, room, placeholder='...')}")
    text.append(" " * (width - len(text.plain) - len(view.clock) - 1) + view.clock, style="bright_black")
    return text


# -- workers ----------------------------------------------------------------------------------------------------------


def _workers_table(workers: tuple[WorkerLine, ...], shown: int, width: int) -> RenderableType:
    if not workers:
        return Group(Text("no worker heard", style="yellow"), Text(""))
    table = Table(box=None, padding=(0, 1, 0, 0), expand=False, width=width, header_style="bright_black")
    table.add_column("worker", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("state", no_wrap=True, width=12)
    table.add_column("load", no_wrap=True, width=_BAR + 5)
    figures = [index for index, name in enumerate(_FIGURES) if width >= _WIDE or name not in _ONLY_WIDE]
    for name, columns in [list(_FIGURES.items())[index] for index in figures]:
        table.add_column(name, justify="right", no_wrap=True, width=columns)
    visible = workers if len(workers) <= shown else workers[: shown - 1]
    for worker in visible:
        name, state, load, *cells = _worker_cells(worker)
        table.add_row(name, state, load, *[cells[index] for index in figures if cells])
    if len(workers) > len(visible):
        rest = workers[len(visible) :]
        lost = sum(w.health is Health.LOST for w in rest)
        table.add_row(f"and {len(rest)} more", f"{lost} LOST" if lost else "")
    return table


def _worker_cells(worker: WorkerLine) -> list[Text]:
    is_gone = worker.health in (Health.SILENT, Health.LOST)
    color = "bright_black" if is_gone else "rgb({},{},{})".format(*worker_color(worker.color))
    faded = "bright_black" if worker.health is Health.LOST else "dim" if is_gone else ""
    name = Text("● " if not is_gone else "○ ", style=color).append(worker.name, style=faded or "bold")
    word = worker.health.value
    if is_gone and not math.isnan(worker.silent_s):
        word += f" {_age(worker.silent_s)}"
    if worker.health is Health.LOST:
        # What it did last is no news of it: an empty bar, and no figures.
        return [name, Text(word, style=_HEALTH[worker.health]), Text("░" * _BAR, style=faded)]
    cells = [
        f"{worker.rows} {format_percent(worker.share):>5}" if worker.rows else "-",
        format_ms(worker.compute_ms),
        format_ms(worker.wait_ms),
        format_joules(worker.energy_j),
        f"{_rate(worker.bytes_in_per_s)}  {_rate(worker.bytes_out_per_s)}",
        "-" if math.isnan(worker.speed) else f"{worker.speed:.2f}",
    ]
    slow = "yellow" if worker.health is Health.SLOW else faded
    styles = [faded] * 5 + [slow]
    return [
        name,
        Text(word, style=_HEALTH[worker.health]),
        _bar(worker.load, faded or ("red" if worker.load > 0.95 else color)),
        *(Text(cell, style=style) for cell, style in zip(cells, styles, strict=True)),
    ]


def _age(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _rate(bytes_per_s: float) -> str:
    """Megabytes per second in five columns."""
    if math.isnan(bytes_per_s):
        return "    -"
    mega = bytes_per_s / 1e6
    return f"{mega:5.2f}" if mega < 10 else f"{mega:5.1f}" if mega < 1000 else f"{mega:5.0f}"


def _bar(load: float, style: str, columns: int = _BAR) -> Text:
    if math.isnan(load):
        return Text("░" * columns + "    -", style=style)
    full = round(columns * min(max(load, 0.0), 1.0))
    return Text("█" * full, style=style).append("░" * (columns - full), style="bright_black").append(
        f" {100 * load:3.0f}%"
    )  # fmt: skip


# -- plan and frames --------------------------------------------------------------------------------------------------


def _fact(name: str, *parts: tuple[str, str] | str) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis").append(f"{name:<11}", style="bright_black")
    for part in parts:
        text.append(*part) if isinstance(part, tuple) else text.append(part)
    return text


def _filled(lines: list[Text]) -> Group:
    return Group(*lines[:_MIDDLE_LINES], *[Text("")] * (_MIDDLE_LINES - len(lines)))


def _plan_lines(plan: PlanLines, width: int) -> Group:
    if not plan.epoch:
        return _filled([Text("none yet", style="yellow")])
    energy = "" if math.isnan(plan.predicted_j) else f", {format_joules(plan.predicted_j)}"
    lines = [
        _fact("plan", (f"{plan.epoch}", "bold"), f"  by {plan.planner} for {plan.objective}"),
        _fact("model", plan.model),
        _fact("predicted", f"{format_ms(plan.predicted_ms)}{energy} a frame"),
        _fact("deadline", format_ms(plan.deadline_ms) if plan.deadline_ms else "none"),
        _fact("stages", f"{plan.stages}, head on {plan.head}"),
        _fact("rows", *_bands(plan.bands, width - 11)),
    ]
    return _filled(lines + [_fact("link", text) for text in plan.links[:1]])


def _bands(bands: tuple[tuple[int, int], ...], columns: int) -> list[tuple[str, str]]:
    """The image from top to bottom, laid on its side: each worker's rows in its colour."""
    total, done, parts = sum(rows for _, rows in bands), 0, []
    for color, rows in bands:
        start, done = done, done + rows
        cells = round(columns * done / total) - round(columns * start / total) if total else 0
        label = str(rows) if cells > len(str(rows)) + 1 else ""
        red, green, blue = worker_color(color)
        parts.append((label.center(cells), f"black on rgb({red},{green},{blue})"))
    return parts


def _frame_lines(frames: FrameLines, width: int) -> Group:
    dropped = sum(count for _, count in frames.dropped)
    reason = max(frames.dropped, key=lambda pair: pair[1])[0] if dropped else ""
    checks = "none seen"
    if frames.checked:
        checks = f"{frames.checked} seen, off by at most {frames.check_ratio:.0e}"
    history = _spark(frames.history_ms[-(width - 11) :])
    lines = [
        _fact("latency", "p50 ", (format_ms(frames.p50_ms), "bold"), "  p99 ", (format_ms(frames.p99_ms), "bold")),
        _fact("", (history, "cyan")),
        _fact("rate", (f"{frames.per_s:.1f}", "bold"), f" /s, {frames.answered} of {frames.accepted} answered"),
        _fact("dropped", _count(dropped), f"  {reason}"),
        _fact("lost", _count(frames.lost), "  late ", _count(frames.late), "  issued again ", _count(frames.again)),
        _fact("fallbacks", _count(frames.fallbacks), "  answers by the manager alone"),
        _fact(
            "self-check", (frames.doubt, "bold red") if frames.doubt else (checks, "green" if frames.checked else "")
        ),
    ]
    return _filled(lines)


def _count(number: int) -> tuple[str, str]:
    return str(number), "yellow" if number else "green"


def _spark(values: tuple[float, ...]) -> str:
    """Little bars from nothing to the largest value; a gap for NaN."""
    most = max((v for v in values if not math.isnan(v)), default=0.0)
    if most <= 0:
        return ""
    return "".join(" " if math.isnan(v) else _BARS[max(1, round(v / most * (len(_BARS) - 1)))] for v in values)


# -- events -----------------------------------------------------------------------------------------------------------


def _event_lines(events: tuple[EventLine, ...], room: int, width: int) -> Group:
    """The newest events that fit, the newest last; long ones go on in the next line."""
    blocks: list[list[Text]] = []
    left = room
    for event in reversed(events):
        indent = len(event.clock) + 2
        rows = textwrap.wrap(event.text, max(20, width - indent)) or [""]
        if len(rows) > left:
            break
        left -= len(rows)
        block = [Text(f"{event.clock}  ", style="bright_black").append(rows[0], style=_KINDS[event.kind])]
        block += [Text(" " * indent).append(row, style=_KINDS[event.kind]) for row in rows[1:]]
        blocks.append(block)
    lines = [line for block in reversed(blocks) for line in block]
    return Group(*lines, *[Text("")] * (room - len(lines)))
