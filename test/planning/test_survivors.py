"""Plans that are made at once when workers are lost."""

import random
from dataclasses import replace

import pytest
from support.planning_requests import many_kinds_of_cluster, small_graph

from coedge_ros.errors import UserError
from coedge_ros.planning.local import plan_local
from coedge_ros.planning.registry import make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.planning.survivors import among, plan_for_survivors
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import plan_from_shares, reference_heights
from coedge_ros.spec.profile import Profile


def request_for(seed: int, workers: int, model: str = "chain") -> PlanRequest:
    graph = small_graph(model)
    cluster = many_kinds_of_cluster(random.Random(seed), workers, graph)
    return PlanRequest(graph, Profile(cluster), objective="latency")


@pytest.mark.parametrize("model", ["chain", "residual"])
@pytest.mark.parametrize("seed", range(8))
def test_it_runs_on_those_that_are_left_and_is_no_worse_than_the_best_of_them_alone(seed, model):
    whole = request_for(seed, 4, model)
    before = make_plan(whole).plan
    for lost in whole.devices.names:
        rest = replace(whole, profile=whole.profile.only([n for n in whole.devices.names if n != lost]))
        found, alone = plan_for_survivors(rest, before), plan_local(rest)
        assert found.plan.workers == rest.devices.names
        assert found.plan.head in rest.devices.names
        assert [b[-1] for b in found.plan.boundaries] == list(reference_heights(whole.graph, found.plan.cuts))
        derive_schedule(whole.graph, found.plan)
        assert rest.rank(found.predicted) <= rest.rank(alone.predicted)
        assert lost in found.explanation or lost not in before.workers


def test_rows_keep_their_ratio_and_a_stage_of_the_lost_alone_goes_by_speed():
    request = request_for(0, 3)
    a, b, c = request.devices.names
    cut = request.tables.layer_cuts[:1]
    before = plan_from_shares(request.graph, (a, b, c), [[2.0, 4.0, 2.0], [0.0, 1.0, 0.0]], cut, head=b)
    rest = replace(request, profile=request.profile.only([a, c]))
    found = among(rest, before)
    first, second = found.boundaries
    assert found.workers == (a, c) and found.cuts == before.cuts and found.head in (a, c)
    assert first == (0, first[-1] // 2, first[-1])
    speed = rest.devices.speed
    assert second[1] == pytest.approx(second[-1] * speed[0] / speed.sum(), abs=0.51)


def test_codecs_stay_with_their_links():
    request = request_for(0, 3)
    names = request.devices.names
    raw, half, int8 = Codec.RAW, Codec.FLOAT16, Codec.INT8
    plan = plan_from_shares(request.graph, names, [1.0, 1.0, 1.0], request.tables.forced_cuts)
    before = replace(plan, codecs=((raw, half, int8), (half, raw, half), (half, int8, raw)))
    rest = replace(request, profile=request.profile.only([names[0], names[2]]))
    assert among(rest, before).codecs == ((raw, int8), (half, raw))


def test_what_no_planner_can_answer_is_told():
    request = replace(request_for(0, 2), objective="beauty")
    with pytest.raises(UserError, match="beauty"):
        plan_for_survivors(request, make_plan(request_for(0, 2)).plan)
