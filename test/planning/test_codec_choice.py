"""Coarser codecs are planned where links are slow, where the user allows them, and nowhere else."""

import random
from dataclasses import replace

import pytest
from support.clusters import cluster_of
from support.graphs import GRAPHS, chain
from support.planning_requests import small_graph

from coedge_ros.planning.cost import evaluate
from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cluster import Link
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.profile import Profile
from coedge_ros.spec.schedule import TransferKind

SLOWEST, SLOW, FAST = Link(1e-5, 4e5), Link(1e-5, 2e6), Link(1e-6, 1e11)
SPEED = 1e9


def profile(speeds: list[float], link: Link) -> Profile:
    """Workers with that link between each other; the manager is near to all."""
    hosts = [f"h{i}" for i in range(len(speeds))]
    links = {(a, b): link for a in hosts for b in hosts if a != b}
    return Profile(cluster_of(speeds, link=FAST, links=links))


def planned(link: Link, codec: Codec, **more):
    request = PlanRequest(chain(256, 256), profile([SPEED] * 2, link), "modnn", "latency", codec=codec)
    request = replace(request, **more)
    return request, make_plan(request)


@pytest.mark.parametrize(("codec", "link"), [(Codec.FLOAT16, SLOW), (Codec.INT8, SLOWEST)])
def test_a_slow_link_gets_the_codec_that_is_allowed_and_the_frame_is_faster(codec, link):
    request, outcome = planned(link, codec)
    assert outcome.plan.coarsest is codec
    assert evaluate(outcome.plan, request.devices) == outcome.predicted
    assert outcome.predicted.latency_s < planned(link, Codec.RAW)[1].predicted.latency_s * 0.995
    assert f"w0 to w1 {codec}" in outcome.notes[-1] and "the same rows raw would take" in outcome.notes[-1]
    halo = derive_schedule(request.graph, outcome.plan).of_kind(TransferKind.HALO)
    assert halo and {t.codec for t in halo} == {codec}


def test_nothing_is_coded_where_it_is_not_allowed_or_does_not_pay():
    _, outcome = planned(SLOW, Codec.RAW)
    assert outcome.plan.codecs == () and not any("odec" in note for note in outcome.notes)
    _, outcome = planned(FAST, Codec.INT8)
    assert outcome.plan.codecs == () and outcome.notes[-1].startswith("No codec but raw pays")


def test_the_codec_of_a_plan_by_hand_is_used_on_every_link():
    _, outcome = planned(FAST, Codec.INT8, planner="manual", manual_rows=(128, 128))
    assert outcome.plan.codec(0, 1) is outcome.plan.codec(1, 0) is Codec.INT8


def test_each_link_has_the_codec_that_pays_there():
    links = {("h0", "h1"): SLOW, ("h1", "h0"): SLOW, ("h1", "h2"): FAST, ("h2", "h1"): FAST}
    cluster = cluster_of([SPEED] * 3, link=FAST, links=links)
    request = PlanRequest(
        chain(256, 256), Profile(cluster), "manual", "latency", manual_rows=(86, 85, 85), codec=Codec.FLOAT16
    )
    by_hand = make_plan(request).plan
    assert by_hand.codec(1, 2) is Codec.FLOAT16
    outcome = make_plan(replace(request, planner="modnn"))
    assert outcome.plan.codec(0, 1) is outcome.plan.codec(1, 0) is Codec.FLOAT16
    assert outcome.plan.codec(1, 2) is outcome.plan.codec(2, 1) is Codec.RAW


def test_allowing_coarser_codecs_makes_no_plan_worse():
    rng, used = random.Random(8), 0
    for _ in range(12):
        graph, link = small_graph(rng.choice(list(GRAPHS)), 96, 96), Link(1e-5, 10 ** rng.uniform(5, 6.5))
        known = profile([rng.uniform(1, 3) * SPEED for _ in range(rng.choice([2, 3]))], link)
        request = PlanRequest(graph, known, "fused", rng.choice(["latency", "throughput", "energy"]))
        if request.objective == "energy":
            request = replace(request, deadline_s=0.8 * best_single_latency_s(graph, known))
        raw = make_plan(request)
        coded = make_plan(replace(request, codec=rng.choice([Codec.FLOAT16, Codec.INT8])))
        used += coded.plan.coarsest > Codec.RAW
        assert coded.predicted == evaluate(coded.plan, request.devices)
        if raw.is_feasible:
            assert coded.is_feasible
            assert request.value(coded.predicted) <= request.value(raw.predicted)
    assert used >= 3
