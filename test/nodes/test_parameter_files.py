"""The parameter files in config/ and the declared parameters agree."""

from pathlib import Path

import pytest
import yaml

from coedge_ros.nodes import camera, load_visualizer, partition_manager, worker

CONFIG = Path(__file__).parents[2] / "config"
NODES = {"camera": camera, "load_visualizer": load_visualizer, "partition_manager": partition_manager, "worker": worker}


@pytest.mark.parametrize("name", NODES)
def test_the_file_names_every_declared_parameter_with_its_default(name):
    (entry,) = yaml.safe_load((CONFIG / f"{name}.param.yaml").read_text()).values()
    in_file = {k: tuple(x for x in v if x) if isinstance(v, list) else v for k, v in entry["ros__parameters"].items()}
    assert in_file == {p.name: p.default for p in NODES[name].PARAMETERS}
