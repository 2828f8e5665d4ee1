"""A worker that starts again on the same hardware takes the speed that it measured before."""

import time
from dataclasses import replace

import pytest
import torch
from support.tiny import net

from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import partition_model
from coedge_ros.profiling import speed
from coedge_ros.profiling.speed import kept_speed

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model():
    loaded = load_model(net())
    return partition_model(loaded.module, 48, 64, mean=loaded.mean, std=loaded.std, digest=loaded.digest)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COEDGE_CACHE_DIR", str(tmp_path))


def start(model, threads: int = 1, use_cache: bool = True):
    told = []
    found, is_kept = kept_speed(model, threads, 2.0, use_cache, lambda *step: told.append(step))
    assert found > 0 and bool(told) != is_kept
    return found, is_kept


def test_the_second_start_measures_nothing_and_finds_the_same_speed(model):
    first, was_kept = start(model)
    began = time.perf_counter()
    again, is_kept = start(model)
    assert (was_kept, is_kept) == (False, True) and again == first
    assert time.perf_counter() - began < 0.5


def test_other_threads_another_model_or_other_hardware_are_measured_anew(model, monkeypatch):
    start(model)
    assert not start(model, threads=2)[1]
    other = replace(model, graph=replace(model.graph, digest="e" * 64))
    assert not start(other)[1]
    monkeypatch.setattr(speed, "hardware", lambda: "another processor")
    assert not start(model)[1]


def test_without_the_cache_each_start_measures(model):
    start(model, use_cache=False)
    assert not start(model, use_cache=False)[1] and not start(model)[1]


@pytest.mark.parametrize("nonsense", [-1.0, 0, float("nan"), "fast", [1], None])
def test_a_kept_speed_that_cannot_be_is_measured_anew(model, monkeypatch, nonsense):
    start(model)
    monkeypatch.setattr(speed.Key, "read", lambda self: nonsense)
    assert not start(model)[1]
