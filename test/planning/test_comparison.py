"""Planners side by side: cells, sweeps, reductions, aims, floors, and frames under a bandwidth trace."""

import random
from dataclasses import asdict, replace

import pytest
from support.clusters import cluster_of, random_cluster
from support.graphs import GRAPHS, chain

from coedge_ros.errors import UserError
from coedge_ros.planning.adaptation import AGAIN, KEPT, adapt
from coedge_ros.planning.aims import aims
from coedge_ros.planning.comparison import (
    Cell,
    Comparison,
    as_json,
    first_workers,
    reductions,
    summaries,
    with_bandwidth,
)
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.lower_bound import least_energy_j, least_latency_s
from coedge_ros.planning.registry import best_single_latency_s
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cluster import Link
from coedge_ros.spec.cuts import forced_cuts, layer_cuts
from coedge_ros.spec.plan import plan_from_shares
from coedge_ros.spec.profile import Profile

PLANNERS = ("local", "modnn", "coedge", "fused")


def comparison(planners=PLANNERS, cluster=None, graphs=None, **more):
    graphs = graphs or {"chain": chain(64, 64)}
    cluster = cluster or cluster_of([1e8, 1e8, 2e8])
    return Comparison(graphs, {name: Profile(cluster) for name in graphs}, planners, **more)


def cell(planner, energy_j, status="feasible", model="m", latency_ms=10.0, deadline_ms=20.0):
    return Cell(model, planner, None, deadline_ms, status, latency_ms, energy_j, energy_j + 1, None, 2, 1, 5.0)


# -- cells ------------------------------------------------------------------------------------------------------------


def test_there_is_a_cell_for_every_model_rate_count_deadline_and_planner():
    graphs = {"chain": chain(64, 64), "residual": GRAPHS["residual"](64, 64)}
    all_of = comparison(graphs=graphs, bandwidths=(10.0, 100.0), worker_counts=(2, 3), factors=(0.7, 1.0))
    steps = []
    cells = all_of.cells(steps.append)
    assert len(cells) == all_of.size == len(steps) == 2 * 2 * 2 * 2 * 4
    assert {c.model for c in cells} == set(graphs) and {c.planner for c in cells} == set(PLANNERS)
    assert {(c.bandwidth_mbit_s, c.available_workers, c.deadline_factor) for c in cells} == {
        (b, w, f) for b in (10.0, 100.0) for w in (2, 3) for f in (0.7, 1.0)
    }


def test_deadlines_are_parts_of_the_best_single_workers_latency_at_that_rate():
    both = comparison(bandwidths=(1.0, 100.0), factors=(0.5, 1.0))
    for found in both.cells():
        single = best_single_latency_s(both.graphs["chain"], both.profile("chain", found.bandwidth_mbit_s))
        assert found.deadline_ms == pytest.approx(1e3 * single * found.deadline_factor)
        if found.planner == "local" and found.deadline_factor == 1.0:
            assert found.status == "optimal" and found.latency_ms == pytest.approx(found.deadline_ms)


def test_an_infeasible_cell_has_the_plan_that_comes_closest():
    for found in comparison(deadlines_s=(1e-6,)).cells():
        assert found.status == "infeasible" and not found.meets_deadline
        assert found.latency_ms > found.deadline_ms and found.energy_j > 0


def test_the_json_has_the_promised_keys():
    values = as_json(comparison(deadlines_s=(None,)).cells(), cluster="x")
    assert values["cluster"] == "x"
    promised = "model planner bandwidth_mbit_s deadline_ms status latency_ms energy_j energy_with_idle_j"
    assert all(set(promised.split()) <= set(item) for item in values["cells"])
    promised = "model planner baseline deadline_ms energy_reduction_percent latency_ratio"
    assert values["reductions"] and all(set(promised.split()) <= set(item) for item in values["reductions"])


def test_what_cannot_be_planned_is_the_users_mistake_and_names_model_and_planner():
    nobody = cluster_of([1e8]).only([])
    with pytest.raises(UserError, match="chain, planner local: .*no worker"):
        comparison(cluster=nobody).cells()


def test_fewer_workers_are_the_first_ones_and_more_are_copies_on_hosts_of_their_own():
    profile = Profile(cluster_of([1e8, 2e8]), {"w0": 5e8, "w1": 6e8})
    assert first_workers(profile, 1).cluster.worker_names == ("w0",)
    more = first_workers(profile, 5)
    assert len(more.cluster.workers) == 5 and len({w.host for w in more.cluster.workers}) == 5
    assert [more.speed_macs_per_s(name) for name in more.cluster.worker_names] == [5e8, 6e8, 5e8, 6e8, 5e8]


def test_a_rate_changes_every_link_but_not_its_latency():
    pair = ("h0", "h1")
    cluster = with_bandwidth(cluster_of([1e8] * 2, links={pair: Link(0.01, 5.0)}), 80.0)
    assert cluster.links[pair] == Link(0.01, 1e7) and cluster.default_link.bytes_per_s == 1e7
    assert with_bandwidth(cluster, None) is cluster


# -- reductions -------------------------------------------------------------------------------------------------------


def test_reductions_are_percent_of_the_baselines_energy():
    cells = [cell("local", 4.0), cell("coedge", 3.0, latency_ms=5.0), cell("fused", 1.0)]
    found = {(r.planner, r.baseline): r for r in reductions(cells)}
    assert set(found) == {("coedge", "local"), ("fused", "local"), ("fused", "coedge")}
    assert found["coedge", "local"].energy_reduction_percent == pytest.approx(25)
    assert found["coedge", "local"].latency_ratio == pytest.approx(0.5)
    assert found["fused", "local"].energy_reduction_percent == pytest.approx(75)
    assert found["fused", "coedge"].energy_reduction_percent == pytest.approx(66.7, abs=0.1)


def test_only_cells_of_the_same_setting_are_compared():
    cells = [cell("local", 4.0, deadline_ms=20.0), cell("fused", 1.0, deadline_ms=30.0)]
    assert reductions(cells) == []


def test_ranges_are_over_cells_in_which_the_planner_meets_the_deadline():
    cells = [
        cell("modnn", 4.0, "infeasible", deadline_ms=1.0), cell("fused", 8.0, "infeasible", deadline_ms=1.0),
        cell("modnn", 4.0, "infeasible", deadline_ms=2.0), cell("fused", 3.0, deadline_ms=2.0),
        cell("modnn", 4.0, deadline_ms=3.0), cell("fused", 2.0, deadline_ms=3.0),
        cell("modnn", 4.0, model="other"), cell("fused", 1.0, model="other"),
    ]  # fmt: skip
    found = {item.model: item for item in summaries(reductions(cells))}
    assert set(found) == {"m", "other", None}
    assert asdict(found["m"]) | {"model": None} == asdict(
        replace(found["m"], model=None, cells=2, least=25, most=50, both_cells=1, both_least=50, both_most=50,
                all_cells=3, all_least=-100, all_most=50)
    )  # fmt: skip
    assert (found[None].least, found[None].most, found[None].cells) == (25, 75, 3)


def test_no_cell_that_meets_the_deadline_gives_no_range():
    summary = summaries(reductions([cell("local", 1.0, "infeasible"), cell("fused", 1.0, "infeasible")]))[0]
    assert (summary.cells, summary.least, summary.most, summary.all_least) == (0, None, None, 0)


# -- aims and floors --------------------------------------------------------------------------------------------------


def test_fewer_exchanges_meet_the_aim_where_halo_rows_are_dear():
    graph = chain(96, 32, (16,) * 8, (2,) + (1,) * 7)
    dear = cluster_of([1e8] * 3, link=Link(1e-3, 1e6), transmit_w=30.0)
    several = comparison(("coedge", "fused"), dear, {"chain": graph}, factors=(0.8,))
    (aim,) = aims(several, several.cells())
    assert aim.met and aim.speedup_at_same_energy >= 1.3 and aim.energy_reduction_percent >= 20 and not aim.why


def test_a_cell_below_the_aim_says_in_numbers_what_is_in_the_way():
    # one worker with nearly all of the speed, and links that cost as much as its computing
    several = comparison(("coedge", "fused"), cluster_of([1e8, 1e6], link=Link(0.05, 1e5)), factors=(0.5, 1.0))
    found = aims(several, several.cells())
    assert len(found) == 2
    for aim in found:
        assert not aim.met and aim.speedup_at_same_energy < 1.3
        assert (
            "w0 alone has 99% of all speed; frame and messages take " in aim.why
            and f"{aim.fastest_ms:.1f} ms" in aim.why
        )
        assert aim.floor_ms <= aim.fastest_ms * (1 + 1e-6)
    assert found[0].energy_reduction_percent is None  # both miss that deadline
    assert found[1].energy_reduction_percent == pytest.approx(0)


def test_a_deadline_that_only_fused_meets_is_an_aim_that_is_met():
    several = comparison(("coedge", "fused"))
    cells = [cell("coedge", 1.0, "infeasible", "chain", 30.0), cell("fused", 2.0, "feasible", "chain", 19.0)]
    cells = [replace(c, available_workers=3) for c in cells]
    (aim,) = aims(several, cells)
    assert aim.met and aim.why == "only fused meets the deadline"


def test_no_split_with_one_share_is_below_the_floors():
    rng, tight = random.Random(7), 0
    for _ in range(20):
        graph = GRAPHS[rng.choice(["chain", "flat_chain", "residual", "dense"])](256, 16)
        devices = Devices(graph, Profile(random_cluster(rng, rng.choice([1, 2, 3, 4]), graph.total_macs)))
        shares = [rng.choice([0.0, 1.0]) * rng.uniform(0.3, 1) for _ in devices.names]
        shares[rng.randrange(len(shares))] += 1.0
        cuts = rng.choice([layer_cuts(graph), forced_cuts(graph)])
        plan = plan_from_shares(graph, devices.names, shares, cuts, head=rng.choice(devices.names))
        predicted = PlanRequest(graph, devices.profile).evaluator.predict(plan)
        # rounding to rows moves a share a little: 3 % of this height
        assert least_latency_s(devices) <= predicted.latency_s * 1.03
        assert least_latency_s(devices, predicted.energy_j * 1.03) <= predicted.latency_s * 1.03
        assert least_energy_j(devices, predicted.latency_s * 1.03) <= predicted.energy_j * 1.03
        tight += least_latency_s(devices) > 0.5 * best_single_latency_s(graph, devices.profile)
    assert tight > 7  # and they are not just zero


def test_the_floor_of_one_worker_is_its_latency_and_no_plan_may_be_impossible():
    graph = chain(64, 64)
    devices = Devices(graph, Profile(cluster_of([1e8])))
    alone = best_single_latency_s(graph, devices.profile)
    assert 0.97 * alone < least_latency_s(devices) <= alone
    assert least_energy_j(devices, alone / 2) is None
    assert least_latency_s(devices, 1e-9) is None


def test_no_floor_is_claimed_where_a_link_is_missing():
    nowhere = {("h0", "h1"): Link(0.0, 0.0)}
    devices = Devices(chain(64, 64), Profile(cluster_of([1e8, 1e8], links=nowhere)))
    assert least_latency_s(devices) is None and least_energy_j(devices, 1.0) is None


# -- adaptation -------------------------------------------------------------------------------------------------------


def test_planning_again_pays_when_the_links_become_slow_and_costs_the_delay():
    graph = chain(64, 64)
    # the manager's host has a slow worker; the fast one is behind the link
    cluster = replace(cluster_of([2e8, 2e9], link=Link(1e-4, 1e7)), manager_host="h0")
    trace = ((0.0, 100.0), (5.0, 0.1))
    steps = []
    found = adapt(graph, Profile(cluster), trace, 10.0, ("fused",), 1.0, delay_s=2.0, advance=lambda: steps.append(1))
    kept, again = found.latency_ms["fused", KEPT], found.latency_ms["fused", AGAIN]
    assert len(steps) == 2 and found.times_s == tuple(float(t) for t in range(11))
    assert found.bandwidth_mbit_s == (100.0,) * 5 + (0.1,) * 6
    assert kept[:7] == again[:7]  # nothing is known of the change before 7 s
    assert all(a < 0.5 * k for a, k in zip(again[7:], kept[7:], strict=True))
    assert kept[6] > 5 * kept[0]


def test_a_change_while_a_frame_is_on_its_way_slows_that_frame():
    graph = chain(64, 64)
    profile = Profile(cluster_of([1e9], link=Link(0.0, 1e4)))
    steady = adapt(graph, profile, ((0.0, 0.1),), 2.0, ("local",), 1.0).latency_ms["local", KEPT]
    change = adapt(graph, profile, ((0.0, 0.1), (1.5, 0.05)), 2.0, ("local",), 1.0).latency_ms["local", KEPT]
    assert steady[0] == change[0] and steady[1] < change[1] < change[2]
