"""Oracles of models by name, made once per test run: tracing takes a second or more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from coedge_ros.execution.verification import Oracle, noise_input
from coedge_ros.graph.rescale import rescale_to_unit_variance
from coedge_ros.graph.zoo.registry import zoo_entry

_KEPT = 6  # a model and its traced forms take up to half a gigabyte
_cache: OrderedDict[tuple[str, int, int], Oracle] = OrderedDict()


def zoo_size(name: str, height: int, width: int) -> tuple[int, int]:
    """The size asked for, or the only one that the model's head takes."""
    entry = zoo_entry(name)
    return entry.input_size if entry.fixed_input else (height, width)


def zoo_oracle(name: str, height: int = 231, width: int = 317) -> Oracle:
    """Oracle of a model of the zoo with rescaled weights, at the size nearest to the one asked for."""
    entry = zoo_entry(name)
    return oracle_of(name, entry.factory, *zoo_size(name, height, width), mean=entry.mean, std=entry.std)


def oracle_of(name: str, factory: Callable[[], nn.Module], height: int, width: int, **options) -> Oracle:
    """Oracle of a model with rescaled weights; `name` is what it is remembered by."""
    key = (name, height, width)
    if key not in _cache:
        _cache[key] = make_oracle(factory, height, width, **options)
    _cache.move_to_end(key)
    while len(_cache) > _KEPT:
        _cache.popitem(last=False)
    return _cache[key]


def make_oracle(factory: Callable[[], nn.Module], height: int, width: int, **options) -> Oracle:
    """Oracle of a model with rescaled weights that is not remembered."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = factory().eval()
    rescale_to_unit_variance(module, noise_input(height, width, **options))
    return Oracle(module, height, width, **options)
