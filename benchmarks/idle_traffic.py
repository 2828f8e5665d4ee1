"""What each node of a cluster sends when there are no images: active, and deactivated by `ros2 lifecycle set`.

    python benchmarks/idle_traffic.py --json benchmarks/results/idle_traffic.json

Needs root: manager and two workers are on a host of their own each, network namespaces of this machine, and the bytes
are those that leave the host, discovery and headers included. A fourth host listens to all statuses, as a screen does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from coedge_ros.cli.namespaces import Hosts, subnet_discovery, why_no_namespaces
from coedge_ros.nodes.composition import PROFILE_VARIABLES, dds_profile

HOSTS = {"partition_manager": "lead", "worker_1": "robot1", "worker_2": "robot2"}
WATCH = "watch"
MEASURE_S, SETTLE_S, START_S = 10.0, 5.0, 90.0
LIMIT_KB_PER_S = 20.0


def sent_bytes(hosts: Hosts, host: str) -> int:
    """Bytes that have left a host."""
    command = hosts.on(host, ["cat", "/sys/class/net/uplink/statistics/tx_bytes"])
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def rates(hosts: Hosts, listen) -> dict[str, float]:
    """Kilobytes per second that each node's host sends."""
    listen(SETTLE_S)
    before, began_s = {node: sent_bytes(hosts, host) for node, host in HOSTS.items()}, time.monotonic()
    listen(MEASURE_S)
    took_s = time.monotonic() - began_s
    return {node: (sent_bytes(hosts, host) - before[node]) / 1e3 / took_s for node, host in HOSTS.items()}


def measure(folder: Path) -> dict:
    """Rates of an active and an inactive cluster, and how long activation took until the manager was active again."""
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    from coedge_ros.msg import ManagerStatus
    from coedge_ros.nodes.collector import Listening
    from coedge_ros.nodes.composition import ClusterOptions, cluster_processes
    from coedge_ros.nodes.processes import ProcessGroup

    values = {
        "hosts": [{"name": host} for host in HOSTS.values()],
        "workers": [{"name": name, "host": HOSTS[name]} for name in ("worker_1", "worker_2")],
        "links": {"default": {"alpha_s": 0.0005, "bytes_per_s": 12.5e6}},
        "manager": {"host": HOSTS["partition_manager"]},
    }
    file = folder / "cluster.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    options = ClusterOptions(cluster=str(file), weights="", source="", with_visualizer=False)

    with Hosts((WATCH, *HOSTS.values())) as hosts:

        class Spread(ProcessGroup):
            def _command(self, spec) -> list[str]:
                return hosts.on(HOSTS[spec.name], super()._command(spec))

        with Spread(output=folder) as group, Listening("coedge", int(os.environ["ROS_DOMAIN_ID"])) as listening:
            group.start(cluster_processes(options))

            def listen(seconds: float) -> None:
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    listening.spin(0.02)

            def until_active() -> None:
                end = time.monotonic() + START_S
                while (listening.record.status or ManagerStatus()).state != ManagerStatus.STATE_ACTIVE:
                    assert time.monotonic() < end, group.log_of("partition_manager").read_text()
                    listening.spin(0.02)

            def set_all(transition: int) -> None:
                for node in HOSTS:
                    client = listening.node.create_client(ChangeState, f"/coedge/{node}/change_state")
                    while not client.service_is_ready():
                        listening.spin(0.02)
                    done = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
                    while not done.done():
                        listening.spin(0.02)
                    assert done.result().success, node

            until_active()
            active = rates(hosts, listen)
            set_all(Transition.TRANSITION_DEACTIVATE)
            inactive = rates(hosts, listen)
            set_all(Transition.TRANSITION_ACTIVATE)
            return {"active_kb_per_s": active, "inactive_kb_per_s": inactive}


def main() -> int:
    """Measure, print a table, write the JSON; 1 when an inactive node sends more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    if why := why_no_namespaces():
        console.print(why)
        return 2
    with tempfile.TemporaryDirectory(prefix="coedge_") as name, subnet_discovery():
        folder = Path(name)
        profile = str(dds_profile("wired_worker"))  # namespaces share /dev/shm, hosts do not
        os.environ.update(dict.fromkeys(PROFILE_VARIABLES, profile))  # read when the first node is made
        os.environ.setdefault("ROS_DOMAIN_ID", "77")
        found = measure(folder)
    table = Table("node", "active, no images [kB/s]", "inactive [kB/s]")
    for node in HOSTS:
        table.add_row(node, *(f"{found[kind][node]:.1f}" for kind in ("active_kb_per_s", "inactive_kb_per_s")))
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(max(found["inactive_kb_per_s"].values()) > LIMIT_KB_PER_S)


if __name__ == "__main__":
    raise SystemExit(main())
