"""The command `coedge`."""

from __future__ import annotations

import argparse
import importlib
import sys

from coedge_ros.errors import UserError

# Name of the command, and what `coedge --help` says of it. Modules are imported when their command is used.
COMMANDS = {
    "demo": "real pictures answered by a cluster of workers on this machine, and a table",
    "up": "start a cluster, as cluster.launch.py does where ROS's launch is installed",
    "watch": "show a running cluster in the terminal, live: workers, plan, frames, what happened",
    "record": "record what a cluster says, and images if wanted, as an MCAP file",
    "play": "play the images of an MCAP file as the camera of a cluster",
    "bench": "measure whole model, ceiling and cluster over DDS in turn",
    "chaos": "break a running cluster on purpose and count what became of the frames",
    "doctor": "check this host, or the running cluster, and say what to change",
    "profile": "measure stage times and message costs of this host, for the planner",
    "verify": "compare a banded model with the whole model, every tensor at every cut",
    "plan": "show and explain a plan before anything runs",
    "compare": "compare planners over models, deadlines and links",
    "security": "write the SROS2 policy of a cluster: who may publish, subscribe and reply what",
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code: 2 for the user's mistake, told in one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="coedge", description="Several robots and edge boxes run one CNN together.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((a for a in arguments if not a.startswith("-")), None)
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == chosen:
            importlib.import_module(f"coedge_ros.cli.{name}").add_arguments(sub)
    parsed = parser.parse_args(arguments)
    try:
        return importlib.import_module(f"coedge_ros.cli.{parsed.command}").run(parsed)
    except UserError as error:
        print(f"coedge {parsed.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
