"""The whole matrix of architectures, sizes, shares and cuts (`-m full`), and the table that docs/results holds of it.

With COEDGE_EXACTNESS_TABLE=FILE the table is written there, row by row:
`COEDGE_EXACTNESS_TABLE=docs/results/exactness.md scripts/test.sh -m full test/equivalence/test_full_matrix.py`.
"""

import os
from pathlib import Path

import pytest
import torch
from support.architectures import ARCHITECTURE_NAMES, CUTS, SHARES, architecture_oracle, architecture_size, plan_of

from coedge_ros.spec.graph import Kind

torch.set_num_threads(1)

SIZES = ((224, 224), (231, 317), (480, 640))
_HEADER = f"""# Exactness

Banded against whole: outputs and every tensor at every cut, `max|banded - whole| <= 1e-4 * max|whole|` for each. Every
row is {len(SHARES) * len(CUTS)} plans: shares {"; ".join(SHARES)}; cuts after every layer, forced ones only, at random.
Weights rescaled layer by layer to unit variance; noise as the frame; torch {torch.__version__}, one thread.
Made by `scripts/test.sh -m full test/equivalence/test_full_matrix.py` with `COEDGE_EXACTNESS_TABLE` set.

A model whose head takes one size only is run at that size. *worst*: largest max|diff| / scale of all tensors of all
plans. *banded*: part of the multiply-accumulates that bands share. *gathered*: operators that need a whole map.

| architecture | size | tensors compared | worst | banded % | gathered |
|---|---|---|---|---|---|
"""


@pytest.fixture(scope="module")
def table():
    """Where a row goes."""
    path = os.environ.get("COEDGE_EXACTNESS_TABLE")
    if not path:
        return lambda row: None
    Path(path).write_text(_HEADER)

    def write(row: str) -> None:
        with open(path, "a") as file:
            file.write(row)

    return write


def _cases():
    """Each architecture at each size that it takes, once."""
    for name in ARCHITECTURE_NAMES:
        for size in dict.fromkeys(architecture_size(name, *size) for size in SIZES):
            yield pytest.param(name, size, id=f"{name}-{size[0]}x{size[1]}")


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "size"), list(_cases()))
def test_all_shares_and_cuts_are_equal(name, size, table):
    oracle = architecture_oracle(name, *size)
    worst, compared = 0.0, 0
    for shares in SHARES.values():
        for cuts in CUTS:
            verdict = oracle.verify(plan_of(oracle, shares, cuts, 11))
            assert verdict.is_equal, f"{shares} {cuts}: {verdict.worst_output}; {verdict.worst_cut}"
            tensors = (*verdict.outputs, *verdict.cuts)
            compared += len(tensors)
            worst = max(worst, *(tensor.ratio for tensor in tensors))
    graph = oracle.model.graph
    gathered = ", ".join(f"{op.target} at {op.module_path}" for op in graph.operators if op.kind is Kind.GATHER)
    banded = 100 * graph.trunk_macs / graph.total_macs
    table(f"| {name} | {size[0]}x{size[1]} | {compared} | {worst:.1e} | {banded:.1f} | {gathered or 'none'} |\n")
