"""Write the reference pages from the code: `.venv/bin/python scripts/reference.py`; `--check` only compares.

parameters.md from the nodes' declared parameters, topics.md from nodes/topics.py, nodes/qos.py and the calls that make
publishers and subscriptions, messages.md from msg/ and srv/. The code is the checkout's; generated messages are the
installed package's.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import coedge_ros

CHECKOUT = Path(__file__).resolve().parents[1]
NODES = CHECKOUT / "coedge_ros" / "nodes"
NOTE = "<!-- Written by scripts/reference.py from the code; edit the code, then run it again. -->"
TYPES = {bool: "bool", int: "integer", float: "double", str: "string", tuple: "string array"}

# Files that hold a part of a node; any other file is named itself.
PARTS = {
    "dds_channel": ("partition_manager", "worker"),
    "frame_server": ("partition_manager",),
    "host_report": ("worker",),
    "image_input": ("load_visualizer", "partition_manager"),
    "link_monitor": ("partition_manager", "worker"),
    "manager_status": ("partition_manager",),
    "plan_maker": ("partition_manager",),
    "stack_answers": ("partition_manager",),
    "worker_status": ("worker",),
}
# of the commands, not of a cluster
TOOLS = {
    "collector", "examination", "feeder", "fuzzing", "intruder", "link_end", "link_probe", "player", "recorder",
    "watcher",
}  # fmt: skip
PUBLISH, SUBSCRIBE = {"create_publisher", "_publisher"}, {"create_subscription", "subscribe", "_subscribe"}
# What is made through a variable: topic: (published by, subscribed by, profiles).
INDIRECT = {
    "FRAGMENTS": ({"partition_manager", "worker"}, {"partition_manager", "worker"}, {"fragments_qos"}),
    "FRAGMENT_REQUESTS": ({"partition_manager", "worker"}, {"partition_manager", "worker"}, {"FRAGMENT_REQUESTS"}),
    "LINK_PROBES": ({"partition_manager", "worker"}, set(), set()),
    "COMPRESSED_SUFFIX": (
        {"camera"},
        {"partition_manager", "load_visualizer"},
        {"CAMERA_INPUT", "CAMERA_INPUT_RELIABLE", "CAMERA_OUTPUT"},
    ),
    "IMAGE": (set(), {"partition_manager", "load_visualizer"}, {"CAMERA_INPUT", "CAMERA_INPUT_RELIABLE"}),
}
UNTOLD = {"DIAGNOSTICS": "diagnostic_msgs/DiagnosticArray"}  # types that the comments in topics.py do not begin with


def use_checkout() -> None:
    """Import the checkout's modules; what it lacks, the generated messages, comes from the installed package."""
    coedge_ros.__path__.insert(0, str(CHECKOUT / "coedge_ros"))


# -- parameters -------------------------------------------------------------------------------------------------------


def node_names() -> list[str]:
    """Nodes with parameters: those with a file in config/."""
    return sorted(path.name.removesuffix(".param.yaml") for path in (CHECKOUT / "config").glob("*.param.yaml"))


def parameters_page() -> str:
    """docs/reference/parameters.md."""
    lines = [NOTE, "# Parameters", ""]
    lines += [
        "Read-only parameters are set at start (launch argument, `config/*.param.yaml`, `-p name:=value`); dynamic "
        "ones also with `ros2 param set` while the node runs. A value out of range is refused with the reason.",
        "",
        "Images in, results, markers and pictures out have the QoS overrides that ROS 2 knows too: "
        "`qos_overrides.TOPIC.publisher|subscription.POLICY` with the absolute topic and history, depth, reliability "
        "or durability, read-only.",
        "",
    ]
    for node in node_names():
        lines += [f"## {node}", ""]
        lines += ["| name | type | default | range | unit | change | |", "|---|---|---|---|---|---|---|"]
        for p in importlib.import_module(f"coedge_ros.nodes.{node}").PARAMETERS:
            change = f"by `{p.changed_by}`" if p.changed_by else "read-only" if p.read_only else "dynamic"
            cells = [f"`{p.name}`", TYPES[type(p.default)], _value(p.default), _range(p), p.unit, change, p.text]
            lines.append(_row(cells))
        lines.append("")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, tuple)):
        return f"`{value}`" if value else "empty"
    return f"{value:,}".replace(",", " ") if isinstance(value, int) and value >= 10000 else str(value)


def _range(p: Any) -> str:
    if p.choices:
        return ", ".join(f"`{choice}`" for choice in p.choices)
    if p.minimum is None and p.maximum is None:
        return ""
    if p.maximum is None:
        return f"at least {_value(p.minimum)}"
    return f"at most {_value(p.maximum)}" if p.minimum is None else f"{_value(p.minimum)} to {_value(p.maximum)}"


# -- topics -----------------------------------------------------------------------------------------------------------


def topics_page() -> str:
    """docs/reference/topics.md."""
    found = _endpoints()
    lines = [NOTE, "# Topics and QoS", ""]
    lines += [
        "Names are relative: they live in the nodes' namespace (`coedge` unless you choose another) and can be "
        "remapped. `fragments` and `link_probes` have one topic per receiver below them, such as `fragments/worker_1`.",
        "",
        _row(["topic", "type", "published by", "read by", "QoS", ""]),
        "|---|---|---|---|---|---|",
    ]
    used = set()
    for constant, topic, text in _topic_lines():
        published, read, profiles = (sorted(part) for part in found[constant])
        used |= set(profiles)
        kind, rest = re.fullmatch(r"(?:((?:\w+/)?[A-Z][A-Za-z0-9]+)(?::| for) )?(.*)", text).groups()
        if not (kind := kind or UNTOLD.get(constant)):
            raise SystemExit(f"nodes/topics.py: let the comment of {constant} begin with the type of its messages")
        kind = f"`{kind if '/' in kind else 'coedge_ros/' + kind}`"
        links = ", ".join(f"[{name}](#{name.lower()})" for name in profiles)
        cells = [f"`{topic}`", kind, ", ".join(published), ", ".join(read), links, rest[:1].upper() + rest[1:]]
        lines.append(_row(cells))
    lines += ["", "One more, named by the worker's parameter `battery_topic`: `sensor_msgs/BatteryState`, with "
              "[BATTERY](#battery).", "", "## QoS profiles", ""]  # fmt: skip
    lines += ["A writer and a reader that do not fit are named in the log together with what to change.", ""]
    qos = importlib.import_module("coedge_ros.nodes.qos")
    for name, reason in _qos_reasons().items():
        profile = getattr(qos, name)
        lines += [f"### {name}", "", f"{_policies(profile)}. {reason}", ""]
    missing = used - set(_qos_reasons())
    if missing:
        raise SystemExit(f"nodes/qos.py gives no reason for {', '.join(sorted(missing))}: write a comment above it")
    return "\n".join(lines)


def _topic_lines() -> list[tuple[str, str, str]]:
    """Constant, topic and comment of each topic of nodes/topics.py."""
    text = (NODES / "topics.py").read_text()
    return [
        (found[1], f"image/{found[2]}" if found[1] == "COMPRESSED_SUFFIX" else found[2], found[3])
        for found in re.finditer(r'^([A-Z][A-Z_]*) = "([^"]+)"  # (.+)$', text, re.MULTILINE)
        if found[1] != "MANAGER"
    ]


def _endpoints() -> dict[str, tuple[set[str], set[str], set[str]]]:
    """Per topic constant: nodes that publish, nodes that subscribe, and QoS profiles."""
    found: dict[str, tuple[set[str], set[str], set[str]]] = defaultdict(lambda: (set(), set(), set()))
    for constant, parts in INDIRECT.items():
        for mine, more in zip(found[constant], parts, strict=True):
            mine |= more
    for path in sorted(NODES.glob("*.py")):
        if path.stem in TOOLS:
            continue
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            side = 0 if call.func.attr in PUBLISH else 1 if call.func.attr in SUBSCRIBE else None
            constant = next(iter(_attributes(call.args, "topics")), None)
            if side is None or constant is None:
                continue
            constant = constant.removesuffix("_topic").upper()
            found[constant][side].update(PARTS.get(path.stem, (path.stem,)))
            profiles = {name for name in _attributes(call.args, "qos") if not name.endswith("_events")}
            found[constant][2].update(*({"CAMERA_INPUT", "CAMERA_INPUT_RELIABLE"} if p == "camera_input" else {p}
                                        for p in profiles))  # fmt: skip
    return found


def _attributes(expressions: list[ast.expr], module: str) -> list[str]:
    """Names X of all `module.X` in the expressions."""
    return [
        node.attr
        for expression in expressions
        for node in ast.walk(expression)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    ]


def _qos_reasons() -> dict[str, str]:
    """Profiles of nodes/qos.py in their order, each with the comment above it, or a function's first sentence."""
    reasons, comment = {}, []
    shared = ""  # by profiles that follow each other without a comment of their own
    source = (NODES / "qos.py").read_text()
    for line in source.splitlines():
        if line.startswith("# "):
            comment.append(line[2:])
        elif found := re.match(r"([A-Z][A-Z_]*) = _profile\(", line):
            reasons[found[1]] = shared = " ".join(comment) or shared
            comment = []
        else:
            comment = []
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef) and function.name == "fragments_qos":
            first = ast.get_docstring(function).partition("\n")[0]
            reasons[function.name] = f"{first} The depth is the parameter `fragment_depth`."
    return reasons


def _policies(profile: Any) -> str:
    """A profile in words; of `fragments_qos` with an example depth, which is left out."""
    depth = None
    if callable(profile):
        profile = profile(1)
    else:
        depth = profile.depth
    words = [profile.reliability.name.lower().replace("_", " "), profile.durability.name.lower().replace("_", " ")]
    words += [f"keep last {depth}"] if depth else ["keep last"]
    for policy, text in (("deadline", "deadline"), ("liveliness_lease_duration", "liveliness lease")):
        seconds = getattr(profile, policy).nanoseconds / 1e9
        words += [f"{text} {seconds:g} s"] if 0 < seconds < 1e6 else []
    return ", ".join(words).capitalize()


# -- messages ---------------------------------------------------------------------------------------------------------


def messages_page() -> str:
    """docs/reference/messages.md."""
    lines = [NOTE, "# Messages and services", ""]
    for kind in ("msg", "srv"):
        for path in sorted((CHECKOUT / kind).glob(f"*.{kind}")):
            lines += [f"## coedge_ros/{kind}/{path.stem}", "", *_definition(path.read_text().splitlines()), ""]
    return "\n".join(lines).rstrip() + "\n"


def _definition(source: list[str]) -> list[str]:
    """Leading comment as text, then a table of constants and fields; `---` parts a request from its response."""
    lines, in_table, is_lead = [], False, True
    for line in source:
        text = line.strip()
        if text.startswith("#"):
            if is_lead:
                lines.append(text.lstrip("# "))
            else:
                lines, in_table = [*lines, "", f"**{text.lstrip('# ')}**", ""], False
        elif text == "---":
            lines, in_table, is_lead = [*lines, "", "Response:", ""], False, False
        elif text:
            is_lead = False
            if not in_table:
                lines += ["", _row(["field", "type", ""]), "|---|---|---|"]
                in_table = True
            declared, _, comment = text.partition("#")
            kind, _, name = declared.strip().partition(" ")
            lines.append(_row([f"`{name.strip()}`", f"`{kind}`", comment.strip()]))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).strip()).splitlines()


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells).replace("  ", " ") + " |"


# -- command ----------------------------------------------------------------------------------------------------------


def main() -> int:
    """Write or compare the pages; 1 when a page is not what would be written."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a page differs")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "docs" / "reference", help="where the pages are")
    args = parser.parse_args()
    use_checkout()
    pages = {"parameters.md": parameters_page(), "topics.md": topics_page(), "messages.md": messages_page()}
    differing = 0
    for name, text in pages.items():
        path = args.folder / name
        text = text.rstrip() + "\n"
        if args.check:
            if not path.exists() or path.read_text() != text:
                differing += 1
                print(f"{path} is not what the code says: run scripts/reference.py", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(path)
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
