from pathlib import Path

import pytest

from coedge_ros.spec.cluster_file import load_cluster


@pytest.fixture(scope="session")
def demo_cluster():
    return load_cluster(Path(__file__).parents[2] / "config" / "cluster.yaml")
