"""Entry points of processes for the cluster tests: the product's own `main`, with one thing changed."""

from __future__ import annotations

import signal

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from coedge_ros.execution.program import StageProgram
from coedge_ros.nodes import model_parameters, partition_manager, worker
from coedge_ros.nodes.solving import NOTHING, Solved, Solver
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.plan import plan_from_shares

SHARES = {"worker_1": 0.5, "worker_2": 0.3, "worker_3": 0.2}


def manager_with_fixed_shares() -> int:
    """A manager that splits in the proportions of `SHARES`, whatever the planner would find best."""

    def solve(self, members, estimates=NOTHING) -> Solved:
        names = tuple(m.name for m in members)
        plan = plan_from_shares(self.graph, names, [SHARES[n] for n in names], layer_cuts(self.graph))
        return Solved(plan, None, float("nan"), float("nan"), "fixed shares", estimates=estimates)

    Solver.solve = Solver.solve_at_once = solve
    return partition_manager.main()


def manager_that_counts_convolutions() -> int:
    """Fixed shares, and convolutions that the process runs are counted: SIGUSR1 prints how many.

    On the main thread, which serves frames, by whatever operator; on any other thread torch's own operator with real
    numbers (tracing the model runs it without).
    """
    counted = 0

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            nonlocal counted
            counted += "conv" in str(operator)
            return operator(*args, **(kwargs or {}))

    def convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
        nonlocal counted
        counted += 1
        return torch.ops.aten._convolution(
            x, weight, bias, stride, padding, dilation, transposed, output_padding, groups, False, False, False, False
        )

    library = torch.library.Library("aten", "IMPL")
    library.impl("convolution", convolution, "CPU")
    signal.signal(signal.SIGUSR1, lambda *_: print(f"convolutions: {counted}", flush=True))
    with Counting():
        return manager_with_fixed_shares()


def worker_with_other_weights() -> int:
    """A worker that believes to have the weights that it was given, and computes with others."""
    load = model_parameters.load_model

    def load_and_perturb(*args, **options):
        loaded = load(*args, **options)  # with the digest of what was loaded
        with torch.no_grad():
            first = next(p for p in loaded.module.parameters() if p.ndim == 4)
            first.mul_(1.2)
        return loaded

    model_parameters.load_model = load_and_perturb
    return worker.main()


def worker_with_a_fault_that_comes_and_goes() -> int:
    """A worker that has the right weights and computes wrong after a SIGUSR1, until the next one."""
    is_faulty, run = False, StageProgram.run

    def toggle(*_) -> None:
        nonlocal is_faulty
        is_faulty = not is_faulty
        print(f"faulty: {is_faulty}", flush=True)

    def run_wrong(self, values, arrived):
        done = run(self, values, arrived)
        if is_faulty:
            values |= {name: v * 1.2 for name, v in values.items() if v.is_floating_point()}
        return done

    StageProgram.run = run_wrong
    signal.signal(signal.SIGUSR1, toggle)
    return worker.main()
