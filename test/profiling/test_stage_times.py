"""Measured stage times: of the program that workers run, per stage and row count, in the form that planners read."""

import itertools

import numpy as np
import pytest
import torch
from support.two_workers import model as two_layers

from coedge_ros.errors import UserError
from coedge_ros.graph.lower import partition_model
from coedge_ros.graph.zoo.registry import zoo_entry
from coedge_ros.planning.devices import Devices
from coedge_ros.profiling.rivals import ModelChoice
from coedge_ros.profiling.stage_times import (
    FRACTIONS,
    TimedProgram,
    default_cuts,
    measure_fraction,
    plan_with_fraction,
    stage_ranges,
    tables,
)
from coedge_ros.profiling.together import measure_together
from coedge_ros.spec.cluster import ClusterSpec, Host, Link, MeasuredTimes, WorkerSpec
from coedge_ros.spec.profile import Profile

torch.set_num_threads(1)


def ticking(step_s: float = 0.25):
    return itertools.count(0.0, step_s).__next__


def test_each_stage_and_the_head_is_timed_by_itself():
    model = two_layers()
    cuts = default_cuts(model)
    ranges = stage_ranges(model, cuts)
    names = [op.name for op in model.graph.operators]
    assert ranges[0].first == names[0] and ranges[-1].last == names[-1] and len(ranges) == len(cuts) + 1
    timed = TimedProgram(model, plan_with_fraction(model, cuts, 0.5), ticking())
    assert timed.run()[: len(ranges)] == [0.25] * len(ranges)


def test_the_program_that_is_timed_has_the_rows_of_the_fraction():
    model = two_layers()
    for fraction, rows in ((0.25, 3), (0.5, 6), (1.0, 12)):
        program = TimedProgram(model, plan_with_fraction(model, default_cuts(model), fraction)).program
        assert [len(stage.rows) for stage in program.stages][:2] == [rows, rows]


def test_runs_are_repeated_until_the_budget_is_spent_and_three_times_at_least():
    model = two_layers()
    cuts = default_cuts(model)
    asked = []

    def clock():
        asked.append(None)
        return 0.001 * len(asked)

    measure_fraction(model, cuts, 1.0, 0.0, clock)
    few = len(asked)
    asked.clear()
    measure_fraction(model, cuts, 1.0, 0.1, clock)
    assert few >= 2 * 3 * len(stage_ranges(model, cuts)) and len(asked) > 2 * few


def test_tables_ascend_name_the_models_operators_and_are_what_the_planner_interpolates():
    entry = zoo_entry("mobilenet_v2")
    model = partition_model(entry.factory().eval(), 97, 131)
    cuts = default_cuts(model)
    stages = len(stage_ranges(model, cuts))
    measured = {f: [0.001 * f * (i + 1) for i in range(stages)] for f in FRACTIONS}
    times = tables(model, cuts, measured)
    assert len(times) == stages
    for stage in times:
        assert list(stage.rows) == sorted(set(stage.rows)) and len(stage.rows) == len(stage.seconds)
        assert {stage.first, stage.last} <= set(model.graph.index)
    worker = WorkerSpec("a", "h", measured=(MeasuredTimes("m", 97, 131, times),), macs_per_s=1e9)
    cluster = ClusterSpec((Host("h"),), (worker,), Link(0.0, 1e9), "h")
    devices = Devices(model.graph, Profile(cluster, model="m"))
    assert bool(devices.times.tabulated[0])
    # the operators of a stage together take what the stage was measured to take
    start, end = model.graph.index[times[0].first], model.graph.index[times[0].last]
    whole = sum(devices.times.tables[0][i][-1] for i in range(start, end + 1))
    assert whole == pytest.approx(measured[1.0][0])
    head = devices.times.tables[0][model.graph.index[times[-1].first]]
    assert head[0] == 0 and head[-1] > 0


def test_workers_of_a_host_are_measured_together_and_a_model_that_cannot_be_loaded_is_told(tmp_path):
    steps = []
    choice = ModelChoice("mobilenet_v2", None, 64, 64, 1)
    found = measure_together([choice, choice], 0.01, lambda: steps.append(None))
    assert len(found) == 2 and len(steps) == 2 * len(FRACTIONS)
    for times in found:
        assert (times.model, times.height, times.width) == ("mobilenet_v2", 64, 64)
        assert all(np.isfinite(s.seconds).all() and min(s.seconds) > 0 for s in times.stages)
        assert 1e-4 < sum(s.seconds[-1] for s in times.stages) < 10
    with pytest.raises(UserError, match="no_such_model"):
        measure_together([ModelChoice("no_such_model", None, 64, 64, 1)], 0.01)
