"""Searching in another process gives the same plan, and ends with who asked."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from support.planning_requests import many_kinds_of_cluster, small_graph

from coedge_ros.planning import apart
from coedge_ros.planning.apart import SearchApart
from coedge_ros.planning.registry import make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.outcome import Status
from coedge_ros.spec.profile import Profile


def request_for(seed: int, model: str = "chain") -> PlanRequest:
    graph = small_graph(model)
    return PlanRequest(graph, Profile(many_kinds_of_cluster(random.Random(seed), 3, graph)), objective="latency")


@pytest.fixture
def search():
    made = SearchApart()
    yield made
    made.close()


def children() -> list[psutil.Process]:
    return [c for c in psutil.Process().children() if apart.__name__ in c.cmdline()]


def test_the_plan_is_the_same_whatever_the_model_and_however_often_it_is_asked(search):
    for request in (request_for(1), request_for(2), request_for(1, "residual"), request_for(3)):
        found, here = search(request), make_plan(request)
        assert (found.plan, found.predicted, found.status) == (here.plan, here.predicted, here.status)
    (child,) = children()
    assert child.nice() == psutil.Process().nice() + apart.NICENESS
    assert search(replace(request_for(1), planner="fusd")).status is Status.INVALID


def test_a_process_that_has_ended_is_started_again(search):
    request = request_for(1)
    plan = search(request).plan
    (first,) = children()
    first.kill()
    assert search(request).plan == plan
    (second,) = children()
    assert second.pid != first.pid


def test_where_there_is_no_process_it_searches_here(search, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no processes left")

    monkeypatch.setattr(apart.subprocess, "Popen", refuse)
    request = request_for(1)
    assert search(request).plan == make_plan(request).plan
    search.close()
    assert search(request).plan == make_plan(request).plan


def test_it_ends_when_nobody_asks_any_more_or_who_asked_was_killed():
    read, write = os.pipe()
    began_s = time.monotonic()
    with open(read, "rb") as requests:
        apart.answer(requests, sys.stdout.buffer, idle_s=0.2)
    os.close(write)
    assert 0.2 <= time.monotonic() - began_s < 5
    text = (
        "import test_apart as t, time; s = t.SearchApart(); s(t.request_for(1)); "
        "print(t.children()[0].pid, flush=True); time.sleep(60)"
    )
    path = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, env=environment) as asker:
        child = psutil.Process(int(asker.stdout.readline()))
        assert child.is_running()
        asker.send_signal(signal.SIGKILL)
        child.wait(10)  # psutil.TimeoutExpired otherwise
