"""The aggregator's groups take every diagnostic line that our code makes, each once."""

import re
from pathlib import Path

import pytest
import yaml
from builtin_interfaces.msg import Time

from coedge_ros.msg import WorkerStatus
from coedge_ros.nodes.diagnostics import CheckTotals, check_diagnostics, diagnostic_array, worker_diagnostics

CHECKOUT = Path(__file__).parents[2]
VALUES = yaml.safe_load((CHECKOUT / "config" / "diagnostics_aggregator.yaml").read_text())["/**"]["ros__parameters"]
GROUPS = {name: group["startswith"] for name, group in VALUES.items() if isinstance(group, dict)}
# As written in the code, `coedge: worker {status.name}` for one.
NAMES = sorted(
    name
    for path in (CHECKOUT / "coedge_ros" / "nodes").glob("*.py")
    for name in re.findall(r"\bname=f?[\"'](coedge: [^\"']+)[\"']", path.read_text())
)


def groups_of(name: str) -> list[str]:
    return [group for group, starts in GROUPS.items() if any(name.startswith(start) for start in starts)]


@pytest.mark.parametrize("name", NAMES)
def test_a_line_belongs_to_one_group(name):
    assert len(groups_of(name)) == 1


def test_all_kinds_of_lines_were_found_in_the_code_and_no_group_waits_for_another():
    assert len(NAMES) >= 3
    starts = [start for group in GROUPS.values() for start in group]
    assert [start for start in starts if not any(name.startswith(start) for name in NAMES)] == []


def test_lines_as_they_are_made_are_in_the_right_group():
    assert groups_of(worker_diagnostics(WorkerStatus(name="worker_1")).name) == ["workers"]
    assert groups_of(check_diagnostics(CheckTotals(), 0, "").name) == ["cluster"]


def test_clusters_in_two_namespaces_have_lines_of_their_own_in_the_same_groups():
    def name_in(namespace: str) -> str:
        (line,) = diagnostic_array([worker_diagnostics(WorkerStatus(name="worker_1"))], Time(), namespace).status
        return line.name

    names = [name_in(namespace) for namespace in ("/coedge", "/front_camera", "/robot/coedge", "/")]
    assert names[:2] == ["coedge: worker worker_1", "coedge: worker worker_1 (/front_camera)"]
    assert len(set(names)) == len(names)
    assert all(groups_of(name) == ["workers"] for name in names)
